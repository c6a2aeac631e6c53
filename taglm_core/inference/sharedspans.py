"""Spans that are computed in one process and read in others: taken from a cache, put into one."""

import time
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch

from taglm_core.data.fields import read_fields
from taglm_core.data.table import Table
from taglm_core.errors import DataError
from taglm_core.inference.predictor import Predictor
from taglm_core.model.prefix_cache import TEXT, CachedRows, bytes_per_token
from taglm_core.specs.prompt import FieldPart


@attrs.frozen(kw_only=True)
class SpanFacts:
    """What a predictor says of its spans: plain data."""

    columns: dict[str, tuple[str, ...]]
    """Field of a span -> the columns of the table that hold it."""
    tokens: dict[str, float]
    """Field -> mean tokens of a span in the sample."""
    token_bytes: int
    """Bytes of the keys and values of one token."""
    token_seconds: float
    """Seconds of computing one token here, in a batch."""
    reason: str = ""
    """Why spans cannot be shared; "": they can."""


@attrs.frozen(kw_only=True)
class SpanBundle:
    """Computed spans, in arrays that other processes read where they lie."""

    keys: tuple[bytes, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtype: str
    """Name of the torch type, such as "bfloat16", which numpy does not have."""
    data: np.ndarray
    """uint8: the spans one after the other."""
    layout: str
    """Places of symbols and tags among the ids of which keys are made; a predictor that laid them
    out in another way does not read the bundle."""


def read_facts(
    predictor: Predictor, sample: Table, mapping: Mapping[str, str], fix: bool
) -> SpanFacts:
    """Say which columns hold spans, and what a span costs, measured on a sample.

    Args:
        predictor: Runs them.
        sample: Rows of the table, as distinct as can be had.
        mapping: Field -> column, as the user gave it.
        fix: Whether rows are fixed first.
    """
    task, backbone = predictor.task_model.task, predictor.task_model.model.backbone
    spans = tuple(dict.fromkeys(part.field for part in task.prompt.spans))
    size = bytes_per_token(backbone, next(backbone.model.parameters()).element_size())
    reason = _why_not(predictor)
    try:
        _, columns = read_fields(sample, task, predictor.mapping(sample, mapping))
    except DataError:  # said where the rows are predicted
        columns, reason = {}, "the rows cannot be read"
    if reason:
        return SpanFacts(columns={}, tokens={}, token_bytes=size, token_seconds=0.0, reason=reason)
    tokens, seconds = _measured(predictor, sample, mapping, fix, spans)
    return SpanFacts(
        columns={field: _columns_of(predictor, field, columns) for field in spans},
        tokens=tokens,
        token_bytes=size,
        token_seconds=seconds,
        reason="" if tokens else "none of the first rows can be predicted",
    )


def _columns_of(predictor: Predictor, field: str, columns: Mapping[str, str]) -> tuple[str, ...]:
    domain = predictor.task_model.task.domain_of_field(field)
    names = domain.spec.columns if domain is not None and field == domain.spec.field else ()
    return tuple(columns[name] for name in (names or (field,)))


def _why_not(predictor: Predictor) -> str:
    """Return why spans cannot be shared."""
    task_model = predictor.task_model
    cache, parts = task_model.prefix_cache, task_model.task.prompt.parts
    if cache is None:
        return "nothing is cached (--cache off, or a task that writes text)"
    if not task_model.task.prompt.spans:
        return "the prompt holds no span of a domain"
    if task_model.demonstrations is not None:
        return "demonstrations stand before the spans"
    if cache.rotation is None:
        return cache.reason or "the backbone cannot read a span at another place"
    if task_model.task.prompt.tag_columns:
        return "a column names the tags row by row"
    before = parts[
        : next(i for i, part in enumerate(parts) if part in task_model.task.prompt.spans)
    ]
    if any(isinstance(part, FieldPart) for part in before):
        return "a column of text stands before the first span"
    if len(task_model.task.prompt.spans) > 1 and not task_model.is_isolated:
        return "a span attends to what is before it (attention causal)"
    return ""


def _measured(
    predictor: Predictor,
    sample: Table,
    mapping: Mapping[str, str],
    fix: bool,
    fields: Sequence[str],
) -> tuple[dict[str, float], float]:
    """Return the mean tokens of a span of each field, and the seconds of computing a token."""
    cached = _divided(predictor, sample, mapping, fix)
    if cached is None:
        return {}, 0.0
    slots = [slot for slot, kind in enumerate(cached.segments.kinds) if kind != TEXT]
    lengths = np.diff(cached.segments.boundaries, axis=1)
    tokens = {
        field: float(lengths[:, slot].mean()) for field, slot in zip(fields, slots, strict=False)
    }
    cached.store.keep_only(set())
    began = time.perf_counter()
    cached.fill()
    seconds = time.perf_counter() - began
    cached.store.keep_only(set())
    return tokens, seconds / max(1, int(cached.segments.sizes.sum()))


def _divided(
    predictor: Predictor, table: Table, mapping: Mapping[str, str], fix: bool
) -> CachedRows | None:
    """Return the valid rows of a table, divided into segments; None: no row is valid."""
    task_model = predictor.task_model
    try:
        rows = predictor.read(table, mapping, fix)
    except DataError:  # said where the rows are predicted
        return None
    prepared = task_model.prepare(rows.fields, rows.errors)
    cache = task_model.prefix_cache
    if prepared.rows is None or cache is None or not cache.fits(prepared.rows):
        return None
    return cache.rows(prepared.rows, task_model.is_isolated, predictor.max_tokens, with_text=False)


def compute_spans(
    predictor: Predictor,
    table: Table,
    fields: Collection[str],
    mapping: Mapping[str, str],
    fix: bool,
) -> SpanBundle:
    """Compute the spans of some rows, for other processes.

    Args:
        predictor: Runs them.
        table: Rows that hold them.
        fields: Fields whose spans are wanted.
        mapping: Field -> column, as the user gave it.
        fix: Whether rows are fixed first.
    """
    cached = _divided(predictor, table, mapping, fix)
    if cached is None:
        return SpanBundle(keys=(), shapes=(), dtype="", data=np.zeros(0, np.uint8), layout="")
    cached.store.keep_only(set())
    slots = _slots_of(predictor, cached, fields)
    cached.fill(slots=slots)
    found = {}
    for key, slot in zip(cached.segments.keys, cached.segments.slot_of, strict=True):
        segment = cached.store.get(key) if slot in slots else None
        if segment is not None:
            found[key] = segment.cpu().contiguous()
    cached.store.keep_only(set())
    pieces = [segment.flatten().view(torch.uint8).numpy() for segment in found.values()]
    types = {str(segment.dtype).removeprefix("torch.") for segment in found.values()}
    return SpanBundle(
        keys=tuple(found),
        shapes=tuple(tuple(segment.shape) for segment in found.values()),
        dtype=next(iter(types), ""),
        data=np.concatenate(pieces) if pieces else np.zeros(0, np.uint8),
        layout=repr(predictor.task_model.model.layout),
    )


def _slots_of(predictor: Predictor, cached: CachedRows, fields: Collection[str]) -> list[int]:
    """Return the slots that hold the spans of some fields; of a symmetric task any may."""
    task = predictor.task_model.task
    slots = [slot for slot, kind in enumerate(cached.segments.kinds) if kind != TEXT]
    if len(list(task.orders({field: [] for field in task.fields}))) > 1:
        return slots
    if len(slots) == 1:
        return slots
    return [s for s, p in zip(slots, task.prompt.spans, strict=True) if p.field in fields]


def take_spans(predictor: Predictor, bundles: Sequence[SpanBundle]) -> None:
    """Offer a predictor spans that its next rows may need, instead of those offered before."""
    cache = predictor.task_model.prefix_cache
    if cache is None:
        return
    offered: dict[bytes, torch.Tensor] = {}
    layout = repr(predictor.task_model.model.layout)
    for bundle in bundles:
        if bundle.layout != layout:
            continue
        begin = 0
        kind: Any = getattr(torch, bundle.dtype, None)
        for key, shape in zip(bundle.keys, bundle.shapes, strict=True):
            size = int(np.prod(shape)) * kind.itemsize
            offered[key] = _read_only(bundle.data[begin : begin + size]).view(kind).view(shape)
            begin += size
    cache.offered = offered


def _read_only(data: np.ndarray) -> torch.Tensor:
    """Return bytes as a tensor that nobody writes to, without a copy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that memory shared by processes cannot be written
        return torch.from_numpy(data)
