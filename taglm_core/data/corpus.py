"""The corpus of a domain: unlabeled rows for stage 1, less everything in the test bucket."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from taglm_core.data.columns import as_value, find_column
from taglm_core.data.datasets import load_dataset
from taglm_core.data.doubt import check_rows
from taglm_core.data.fields import empty_reason, is_empty, reads_text, with_place
from taglm_core.data.fixing import fix_rows, report_fixed
from taglm_core.data.kept import kept_result
from taglm_core.data.readers import read_table
from taglm_core.data.rowerrors import skip_errors
from taglm_core.data.splits import NUM_BUCKETS, splits_by_groups
from taglm_core.data.table import Table
from taglm_core.errors import DataError
from taglm_core.plugins import Registered, Registry
from taglm_core.specs import Domain, Splitter
from taglm_core.specs.codestamp import code_stamp
from taglm_core.specs.encoding import first_errors
from taglm_core.specs.reference import resolve

_LEAST_ROWS = 2
_ADVICE = "Rename the column in this file to '{field}'; the option --column is for other files."


@attrs.define(kw_only=True, slots=False)
class Corpus:
    """A domain's rows for stage 1 as read; they are made canonical when they are first asked for.

    That can take minutes, so a tag that is trained already does without.
    """

    domain: Registered[Domain]
    registry: Registry
    table: Table
    on_error: str
    """What a bad row does, "raise" or "skip"."""
    fix: bool
    """Whether rows are first fixed by the domain's rules."""
    on_doubt: str = "warn"
    """"raise" refuses rows that look like another kind of data, "warn" only says so."""
    remarks: list[str] = attrs.field(factory=list)
    """What the log says of rows that were fixed or skipped."""

    @property
    def source(self) -> str:
        """File or dataset."""
        return self.table.source

    @property
    def rows(self) -> list[Any]:
        """Canonical rows outside the test bucket."""
        return self._canonical[0]

    @property
    def num_bucket(self) -> int:
        """Rows that the test bucket took."""
        return self._canonical[1]

    def content(self) -> list[Any]:
        """Return what decides the canonical rows, as plain data: cells, rules and their code."""
        spec = self.domain.spec
        split = self._split()
        rules = [spec.canonical, spec.fix if self.fix else None, spec.doubt]
        references = [*rules, split and split.groups]
        cells = {name: self.table.columns[name] for name in self._columns()}
        key = self._deciding_column(split)
        if key is not None:
            cells[key] = self.table.columns[key]
        policies = [self.on_error, self.on_doubt, self.fix]
        names = [self.domain.name, self.table.source, policies, NUM_BUCKETS]
        code = [[reference, code_stamp(reference)] for reference in references if reference]
        return [names, code, code_stamp(f"{__package__}:"), self.table.rows, cells]

    @property
    def all_rows(self) -> list[Any]:
        """Canonical rows, those of the test bucket included."""
        rows, good = self._checked
        return [rows[i] for i in good]

    @functools.cached_property
    def _canonical(self) -> tuple[list[Any], int]:
        rows, good = self._checked
        outside = self._outside_bucket(rows, good)
        if len(outside) < _LEAST_ROWS:
            raise DataError(
                f"{self.source}: a corpus needs {_LEAST_ROWS} rows or more, one of them to score "
                f"the tag on, but {len(outside)} of {self.table.num_rows} can be used "
                f"({len(good) - len(outside)} belong to the test bucket); useful tags need "
                f"thousands. Give more rows with --domain-data {self.domain.spec.tag}=FILE."
            )
        return [rows[i] for i in outside], len(good) - len(outside)

    @functools.cached_property
    def _checked(self) -> tuple[list[Any], list[int]]:
        """Canonical rows as in the table, and which of them are used."""
        spec, table = self.domain.spec, self.table
        taken = [table.columns[column] for column in self._columns()]
        read = [v if spec.columns else v[0] for v in zip(*taken, strict=True)]
        rows = read
        if self.fix:
            rows, changes = fix_rows(rows, self.domain)
            pairs = zip(table.rows, changes, strict=True)
            self._remark(
                report_fixed(table, [(row, change) for row, change in pairs if change is not None])
            )
        rows = [as_value(row, reads_text(self.domain)) for row in rows]
        errors: list[str | None] = [
            f"{spec.field}: {empty_reason(cell)}" if is_empty(row) else None
            for row, cell in zip(rows, read, strict=True)
        ]
        if spec.canonical is not None:
            function = resolve(spec.canonical, f"domain {self.domain.name}, canonical")
            title = f"canonicalizing {len(rows):,} rows for <{spec.tag}>"
            checked = kept_result(spec.canonical, function, rows, len(rows), title)
            invalid = [
                e and with_place(e, row) for e, row in zip(checked.errors, rows, strict=True)
            ]
            errors = first_errors(errors, invalid)
            rows = [value or "" for value in checked.values]
        self._remark(skip_errors(table, errors, self.on_error))
        good = [i for i, error in enumerate(errors) if error is None]
        own = [rows[i] for i in good]
        self._remark(check_rows(self.domain, spec.field, own, table.source, self.on_doubt))
        return list(rows), good

    def _remark(self, said: str | None) -> None:
        if said is not None:
            self.remarks.append(said)

    def _columns(self) -> list[str]:
        spec, table = self.domain.spec, self.table
        aliases = () if spec.columns else spec.aliases
        names = spec.columns or (spec.field,)
        return [
            find_column(table.columns, name, aliases, {}, table.source, _ADVICE) for name in names
        ]

    def _split(self) -> Splitter | None:
        """Return the rule of the test bucket, None when it takes no row."""
        spec = self.domain.spec
        if spec.split is None:
            return None
        where = f"domain {self.domain.name}"
        splitter = self.registry.splitters.get(spec.split, self.domain.source.name, where).spec
        return splitter if splitter.groups is not None else None

    def _deciding_column(self, split: Splitter | None) -> str | None:
        """Return the column by which the split groups rows; None: the rows themselves."""
        keys = split.keys if split is not None else ()
        return next((name for name in keys if name in self.table.columns), None)

    def _outside_bucket(self, rows: Sequence[Any], good: Sequence[int]) -> list[int]:
        """Return the good rows that the domain's split does not put into the test bucket."""
        split = self._split()
        if split is None:
            return list(good)
        deciding = list(rows)
        column = self._deciding_column(split)
        if column is not None:
            values = [as_value(value) for value in self.table.columns[column]]
            # a record without the deciding column is its own key
            deciding = [key or row for key, row in zip(values, rows, strict=True)]
        groups = resolve(split.groups or "", f"split {self.domain.spec.split}")
        own = [deciding[i] for i in good]
        keys = kept_result(split.groups or "", groups, own, len(own), "finding the test bucket")
        return [i for i, split in zip(good, splits_by_groups(keys), strict=True) if split != "test"]


