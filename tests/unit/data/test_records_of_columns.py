"""Rows that are records of several columns, from a file to the fields of a task."""

import types

import attrs
import numpy as np
import pluggy
import pytest

import taglm_core as taglm
from taglm_core.data.corpus import corpus_rows
from taglm_core.data.fields import canonical_fields, is_empty, read_fields
from taglm_core.data.table import Table
from taglm_core.data.targets import read_targets
from taglm_core.errors import ConfigError
from taglm_core.inference.columns import field_columns
from taglm_core.plugins import load_registry
from taglm_core.plugins.resolved import resolve_task
from taglm_core.specs import Checked

hookimpl = pluggy.HookimplMarker("taglm")


def canonical(rows):
    """Refuse a record without its second cell."""
    errors = [None if row[1] else "b is missing" for row in rows]
    return Checked([row if not e else None for row, e in zip(rows, errors, strict=True)], errors)


def numbers(*, seed, size):
    """Give two columns of numbers."""
    return {"a": np.arange(3.0), "b": [1, 2, 3]}


@pytest.fixture
def task():
    """Return a task on a domain of the columns a and b, and its registry."""
    here = __name__
    domain = taglm.Domain(
        tag="Pair",
        field="pair",
        columns=("a", "b"),
        encoder="unused:Encoder",
        canonical=f"{here}:canonical",
        corpus="numbers",
    )
    declared = taglm.Task(
        name="Sum",
        function_tag="Sum",
        template="<Pair>{pair}<Sum>",
        target=taglm.Regression(names="y"),
    )
    dataset = taglm.Dataset(name="numbers", load=f"{here}:numbers", columns=("a", "b"))
    made = types.SimpleNamespace()
    for name, item in (("domains", domain), ("tasks", declared), ("datasets", dataset)):

        def give(item=item):
            return [item]

        give.__name__ = f"register_{name}"
        setattr(made, give.__name__, hookimpl(give))
    registry = load_registry(only=(), extra=[("mine", made)])
    assert registry.failures == []
    return resolve_task(registry.tasks.get("Sum").spec, "mine", registry), registry


def test_cells_become_tuples_and_bad_records_blank_ones(task):
    """Encoders get tuples of the same width for every row, bad ones included."""
    resolved, _ = task
    table = Table({"A": ["1", "", "3"], "b": [2.5, None, None]}, [1, 2, 3], "in.csv")
    raw, columns = read_fields(table, resolved, {})
    assert columns == {"a": "A", "b": "b"}
    fields, errors = canonical_fields(raw, resolved)
    assert fields["pair"] == [("1", "2.5"), ("", ""), ("", "")]
    assert errors == [None, "pair: empty", "pair: b is missing"]


def test_a_corpus_of_records(task):
    """Stage 1 reads the same columns; numbers become text."""
    resolved, registry = task
    domain = resolved.domains["Pair"]
    rows, source, _ = corpus_rows(domain, registry, None, 0, None, "raise")
    assert rows == [("0.0", "1"), ("1.0", "2"), ("2.0", "3")]
    assert source == "mine/numbers"


def test_records_are_written_as_their_columns(task):
    """A prediction file has a column for each part of a record."""
    resolved, _ = task
    assert field_columns(resolved, "pair", [("1", "2"), ("3", "4")]) == {
        "a": ["1", "3"],
        "b": ["2", "4"],
    }
    assert field_columns(resolved, "pair", []) == {"a": [], "b": []}


@pytest.mark.parametrize(
    ("row", "empty"), [("", True), ("x", False), (("", ""), True), (("", "x"), False)]
)
def test_empty_rows(row, empty):
    """A record is empty when all of its cells are; some may be missing."""
    assert is_empty(row) is empty


def kinds(columns):
    """Give a class for each record, none where b is 9."""
    return [None if b == "9" else "small" if float(b) < 5 else "large" for _, b in columns["pair"]]


def test_computed_classes(task):
    """A class is computed from canonical rows; a row without one carries the reason."""
    resolved, _ = task
    target = taglm.Classification(names=("kind",), compute=f"{__name__}:kinds")
    changed = attrs.evolve(resolved, spec=attrs.evolve(resolved.spec, target=target))
    fields = {"pair": [("1", "2"), ("", ""), ("1", "7"), ("1", "9")]}
    errors = [None, "pair: empty", None, None]
    table = Table({"a": [""] * 4, "b": [""] * 4}, [1, 2, 3, 4], "in.csv")
    words, columns, errors = read_targets(table, changed, fields, errors, {})
    assert words == ["small", None, "large", None]
    assert columns == {}
    assert errors == [None, "pair: empty", None, "kind cannot be computed"]


def test_a_record_is_no_text():
    """The LM's tokenizer would read a tuple as a pair of texts."""
    with pytest.raises(ConfigError, match="Name another encoder"):
        taglm.Domain(tag="Pair", field="pair", columns=("a", "b"))
