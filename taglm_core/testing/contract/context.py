"""What checks work on: an object with its plugin, and rows to try it with."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import numpy as np

from taglm_core.data.columns import find_column
from taglm_core.data.corpus import corpus_rows
from taglm_core.data.datasets import load_dataset
from taglm_core.data.fields import canonical_fields, read_fields
from taglm_core.data.table import Table
from taglm_core.encoders import load_encoder
from taglm_core.errors import TaglmError, UnavailableError
from taglm_core.plugins import PluginFailure, PluginSource, Registered, Registry
from taglm_core.plugins.discovery import LoadedPlugin
from taglm_core.plugins.resolved import ResolvedTask, resolve_task
from taglm_core.specs import Dataset, Domain, Encoder, Task
from taglm_core.testing.contract.outcomes import NotApplicable

T = TypeVar("T")

SAMPLE_ROWS = 200
"""Rows that a dataset is asked for."""
_RANDOM_ROWS = 64


@attrs.define(kw_only=True)
class Context:
    """One plugin under check, with rows made once and shared by its checks."""

    registry: Registry
    """Where names are looked up."""
    source: PluginSource
    """The plugin."""
    loaded: LoadedPlugin | None
    """None when the plugin could not even be imported."""
    failures: list[PluginFailure]
    """What went wrong while it registered."""
    _memo: dict[Any, Any] = attrs.field(factory=dict)

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """Return what `make` gives, made at the first call with this key."""
        if key not in self._memo:
            self._memo[key] = make()
        value: T = self._memo[key]
        return value

    def table(self, dataset: Registered[Dataset]) -> Table:
        """Return the first rows of a dataset under seed 0.

        Raises:
            NotApplicable: when it is fetched from somewhere that cannot be reached now.
        """

        def make() -> Table:
            try:
                table = load_dataset(dataset, 0, SAMPLE_ROWS)
            except TaglmError as error:
                cause = error if isinstance(error, UnavailableError) else error.__cause__
                if not dataset.spec.generated and isinstance(cause, UnavailableError | OSError):
                    raise NotApplicable(f"the rows cannot be fetched here: {cause}") from error
                raise
            return table.select(range(min(table.num_rows, SAMPLE_ROWS)))

        return self.once(("table", dataset.name), make)

    def encoder(self, domain: Registered[Domain]) -> Encoder:
        """Return a domain's symbol encoder."""
        return self.once(("encoder", domain.name), lambda: load_encoder(domain.spec, domain.name))

    def sample(self, domain: Registered[Domain]) -> list[Any]:
        """Return canonical rows of a domain: of its corpus, of a dataset, or random symbols."""
        return self.once(("sample", domain.name), lambda: self._sample(domain))

    def rows(self, domain: Registered[Domain]) -> list[Any]:
        """Return canonical rows of a domain.

        Raises:
            NotApplicable: when there is none to try.
        """
        rows = self.sample(domain)
        if not rows:
            raise NotApplicable(
                f"no row to try. Give the domain a corpus, or register a dataset with the column "
                f"'{domain.spec.field}'."
            )
        return rows

    def rows_with_bucket(self, domain: Registered[Domain]) -> list[Any]:
        """Return canonical rows of a domain's corpus, those that stage 1 leaves out included.

        Raises:
            NotApplicable: when there is none to try.
        """
        spec = domain.spec
        if spec.corpus is None or spec.columns:
            return self.rows(domain)
        corpus = self.registry.datasets.get(spec.corpus, domain.source.name)
        table = self.table(corpus)
        column = find_column(table.columns, spec.field, spec.aliases, {}, table.source)
        return [row for row in self.canonical(domain, table.columns[column]) if row]

    def _sample(self, domain: Registered[Domain]) -> list[Any]:
        for read in (self._corpus, self._from_datasets, self._random):
            try:
                rows = read(domain)
            except Exception:  # noqa: S112 - the checks of corpus and datasets report it
                continue
            if rows:
                return list(dict.fromkeys(rows))
        return []

    def _corpus(self, domain: Registered[Domain]) -> list[Any]:
        if domain.spec.corpus is None:
            return []
        rows, _, _ = corpus_rows(domain, self.registry, None, 0, SAMPLE_ROWS, "raise")
        return rows[:SAMPLE_ROWS]

    def _from_datasets(self, domain: Registered[Domain]) -> list[Any]:
        wanted = domain.spec.columns or (domain.spec.field,)
        for dataset in self.registry.datasets:
            if dataset.source != domain.source or not set(wanted) <= set(dataset.spec.columns):
                continue
            columns = [self.table(dataset).columns[name] for name in wanted]
            rows = list(zip(*columns, strict=True)) if domain.spec.columns else columns[0]
            return [row for row in self.canonical(domain, rows) if row]
        return []

    def canonical(self, domain: Registered[Domain], rows: Sequence[Any]) -> list[Any]:
        """Return the canonical form of rows, None where there is none."""
        if domain.spec.canonical is None:
            return list(rows)
        from taglm_core.specs.reference import resolve

        return list(resolve(domain.spec.canonical, f"domain {domain.name}")(list(rows)).values)

    def _random(self, domain: Registered[Domain]) -> list[Any]:
        if domain.spec.encoder == "text" or domain.spec.columns:
            return []
        encoder = self.encoder(domain)
        rng = np.random.default_rng(0)
        drawn = [
            rng.integers(0, len(encoder.symbols), size=rng.integers(1, 24)).tolist()
            for _ in range(_RANDOM_ROWS)
        ]
        rows = [encoder.decode(ids) for ids in drawn]
        errors = encoder.encode_batch(rows).errors
        return self.canonical(domain, [r for r, e in zip(rows, errors, strict=True) if e is None])

    def resolved(self, task: Registered[Task]) -> ResolvedTask:
        """Return a task with everything that it names looked up."""
        return resolve_task(task.spec, task.source.name, self.registry)

    def dataset_of(self, task: Registered[Task]) -> Registered[Dataset]:
        """Return a task's dataset.

        Raises:
            NotApplicable: when it has none, so that its rows come from the user's file.
        """
        if task.spec.dataset is None:
            raise NotApplicable("the task has no dataset of its own; its rows come from a file")
        where = f"task {task.name}"
        return self.registry.datasets.get(task.spec.dataset, task.source.name, where)

    def fields(self, task: Registered[Task], resolved: ResolvedTask) -> dict[str, list[Any]]:
        """Return canonical fields of a task's dataset, rows with an error skipped.

        Raises:
            NotApplicable: when the task has no dataset.
        """
        table = self.table(self.dataset_of(task))
        raw, _ = read_fields(table, resolved, {})
        fields, errors = canonical_fields(raw, resolved)
        good = [i for i, error in enumerate(errors) if error is None]
        return {name: [rows[i] for i in good] for name, rows in fields.items()}


@attrs.frozen
class Subject:
    """One object under check."""

    context: Context
    """The plugin, and rows that its checks share."""
    item: Registered[Any]
    """The object with its full name."""

    @property
    def spec(self) -> Any:
        """What the plugin declared."""
        return self.item.spec

    @property
    def registry(self) -> Registry:
        """Where names are looked up."""
        return self.context.registry


def first(columns: Mapping[str, Sequence[Any]], count: int) -> dict[str, list[Any]]:
    """Return the first rows of columns."""
    return {name: list(rows[:count]) for name, rows in columns.items()}