def read_corpus(
    domain: Registered[Domain],
    registry: Registry,
    file: str | None,
    seed: int,
    size: int | None,
    on_error: str,
    fix: bool = False,
    on_doubt: str = "warn",
) -> Corpus:
    """Read a domain's corpus for stage 1.

    Args:
        domain: The domain.
        registry: Where its dataset and its split are looked up.
        file: Table of rows; None: the domain's own dataset.
        seed: Seed of the run.
        size: Rows that a generated dataset makes.
        on_error: What a bad row does, "raise" or "skip".
        fix: Whether rows are first fixed by the domain's rules.
        on_doubt: "raise" refuses rows that look like another kind of data, "warn" only says so.

    Raises:
        DataError: when the domain has no corpus and no file was given.
    """
    table = _table(domain, registry, file, seed, size)
    corpus = Corpus(
        domain=domain,
        registry=registry,
        table=table,
        on_error=on_error,
        fix=fix,
        on_doubt=on_doubt,
    )
    corpus._columns()  # a missing column is said at once
    return corpus


def corpus_rows(
    domain: Registered[Domain],
    registry: Registry,
    file: str | None,
    seed: int,
    size: int | None,
    on_error: str,
    fix: bool = False,
) -> tuple[list[Any], str, int]:
    """Read a domain's corpus for stage 1, less everything in the test bucket.

    Arguments as for `read_corpus`.

    Returns:
        Canonical rows, what they came from, and how many the test bucket took.

    Raises:
        DataError: when the domain has no corpus and no file was given.
        RowError: naming bad rows, unless `on_error` is skip.
    """
    corpus = read_corpus(domain, registry, file, seed, size, on_error, fix)
    return corpus.rows, corpus.source, corpus.num_bucket


def _table(
    domain: Registered[Domain], registry: Registry, file: str | None, seed: int, size: int | None
) -> Table:
    if file is not None:
        return read_table(Path(file), registry=registry)
    if domain.spec.corpus is None:
        raise DataError(
            f"domain {domain.name} has no corpus of its own: give one with "
            f"--domain-data {domain.spec.tag}=FILE."
        )
    where = f"corpus of {domain.name}"
    dataset = registry.datasets.get(domain.spec.corpus, domain.source.name, where)
    return load_dataset(dataset, seed, size)
