"""What can be said about rows that were drawn from a domain."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from taglm_core.errors import UnknownNameError, listed, nearest
from taglm_core.inference.domains import TrainedDomain
from taglm_core.inference.drawing import Drawn
from taglm_core.plugins import Registry
from taglm_core.plugins.resolved import resolve_task
from taglm_core.specs import Regression
from taglm_core.specs.reference import resolve

_BINS = 12
_MOST_CORPUS_ROWS = 1000
"""Corpus rows whose properties stand beside those of the drawn ones."""


def check(trained: TrainedDomain, drawn: Drawn) -> tuple[list[str | None], list[str | None]]:
    """Return each row's canonical form, None where it is not valid, and what is wrong with it.

    A domain without a check of its own accepts every row that its encoder accepts.
    """
    spec = trained.domain.spec
    errors = [None if fine else "cut before its end" for fine in drawn.is_finished]
    values: list[str | None] = [None] * len(errors)
    fine = [i for i, error in enumerate(errors) if error is None]
    rows = [drawn.rows[i] for i in fine]
    if spec.canonical is not None:
        checked, reasons = resolve(spec.canonical, f"domain {trained.name}, canonical")(rows)
    elif trained.encoder is not None:
        checked, reasons = rows, trained.encoder.encode_batch(rows).errors
    else:
        checked, reasons = rows, [None if row.strip() else "empty" for row in rows]
    for i, value, reason in zip(fine, checked, reasons, strict=True):
        values[i], errors[i] = (value if reason is None else None), reason
    return values, errors


def chosen_metrics(trained: TrainedDomain, names: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """Return the functions of a domain's metrics by name.

    Raises:
        UnknownNameError: for one that the domain does not have.
    """
    known = trained.domain.spec.sample_metrics
    for name in names:
        if name not in known:
            raise UnknownNameError(
                f"domain {trained.name}: unknown metrics '{name}'.{nearest(name, known)} "
                f"Available: {listed(known) or 'none'}."
            )
    where = f"domain {trained.name}, metrics"
    return {name: resolve(known[name], f"{where} {name}") for name in names}


def summary(
    trained: TrainedDomain,
    drawn: Drawn,
    canonical: Sequence[str | None],
    known: Sequence[str] | None,
) -> dict[str, Any]:
    """Return validity, uniqueness and novelty of drawn rows.

    Args:
        trained: The domain.
        drawn: The rows.
        canonical: Their canonical forms, None where not valid.
        known: Canonical rows of the corpus; None: novelty is not known.
    """
    valid = [value for value in canonical if value is not None]
    distinct = set(valid)
    share = {
        "valid": len(valid) / len(canonical),
        "unique": len(distinct) / len(valid) if valid else None,
        "novel": None,
    }
    if known is not None and distinct:
        share["novel"] = len(distinct - set(known)) / len(distinct)
    lengths = [len(row) for row in drawn.rows]
    return {
        "domain": trained.name,
        "tag": trained.artifact is not None,
        "rows": len(canonical),
        "finished": sum(drawn.is_finished) / len(canonical),
        **share,
        "mean_length": float(np.mean(lengths)),
        "checked_by": trained.domain.spec.canonical or "the encoder alone",
    }


def properties(
    trained: TrainedDomain,
    rows: Sequence[str],
    corpus: Sequence[str],
    registry: Registry,
    seed: int = 0,
) -> dict[str, Any]:
    """Return histograms of the properties that tasks of this domain compute.

    Args:
        trained: The domain.
        rows: Valid rows.
        corpus: Rows to compare with, of which at most 1,000 are drawn; may be empty.
        registry: Its tasks with computed labels on this domain alone are used.
        seed: Decides which corpus rows.

    Returns:
        Target -> mean, standard deviation and counts in common bins, for the rows and the corpus.
    """
    order = np.random.default_rng(seed).permutation(len(corpus))[:_MOST_CORPUS_ROWS]
    beside = [corpus[i] for i in order]
    histograms: dict[str, Any] = {}
    made: dict[Callable[..., Any], tuple[np.ndarray, np.ndarray]] = {}
    for name, found in computed_properties(trained, registry).items():
        if found.compute not in made:  # a task computes all of its targets at once
            made[found.compute] = (found.all_values(rows), found.all_values(beside))
        drawn, others = (values[:, found.target] for values in made[found.compute])
        histograms[name] = _histograms(drawn, others, found.unit)
    return histograms


@attrs.frozen
class ComputedProperty:
    """A number that a task computes from rows of a domain alone."""

    compute: Callable[..., Any]
    field: str
    target: int
    """Which of the task's targets."""
    num_targets: int
    unit: str

    def values(self, rows: Sequence[str]) -> np.ndarray:
        """Return the property of valid rows, float64 `(rows,)`; NaN where there is none."""
        numbers: np.ndarray = self.all_values(rows)[:, self.target]
        return numbers

    def all_values(self, rows: Sequence[str]) -> np.ndarray:
        """Return all that the task computes of valid rows, float64 `(rows, targets)`."""
        if not rows:
            return np.zeros((0, self.num_targets))
        values = np.asarray(self.compute({self.field: list(rows)}), dtype=np.float64)
        return values.reshape(len(rows), -1)


def computed_properties(trained: TrainedDomain, registry: Registry) -> dict[str, ComputedProperty]:
    """Return the numbers that tasks compute from rows of a domain alone, by target."""
    found: dict[str, ComputedProperty] = {}
    for item in registry.tasks:
        target = item.spec.target
        if not isinstance(target, Regression) or target.compute is None:
            continue
        task = resolve_task(item.spec, item.source.name, registry)
        domains = {domain.name for domain in task.domains.values()}
        if domains != {trained.name} or len(task.span_fields) != 1:
            continue
        compute = resolve(target.compute, f"task {item.name}, target")
        for k, name in enumerate(target.names):
            if name not in found:
                found[name] = ComputedProperty(
                    compute, task.span_fields[0], k, len(target.names), target.unit
                )
    return found


def _histograms(drawn: np.ndarray, corpus: np.ndarray, unit: str) -> dict[str, Any]:
    both = np.concatenate([drawn, corpus])
    both = both[np.isfinite(both)]
    edges = np.histogram_bin_edges(both, bins=_BINS) if len(both) else np.zeros(0)
    record: dict[str, Any] = {"unit": unit, "edges": edges.tolist()}
    for name, values in (("drawn", drawn), ("corpus", corpus)):
        fine = values[np.isfinite(values)]
        if len(fine):
            record[name] = {
                "rows": len(fine),
                "mean": float(fine.mean()),
                "std": float(fine.std()),
                "counts": np.histogram(fine, bins=edges)[0].tolist(),
            }
    return record
