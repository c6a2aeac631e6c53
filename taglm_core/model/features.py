"""Features beside the states: what domains compute of a row, numbers and categories of text."""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.data.kept import kept_rows
from taglm_core.errors import PluginError
from taglm_core.plugins import Registry
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs.isolation import call_plugin
from taglm_core.specs.reference import resolve

NUMBER = "number"
"""Kind of a text field that is read as a number, such as a temperature."""
CATEGORY = "category"
"""Kind of a text field whose few values are told apart, such as a cell line."""
DESCRIPTORS, FEATURES = KINDS = ("descriptors", "features")
"""Functions of a domain that a head may read."""

_MOST_CATEGORIES = 256
_TIMED = 32
"""Distinct values of a field that are read to measure the pace."""
_FEWEST_ROWS_A_CATEGORY = 10


@attrs.frozen(kw_only=True)
class FeatureRecord:
    """One source of features, as an artifact keeps it."""

    field: str
    """Field of the task."""
    kind: str
    """descriptors or features: that function of the domain; number or category: the field."""
    domain: str = ""
    """Full name of the domain; "" for a text field."""
    width: int = 1
    """Columns that it gave in training."""
    values: tuple[str, ...] = ()
    """Of a category: those of training, a column each; a row with another has zeros."""


@attrs.frozen
class FeatureReader:
    """Reads the features of rows from their fields."""

    records: tuple[FeatureRecord, ...]
    _functions: tuple[Callable[[Sequence[Any]], np.ndarray] | None, ...]

    @staticmethod
    def of_records(records: Sequence[FeatureRecord], registry: Registry) -> "FeatureReader":
        """Return the reader of an artifact's features.

        Raises:
            UnknownNameError: when no plugin provides a domain.
        """
        functions: list[Callable[[Sequence[Any]], np.ndarray] | None] = []
        for record in records:
            if record.kind in (NUMBER, CATEGORY):
                functions.append(None)
                continue
            spec = registry.domains.get(record.domain, where="features of the head").spec
            reference = getattr(spec, record.kind)
            where = f"domain {record.domain}, {record.kind}"
            title = f"{record.kind} of {record.field}"
            functions.append(partial(kept_rows, reference, resolve(reference, where), title))
        return FeatureReader(tuple(records), tuple(functions))

    @property
    def sources(self) -> list[list[str]]:
        """Return field and kind of each source."""
        return [[record.field, record.kind] for record in self.records]

    @property
    def blocks(self) -> tuple[int, ...]:
        """Return the number of columns of each source."""
        return tuple(record.width for record in self.records)

    def errors(self, fields: Mapping[str, Sequence[Any]]) -> list[str | None]:
        """Return one error or None a row: a field read as a number has to hold one."""
        found: list[str | None] = [None] * len(next(iter(fields.values()), ()))
        for record in self.records:
            if record.kind == NUMBER:
                for row, value in enumerate(fields[record.field]):
                    if found[row] is None and not math.isfinite(as_number(value)):
                        found[row] = f"{record.field}: {str(value)[:40]!r} is not a number"
        return found

    def reading_seconds(self, fields: Mapping[str, Sequence[Any]]) -> float:
        """Return about how long `read` takes, from a few distinct values of each field."""
        seconds = 0.0
        for record, function in zip(self.records, self._functions, strict=True):
            distinct = list(dict.fromkeys(fields[record.field]))
            timed = distinct[:: max(1, len(distinct) // _TIMED)][:_TIMED]
            if function is None or not timed:
                continue
            began = time.monotonic()
            call_plugin(partial(function, timed))
            seconds += (time.monotonic() - began) * len(distinct) / len(timed)
        return seconds

    def read(self, fields: Mapping[str, Sequence[Any]]) -> Tensor:
        """Return the features of valid rows, fp32 `(rows, sum of blocks)`.

        Raises:
            PluginError: when a domain's function fails or gives another number of columns.
        """
        made = [
            _columns(record, function, fields[record.field])
            for record, function in zip(self.records, self._functions, strict=True)
        ]
        return torch.from_numpy(np.concatenate(made, axis=1))


def _columns(
    record: FeatureRecord,
    function: Callable[[Sequence[Any]], np.ndarray] | None,
    rows: Sequence[Any],
) -> np.ndarray:
    if record.kind == CATEGORY:
        return _one_hot(record.values, rows)
    if function is None:
        return np.array([[as_number(value)] for value in rows], np.float32).reshape(len(rows), 1)
    distinct = list(dict.fromkeys(rows))
    values = np.asarray(call_plugin(partial(function, distinct)), dtype=np.float32)
    if values.shape != (len(distinct), record.width):
        raise PluginError(
            f"domain {record.domain}, {record.kind}: the shape is {values.shape} for "
            f"{len(distinct)} rows, but the head was trained with {record.width} columns. Install "
            "the version of the plugin that it was trained with, or train again."
        )
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    place = {row: number for number, row in enumerate(distinct)}
    found: np.ndarray = values[[place[row] for row in rows]]
    return found


def _one_hot(values: Sequence[str], rows: Sequence[Any]) -> np.ndarray:
    """Return float32 `(rows, values)`: 1 where a row has a value."""
    place = {value: number for number, value in enumerate(values)}
    found = np.zeros((len(rows), len(values)), np.float32)
    for number, value in enumerate(rows):
        if (column := place.get(str(value))) is not None:
            found[number, column] = 1.0
    return found


def as_number(value: Any) -> float:
    """Return the number that a cell holds, NaN if it holds none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def feature_reader(
    task: ResolvedTask,
    registry: Registry,
    kinds: Sequence[str],
    train: Mapping[str, Sequence[Any]],
    only: Collection[Sequence[str]] | None = None,
) -> FeatureReader | None:
    """Return a reader of everything that a task's fields offer; None if that is nothing.

    Args:
        task: Whose fields.
        registry: Where domains are looked up.
        kinds: Which functions of the domains.
        train: Fields of the training rows: a text field that holds numbers alone is one feature,
            one of few values that recur is a feature for each value.
        only: Field and kind of each source to read, as `FeatureReader.sources` gives them; None:
            all that there are.
    """

    def is_asked(field: str, kind: str) -> bool:
        return only is None or [field, kind] in map(list, only)

    records = []
    for field in task.span_fields:
        domain = task.domain_of_field(field)
        for kind in kinds:
            reference = None if domain is None else getattr(domain.spec, kind)
            if domain is None or reference is None or not is_asked(field, kind):
                continue
            function = resolve(reference, f"domain {domain.name}, {kind}")
            first = list(train[field][:1])
            width = np.asarray(call_plugin(partial(function, first))).shape[1]
            record = FeatureRecord(field=field, kind=kind, domain=domain.name, width=int(width))
            records.append(record)
    for field in task.prompt.text_fields:
        kind, values = _text_kind(train[field], is_known=only is not None)
        if kind and is_asked(field, kind):
            width = max(1, len(values))
            records.append(FeatureRecord(field=field, kind=kind, width=width, values=values))
    return FeatureReader.of_records(records, registry) if records else None


def _text_kind(rows: Sequence[Any], is_known: bool) -> tuple[str, tuple[str, ...]]:
    """Return how a text field is read, "" if it is not, and the values of a category.

    Args:
        rows: Its values in the training rows.
        is_known: Whether it is known that the field is read: many categories are no reason then.
    """
    numbers = [as_number(value) for value in rows]
    if all(map(math.isfinite, numbers)):
        return (NUMBER if len(set(numbers)) > 1 else ""), ()
    values = tuple(sorted({str(value) for value in rows}))
    most = min(_MOST_CATEGORIES, len(rows) // _FEWEST_ROWS_A_CATEGORY)
    return (CATEGORY, values) if is_known or 1 < len(values) <= most else ("", ())
