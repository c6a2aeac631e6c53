"""A task with everything that it names looked up: template, domains, metrics, split."""

from collections.abc import Mapping
from typing import TypeVar

import attrs

from taglm_core.errors import ConfigError, UnknownNameError, listed, nearest
from taglm_core.plugins.registry import Registered, Registry
from taglm_core.specs import Domain, Metric, Splitter, Task, Text
from taglm_core.specs.prompt import Prompt, parse_template

T = TypeVar("T")

_USUAL_METRICS = {
    "regression": ("rmse", "mae", "r2", "pearson", "spearman"),
    "classification": ("auroc", "auprc", "accuracy", "mcc"),
    "text": ("exact_match",),
}


@attrs.frozen(kw_only=True)
class ResolvedTask:
    """A task ready to be run."""

    spec: Task
    """The task as a plugin or a run file declares it."""
    name: str
    """Name in metrics.json and prediction columns."""
    plugin: str
    """Plugin in which its short names are looked up first."""
    prompt: Prompt
    """Its template, read."""
    function_tag: str
    """Key of the function tag, `plugin/tag`."""
    domains: dict[str, Registered[Domain]]
    """Domain tag as the template writes it -> domain; without those named by a column."""
    metrics: tuple[Metric, ...]
    """The metrics to report; the first decides early stopping."""
    split: Registered[Splitter] | None
    """The task's own split, else that of its only domain, else None (random)."""
    symmetric: tuple[tuple[str, ...], ...] = ()
    """Pairs of fields of the prompt that change places without changing the answer."""

    @property
    def is_numeric(self) -> bool:
        """Whether a head reads the function tag (regression and classes)."""
        return not isinstance(self.spec.target, Text)

    @property
    def is_cross_domain(self) -> bool:
        """Whether the template names several distinct domain tags (stage 3)."""
        names = {tag.name for tag in self.prompt.domain_tags}
        return len(names) > 1 or bool(self.prompt.tag_columns)

    def domain_of_field(self, field: str) -> Registered[Domain] | None:
        """Return the domain of a span field, None when a column names its tag."""
        for part in self.prompt.spans:
            if part.field == field and not part.tag.is_column:
                return self.domains[part.tag.name]
        return None

    @property
    def span_fields(self) -> tuple[str, ...]:
        """Distinct fields of domain spans, in order."""
        return tuple(dict.fromkeys(part.field for part in self.prompt.spans))

    @property
    def fields(self) -> tuple[str, ...]:
        """Every input field: of spans, in the LM's words, and columns that name a tag."""
        prompt = self.prompt
        return tuple(dict.fromkeys([*self.span_fields, *prompt.text_fields, *prompt.tag_columns]))

    def field_of_tag(self, tag: str) -> str | None:
        """Return the field that a domain tag, by its short name, announces first."""
        for part in self.prompt.spans:
            if not part.tag.is_column and self.domains[part.tag.name].spec.tag == tag:
                return part.field
        return None

    def orders(self, fields: Mapping[str, T]) -> list[dict[str, T]]:
        """Return the fields as they are and, for a symmetric task, in the other order."""
        first = dict(fields)
        if not self.symmetric:
            return [first]
        partner = {a: b for pair in self.symmetric for a, b in (pair, pair[::-1])}
        return [first, {field: first[partner.get(field, field)] for field in first}]


def domain_name(tag: str) -> str:
    """Return the domain of a tag name: `SMILES@QED` is an enriched `SMILES`."""
    return tag.partition("@")[0]


def _variant(task: str, prompt: str, plugin: str, registry: Registry) -> str:
    """Return the text of a prompt variant, which is registered as `TASK.PROMPT`.

    Raises:
        UnknownNameError: listing the variants of the task.
    """
    prefix = f"{task}."
    try:
        return registry.templates.get(f"{prefix}{prompt}", plugin, f"task {task}").spec.text
    except UnknownNameError:
        shorts = [item.short for item in registry.templates]
        known = [short.removeprefix(prefix) for short in shorts if short.startswith(prefix)]
        raise UnknownNameError(
            f"task {task}: unknown prompt variant '{prompt}'.{nearest(prompt, known)} Available: "
            f"{listed(known) or 'none'}. Leave task.prompt out to use the task's own prompt."
        ) from None


def resolve_task(
    task: Task, plugin: str, registry: Registry, prompt: str | None = None
) -> ResolvedTask:
    """Look up everything that a task names.

    Args:
        task: The task.
        plugin: Who declares it; "local" for a run file.
        registry: Where names are looked up.
        prompt: Name of a further prompt, such as "paper"; None: the task's own template.

    Raises:
        TaglmError: when a name is unknown or the template malformed.
    """
    text = task.template
    where = f"task {task.name}"
    if prompt is not None:
        text = _variant(task.name, prompt, plugin, registry)
    read = parse_template(text, task.function_tag, isinstance(task.target, Text))
    domains = {
        tag.name: registry.domains.get(domain_name(tag.name), plugin, f"template of {where}")
        for tag in read.domain_tags
        if not tag.is_column
    }
    function_tag = (
        task.function_tag if "/" in task.function_tag else f"{plugin}/{task.function_tag}"
    )
    return ResolvedTask(
        spec=task,
        name=task.name,
        plugin=plugin,
        prompt=read,
        function_tag=function_tag,
        domains=domains,
        metrics=_metrics(task, plugin, registry),
        split=_split(task, plugin, domains, registry),
        symmetric=_symmetric(task, read),
    )


def _symmetric(task: Task, prompt: Prompt) -> tuple[tuple[str, ...], ...]:
    """Return the pairs that the prompt holds; each must stand in it whole, in like places."""
    kinds: dict[str, str] = {part.field: f"<{part.tag}>" for part in prompt.spans}
    kinds |= dict.fromkeys([*prompt.text_fields, *prompt.tag_columns], "words")
    for pair in task.symmetric:
        kinds_of_pair = [kinds.get(field) for field in pair]
        if kinds_of_pair[0] != kinds_of_pair[1]:
            shown = ", ".join(
                f"{f}: {k or 'missing'}" for f, k in zip(pair, kinds_of_pair, strict=True)
            )
            raise ConfigError(
                f"task {task.name}: the fields {' and '.join(pair)} cannot change places, since "
                f"they stand for different things in its template ({shown})."
            )
    return tuple(pair for pair in task.symmetric if pair[0] in kinds)


def _metrics(task: Task, plugin: str, registry: Registry) -> tuple[Metric, ...]:
    names = task.metrics or _USUAL_METRICS[task.target.kind]
    metrics = [registry.metrics.get(name, plugin, f"task {task.name}").spec for name in names]
    for metric in metrics:
        if metric.kind != task.target.kind:
            raise ConfigError(
                f"task {task.name}: the metric '{metric.name}' judges {metric.kind}, but the "
                f"target is {task.target.kind}."
            )
    return tuple(metrics)


def _split(
    task: Task, plugin: str, domains: dict[str, Registered[Domain]], registry: Registry
) -> Registered[Splitter] | None:
    if task.split is not None:
        return registry.splitters.get(task.split, plugin, f"task {task.name}")
    distinct = {item.name: item for item in domains.values()}
    if len(distinct) == 1:
        only = next(iter(distinct.values()))
        if only.spec.split is not None:
            return registry.splitters.get(only.spec.split, only.source.name, f"domain {only.name}")
    return None
