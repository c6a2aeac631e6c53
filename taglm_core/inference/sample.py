"""Drawing rows from a domain by its own decode loop, and what can be said about them."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.errors import UnknownNameError, listed, nearest
from taglm_core.inference.domains import TrainedDomain
from taglm_core.model.sampling import RowDraws, row_seed
from taglm_core.plugins import Registry
from taglm_core.plugins.resolved import resolve_task
from taglm_core.specs import Regression
from taglm_core.specs.reference import resolve

_BINS = 12
_BYTES = 2**30
_FEWEST_ROWS, _MOST_ROWS = 16, 512
_CROWDED = 0.8
"""Share of a batch that is still drawn below which the rows that have ended leave it."""
_MOST_CORPUS_ROWS = 1000
"""Corpus rows whose properties stand beside those of the drawn ones."""


@attrs.frozen
class Drawn:
    """Rows drawn from a domain."""

    rows: list[str]
    is_finished: list[bool]
    """False: cut at the longest length before the end was drawn."""


@torch.no_grad()
def draw(
    trained: TrainedDomain,
    count: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_length: int = 256,
    seed: int = 0,
    batch_size: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Drawn:
    """Draw rows symbol by symbol from the domain's softmax.

    Each row has random numbers of its own, so the batch size changes nothing.

    Args:
        trained: The domain, with or without its tag.
        count: How many rows.
        temperature: Divides the logits.
        top_p: Share of probability that is kept, the most probable symbols first.
        max_length: Most symbols of a row.
        seed: Seed of the draws.
        batch_size: Rows that are drawn at a time; None: as many as fit into 1 GiB, at most 512.
        on_progress: Called with the number of rows done.
    """
    pieces: list[list[int]] = []
    finished: list[bool] = []
    limit = min(max_length, trained.model.backbone.max_positions - len(trained.before()))
    start = _start(trained)
    if batch_size is None:
        batch_size = _fitting(start[0], limit)
    for first in range(0, count, batch_size):
        numbers = range(first, min(first + batch_size, count))
        seeds = [row_seed(seed, str(number).encode()) for number in numbers]
        ids, ended = _batch(trained, start, RowDraws(seeds, temperature, top_p), limit)
        pieces += ids
        finished += ended
        if on_progress is not None:
            on_progress(len(pieces))
    return Drawn([trained.decode(piece) for piece in pieces], finished)


def _start(trained: TrainedDomain) -> tuple[Any, Tensor]:
    """Run what stands before every row once.

    Returns:
        A transformers cache of one row, and the logits of the first symbol, `(1, symbols + 1)`.
    """
    from transformers import DynamicCache

    backbone, cache = trained.model.backbone, DynamicCache()
    ids = torch.from_numpy(trained.before().astype(np.int64)).to(backbone.device).unsqueeze(0)
    positions = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
    states = backbone.hidden_states(trained.model.embed(ids), None, positions, cache)
    logits = trained.softmax.logits(states[:, -1])
    logits[:, trained.softmax.end] = -torch.inf  # an empty row is no row
    return cache, logits


def _fitting(cache: Any, limit: int) -> int:
    """Return how many rows of `limit` symbols have room for their keys and values."""
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    row = held * (1 + limit / cache.get_seq_length())
    return max(_FEWEST_ROWS, min(_MOST_ROWS, int(_BYTES / row)))


def _batch(
    trained: TrainedDomain, start: tuple[Any, Tensor], draws: RowDraws, limit: int
) -> tuple[list[list[int]], list[bool]]:
    """Draw one batch; rows that have ended leave it once they are a share of it."""
    backbone, end = trained.model.backbone, trained.softmax.end
    count = len(draws.generators)
    cache = copy.deepcopy(start[0])
    cache.batch_repeat_interleave(count)
    logits = start[1].expand(count, -1)
    present = list(range(count))  # the row at each place of the batch
    pieces: list[list[int]] = [[] for _ in range(count)]
    is_done = [False] * count
    past = len(trained.before())
    while True:
        going = [place for place, row in enumerate(present) if not is_done[row]]
        rows = [present[place] for place in going]
        last = torch.zeros(len(present), dtype=torch.long)
        for place, row, symbol in zip(
            going, rows, draws.draw(logits[going], rows).tolist(), strict=True
        ):
            if symbol == end:
                is_done[row] = True
            else:
                pieces[row].append(symbol)
                last[place] = symbol + trained.base
        going = [place for place in going if not is_done[present[place]]]
        if not going or len(pieces[present[going[0]]]) >= limit:
            return pieces, is_done
        if len(going) <= _CROWDED * len(present):  # each time copies the cache
            cache.batch_select_indices(torch.tensor(going, device=backbone.device))
            present, last = [present[place] for place in going], last[going]
        ids = last.unsqueeze(1).to(backbone.device)  # (batch, 1)
        positions = torch.full_like(ids, past)
        states = backbone.hidden_states(trained.model.embed(ids), None, positions, cache)
        logits = trained.softmax.logits(states[:, -1])  # (batch, symbols + 1)
        past += 1


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
    return {
        name: _histograms(found.values(rows), found.values(beside), found.unit)
        for name, found in computed_properties(trained, registry).items()
    }


@attrs.frozen
class ComputedProperty:
    """A number that a task computes from rows of a domain alone."""

    compute: Callable[..., Any]
    field: str
    target: int
    """Which of the task's targets."""
    unit: str

    def values(self, rows: Sequence[str]) -> np.ndarray:
        """Return the property of valid rows, float64 `(rows,)`; NaN where there is none."""
        if not rows:
            return np.zeros(0)
        values = np.asarray(self.compute({self.field: list(rows)}), dtype=np.float64)
        numbers: np.ndarray = values.reshape(len(rows), -1)[:, self.target]
        return numbers


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
                found[name] = ComputedProperty(compute, task.span_fields[0], k, target.unit)
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
