"""A task: what one runs, and a named wording of it."""

import attrs

from taglm_core.specs.fields import as_names, identifier
from taglm_core.specs.target import Target


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


@attrs.frozen(kw_only=True)
class Template:
    """A further wording of a task, chosen with `--set task.wording=NAME`."""

    name: str = attrs.field(validator=identifier)
    """Name of the wording, such as "paper"."""
    task: str
    """Name of the task that it words."""
    text: str
    """The prompt, in the template language."""
