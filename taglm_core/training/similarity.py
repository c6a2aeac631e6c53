"""What a predictor keeps of its training rows, and how like them a row has to be."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from taglm_core.errors import PluginError
from taglm_core.model.similarity import (
    MOST_WIDTH,
    Nearest,
    SimilarityReader,
    SimilarityRecord,
    chosen_rows,
    fingerprint_function,
    fingerprints,
    packed,
)
from taglm_core.training.plan import Plan

QUANTILE = 0.05
"""Share of the rows that gave a threshold that may be less similar."""

_MOST_COMPARED = 1000


def fit_similarity(plan: Plan) -> SimilarityReader | None:
    """Return what compares rows with the training rows; None where no domain has fingerprints."""
    records: list[SimilarityRecord] = []
    tensors: dict[str, Any] = {}
    for fields in _field_groups(plan):
        record, held = _fit(plan, fields)
        records.append(record)
        tensors |= held
    return SimilarityReader.of_records(records, tensors, plan.registry) if records else None


def _field_groups(plan: Plan) -> list[tuple[str, ...]]:
    """Return the fields that have fingerprints, those together that may change places."""
    groups: list[tuple[str, ...]] = []
    for field in plan.task.span_fields:
        domain = plan.task.domain_of_field(field)
        if domain is None or domain.spec.fingerprint is None or any(field in g for g in groups):
            continue
        partners = next((pair for pair in plan.task.symmetric if field in pair), (field,))
        groups.append(tuple(partners))
    return groups


def _fit(plan: Plan, fields: tuple[str, ...]) -> tuple[SimilarityRecord, dict[str, Any]]:
    domain = plan.task.domain_of_field(fields[0])
    assert domain is not None, "of a field that has fingerprints"
    function = fingerprint_function(plan.registry, domain.name, fields[0])
    train = list(dict.fromkeys(_values(plan, fields, ("train",))))
    width = np.asarray(function(train[:1])).shape[-1]
    if width > MOST_WIDTH:
        raise PluginError(
            f"domain {domain.name}, fingerprint: {width:,} positions; at most {MOST_WIDTH:,} can "
            "be kept."
        )
    record = SimilarityRecord(
        fields=fields,
        domain=domain.name,
        width=width,
        threshold=0.0,
        kept=0,
        distinct=len(train),
        basis="train",
    )
    is_set = fingerprints(record, function, train)
    kept = is_set[chosen_rows(is_set, plan.config.seed)]
    nearest = Nearest(kept)
    rng = np.random.default_rng([plan.config.seed, 5])
    quantiles = {"train": _quantile(_among(kept, nearest, rng))}
    held_out = _sampled(_values(plan, fields, ("valid", "test")), rng)
    if held_out:
        distinct = list(dict.fromkeys(held_out))
        found, _ = nearest.find(fingerprints(record, function, distinct))
        of_value = dict(zip(distinct, found.tolist(), strict=True))
        quantiles["valid and test"] = _quantile([of_value[value] for value in held_out])
    # a row that is as near to training rows as they are to each other is not unlike them
    basis = min(quantiles, key=lambda name: quantiles[name])
    record = attrs.evolve(record, threshold=quantiles[basis], kept=len(kept), basis=basis)
    positions, sizes = packed(kept)
    return record, {f"{fields[0]}.positions": positions, f"{fields[0]}.sizes": sizes}


def _values(plan: Plan, fields: Sequence[str], splits: Sequence[str]) -> list[Any]:
    held: Mapping[str, Sequence[Any]] = plan.rows.fields
    return [
        held[field][i] for split in splits for i in plan.rows.of_split(split) for field in fields
    ]


def _sampled(values: Sequence[Any], rng: np.random.Generator) -> list[Any]:
    if len(values) <= _MOST_COMPARED:
        return list(values)
    return [values[i] for i in rng.choice(len(values), _MOST_COMPARED, replace=False)]


def _among(kept: np.ndarray, nearest: Nearest, rng: np.random.Generator) -> list[float]:
    """Return the similarity of training values to the most similar of the others."""
    if len(kept) < 2:
        return [1.0]
    chosen = _sampled(range(len(kept)), rng)
    similarities = nearest.similarities(kept[chosen])
    similarities[np.arange(len(chosen)), chosen] = -1
    best: list[float] = similarities.max(axis=1).tolist()
    return best


def _quantile(values: Sequence[float]) -> float:
    """Return a similarity that all but `QUANTILE` of the values reach, of four digits."""
    return math.floor(float(np.quantile(values, QUANTILE, method="lower")) * 1e4) / 1e4
