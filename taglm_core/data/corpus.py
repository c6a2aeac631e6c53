"""The corpus of a domain: unlabelled rows for stage 1, less everything in the test bucket."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taglm_core.data.columns import as_value, find_column
from taglm_core.data.mending import mend_rows, report_mended
from taglm_core.data.readers import read_table
from taglm_core.data.rows import (
    empty_reason,
    is_empty,
    load_dataset,
    reads_text,
    settle,
    with_place,
)
from taglm_core.data.splits import parts_by_groups
from taglm_core.data.table import Table
from taglm_core.errors import DataError
from taglm_core.plugins import Registered, Registry
from taglm_core.specs import Domain
from taglm_core.specs.reference import resolve

_LEAST_ROWS = 2
_ADVICE = "Rename the column in this file to '{field}'; the option --column is for other files."


def corpus_rows(
    domain: Registered[Domain],
    registry: Registry,
    file: str | None,
    seed: int,
    size: int | None,
    on_error: str,
    mend: bool = False,
) -> tuple[list[Any], str, int]:
    """Read a domain's corpus for stage 1, less everything in the test bucket.

    Args:
        domain: The domain.
        registry: Where its dataset and its split are looked up.
        file: Table of rows; None: the domain's own dataset.
        seed: Seed of the run.
        size: Rows that a generated dataset makes.
        on_error: What a bad row does, "raise" or "keep".
        mend: Whether rows are first mended by the domain's rules.

    Returns:
        Canonical rows, what they came from, and how many the test bucket took.

    Raises:
        DataError: when the domain has no corpus and no file was given.
        RowError: naming bad rows, unless `on_error` is keep.
    """
    spec = domain.spec
    table = _table(domain, registry, file, seed, size)
    aliases = () if spec.columns else spec.aliases
    names = spec.columns or (spec.field,)
    columns = [
        find_column(table.columns, name, aliases, {}, table.source, _ADVICE) for name in names
    ]
    taken = [table.columns[column] for column in columns]
    read = [v if spec.columns else v[0] for v in zip(*taken, strict=True)]
    rows = read
    if mend:
        rows, changes = mend_rows(rows, domain)
        pairs = zip(table.rows, changes, strict=True)
        report_mended(table, [(row, change) for row, change in pairs if change is not None])
    rows = [as_value(row, reads_text(domain)) for row in rows]
    errors: list[str | None] = [
        f"{spec.field}: {empty_reason(cell)}" if is_empty(row) else None
        for row, cell in zip(rows, read, strict=True)
    ]
    if spec.canonical is not None:
        checked = resolve(spec.canonical, f"domain {domain.name}, canonical")(rows)
        found = [e and with_place(e, row) for e, row in zip(checked.errors, rows, strict=True)]
        errors = [a or b for a, b in zip(errors, found, strict=True)]
        rows = [value or "" for value in checked.values]
    settle(table, errors, on_error)
    good = [i for i, error in enumerate(errors) if error is None]
    outside = _outside_bucket(domain, registry, table, rows, good)
    if len(outside) < _LEAST_ROWS:
        raise DataError(
            f"{table.source}: a corpus needs {_LEAST_ROWS} rows or more, one of them to score the "
            f"tag on, but {len(outside)} of {table.num_rows} can be used "
            f"({len(good) - len(outside)} belong to the test bucket). Give a file with more rows."
        )
    return [rows[i] for i in outside], table.source, len(good) - len(outside)


def _table(
    domain: Registered[Domain], registry: Registry, file: str | None, seed: int, size: int | None
) -> Table:
    if file is not None:
        return read_table(Path(file))
    if domain.spec.corpus is None:
        raise DataError(
            f"domain {domain.name} has no corpus of its own: give one with "
            f"--domain-data {domain.spec.tag}=FILE."
        )
    where = f"corpus of {domain.name}"
    found = registry.datasets.get(domain.spec.corpus, domain.source.name, where)
    return load_dataset(found, seed, size)


def _outside_bucket(
    domain: Registered[Domain],
    registry: Registry,
    table: Table,
    rows: Sequence[Any],
    good: Sequence[int],
) -> list[int]:
    """Return the good rows that the domain's split does not put into the test bucket."""
    if domain.spec.split is None:
        return list(good)
    where = f"domain {domain.name}"
    split = registry.splits.get(domain.spec.split, domain.source.name, where).spec
    if split.groups is None:
        return list(good)
    deciding = list(rows)
    column = next((name for name in split.keys if name in table.columns), None)
    if column is not None:
        held = [as_value(value) for value in table.columns[column]]
        # a record without the deciding column is its own key
        deciding = [key or row for key, row in zip(held, rows, strict=True)]
    keys = resolve(split.groups, f"split {domain.spec.split}")([deciding[i] for i in good])
    return [i for i, part in zip(good, parts_by_groups(keys), strict=True) if part != "test"]
