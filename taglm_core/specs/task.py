"""A task: what one runs, and a named prompt of it."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from taglm_core.errors import ConfigError
from taglm_core.specs.fields import as_names, identifier
from taglm_core.specs.target import Target, Text


def _as_aliases(value: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    return {name: as_names(others) for name, others in value.items()}


def _as_pairs(value: "Mapping[str, str] | Iterable[Iterable[str]]") -> tuple[tuple[str, ...], ...]:
    pairs = value.items() if isinstance(value, Mapping) else value
    return tuple(tuple(pair) for pair in pairs)


@attrs.frozen(kw_only=True)
class Task:
    """What `taglm run NAME` trains: a template, a function tag and a target.

    Tasks that name the same function tag share it.
    """

    name: str = attrs.field(validator=identifier)
    """Name under which it is run, and the column of its predictions."""
    function_tag: str
    """Name of the function tag; it stands once in the template."""
    template: str
    """The prompt, in the template language (reference: templates)."""
    target: Target
    """What is predicted."""
    metrics: tuple[str, ...] = attrs.field(default=(), converter=as_names)
    """Names of metrics; the first one decides early stopping. Empty: the kind's usual ones."""
    dataset: str | None = None
    """Dataset used when no file is given."""
    split: str | None = None
    """Split used when the data bring none; None: the split of its domain."""
    description: str = ""
    """One sentence for listings."""
    aliases: Mapping[str, tuple[str, ...]] = attrs.field(
        factory=dict, converter=_as_aliases, hash=False
    )
    """Field or target column -> other column names, any case, under which a file may hold it."""
    symmetric: tuple[tuple[str, ...], ...] = attrs.field(default=(), converter=_as_pairs)
    """Pairs of fields that change places, all at once, without changing the answer, such as
    `(("drug1", "drug2"), ("name1", "name2"))`. Training sees both orders of each row, predictions
    are the mean of both."""
    settings: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    """Settings of `stages.task` that suit the task, such as `{"head": "mlp"}`, for a run of it
    alone. A preset, a run file and `--set` win over them; where one of these names a head, none of
    them counts, and where one names `epochs`, `max_steps` does not."""

    def __attrs_post_init__(self) -> None:
        for pair in self.symmetric:
            if len(pair) != 2 or pair[0] == pair[1]:
                raise ConfigError(
                    f"task {self.name}: symmetric holds pairs of two different fields, "
                    f"not {list(pair)}."
                )
        named = [field for pair in self.symmetric for field in pair]
        if len(set(named)) < len(named):
            raise ConfigError(f"task {self.name}: symmetric names a field twice: {named}.")
        if self.symmetric and isinstance(self.target, Text):
            raise ConfigError(f"task {self.name}: symmetric is for numbers and classes, not text.")


@attrs.frozen(kw_only=True)
class Template:
    """A further prompt of a task, chosen with `--set task.prompt=NAME`."""

    name: str = attrs.field(validator=identifier)
    """Name of the prompt, such as "paper"."""
    task: str
    """Name of the task that it words."""
    text: str
    """The prompt, in the template language."""
