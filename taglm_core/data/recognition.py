"""Which columns of a table hold which kind of data, by their names and by their contents.

Domains say how their rows are recognized (`Domain.recognize`, `Domain.canonical`); nothing here
knows one of them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from taglm_core.data.columns import as_value, column_option, column_options, folded
from taglm_core.data.doubt import answers_of, doubts_of
from taglm_core.data.missing import is_missing
from taglm_core.data.table import Table
from taglm_core.errors import DataError
from taglm_core.plugins import Registered, Registry
from taglm_core.specs import Domain
from taglm_core.specs.reference import resolve

LEAST_SHARE = 0.5
"""Share of the values of a column that must be rows of a domain for the column to hold it."""

_MOST_VALUES = 200

Ask = Callable[[str, Sequence[str], str], int]
"""Asks a person a question: the question, the answers, and what to write instead of answering;
gives the number of the answer, from 0."""


@attrs.frozen
class Match:
    """A column that holds rows of a domain."""

    domain: Registered[Domain]
    column: str
    share: float
    """Share of its distinct values that the domain can read, of those that were looked at."""
    rank: int | None
    """Place of the column's name among the names of the field; None: the contents decided."""


@attrs.frozen
class Input:
    """A field of a prompt: its domain and its column."""

    field: str
    domain: Registered[Domain]
    column: str
    share: float


def refuse_to_ask(question: str, answers: Sequence[str], advice: str) -> int:
    """Answer no question: where nobody can be asked, it is an error that says what to write.

    Raises:
        DataError: always.
    """
    raise DataError(f"{question} {advice}")


def matches(table: Table, registry: Registry, skipped: Sequence[str] = ()) -> list[Match]:
    """Find every column that holds rows of a registered domain.

    Args:
        table: The table.
        registry: Gives the domains.
        skipped: Columns that are something else, such as targets.

    Returns:
        The best fitting columns of each domain first.
    """
    found = []
    for column, cells in table.columns.items():
        values = [] if column in skipped else _distinct(cells)
        if values:
            for domain in registry.domains:
                match = _match(domain, column, values)
                if match is not None:
                    found.append(match)
    return sorted(found, key=lambda m: (m.rank is None, m.rank or 0, -m.share))


def _distinct(cells: Sequence[Any]) -> list[str]:
    """Return up to `_MOST_VALUES` distinct filled cells as text, from all over the column."""
    values = list(dict.fromkeys(as_value(cell) for cell in cells if not is_missing(cell)))
    return values[:: max(1, -(-len(values) // _MOST_VALUES))]


def _match(domain: Registered[Domain], column: str, values: Sequence[str]) -> Match | None:
    spec = domain.spec
    if spec.encoder == "text" or spec.columns:
        return None  # any words are text; a record is told by the names of its columns alone
    names = [spec.field.lower(), *(alias.lower() for alias in spec.aliases)]
    rank = names.index(folded(column)) if folded(column) in names else None
    known = values if rank is not None else _recognized(domain, values)
    if len(known) < LEAST_SHARE * len(values):
        return None
    readable = _readable(domain, values)
    share = readable / len(values)
    return Match(domain, column, share, rank) if share >= LEAST_SHARE else None


def _recognized(domain: Registered[Domain], values: Sequence[str]) -> list[str]:
    if domain.spec.recognize is None:
        return []
    answers = answers_of(domain, "recognize", domain.spec.recognize, values, "cells")
    return [value for value, fits in zip(values, answers, strict=True) if fits]


def _readable(domain: Registered[Domain], values: Sequence[str]) -> int:
    """Count the values that the domain can read and takes for its own."""
    rows: list[Any] = list(values)
    if domain.spec.canonical is not None:
        canonical = resolve(domain.spec.canonical, f"domain {domain.name}, canonical")
        rows = [value for value in canonical(rows).values if value is not None]
    return sum(why is None for why in doubts_of(domain, rows))


def choose_inputs(
    table: Table,
    registry: Registry,
    mapping: Mapping[str, str],
    skipped: Sequence[str],
    ask: Ask = refuse_to_ask,
) -> list[Input]:
    """Decide which columns are the input of a task.

    Args:
        table: The table.
        registry: Gives the domains.
        mapping: Field -> column, as the user gave with `--column`; where it names the field of a
            domain, such as `smiles`, or several, such as `smiles1` and `smiles2`, nothing else is
            an input.
        skipped: Columns that are targets or splits.
        ask: Is asked where it is not clear.

    Raises:
        DataError: when no column holds rows of a domain, or nobody can be asked.
    """
    given = _given(table, registry, mapping)
    if given:
        return given
    found = _one_domain_each(matches(table, registry, skipped), table, ask)
    if not found:
        raise DataError(_nothing(table, registry, skipped))
    inputs = []
    for columns in found.values():
        inputs += _of_domain(columns, table, ask)
    order = list(table.columns)
    return sorted(inputs, key=lambda item: order.index(item.column))


def _given(table: Table, registry: Registry, mapping: Mapping[str, str]) -> list[Input]:
    """Return the inputs that the user names."""
    inputs = []
    for field, column in mapping.items():
        domain = domain_of(field, registry)
        if domain is None:
            continue
        values = _distinct(table.column(column))
        share = _readable(domain, values) / len(values) if values else 0.0
        inputs.append(Input(field, domain, column, share))
    return inputs


def domain_of(field: str, registry: Registry) -> Registered[Domain] | None:
    """Return the domain with a field, a number behind its name allowed; None when none has."""
    for domain in registry.domains:
        if field == domain.spec.field or (
            field.startswith(domain.spec.field) and field[len(domain.spec.field) :].isdigit()
        ):
            return domain
    return None


def _one_domain_each(found: Sequence[Match], table: Table, ask: Ask) -> dict[str, list[Match]]:
    """Return domain -> its columns; a column that fits several domains is asked about."""
    kept: list[Match] = []
    for column in dict.fromkeys(match.column for match in found):
        here = [match for match in found if match.column == column]
        named = [match for match in here if match.rank is not None]
        here = named if len(named) == 1 else here
        if len(here) > 1:
            tags = [f"<{match.domain.spec.tag}>" for match in here]
            options = " or ".join(column_option(m.domain.spec.field, column) for m in here)
            question = f"{table.source}: the column '{column}' may hold {' or '.join(tags)}."
            here = [here[ask(question, tags, f"Say which: {options}.")]]
        kept += here
    grouped: dict[str, list[Match]] = {}
    for match in kept:
        grouped.setdefault(match.domain.name, []).append(match)
    return grouped


def _of_domain(columns: Sequence[Match], table: Table, ask: Ask) -> list[Input]:
    """Return the inputs of one domain: its only column, or those that the user chooses."""
    domain, field = columns[0].domain, columns[0].domain.spec.field
    if len(columns) > 1 and not _are_same(columns, table):
        order = list(table.columns)
        columns = sorted(columns, key=lambda match: order.index(match.column))
        names = [match.column for match in columns]
        alone = column_option(field, names[0])
        every = {f"{field}{i}": column for i, column in enumerate(names, 1)}
        advice = f"Say which: {alone} takes that column alone, {column_options(every)}"
        question = f"{table.source}: {len(names)} columns hold <{domain.spec.tag}>: "
        question += f"{', '.join(names)}."
        answers = [f"{column} alone" for column in names] + ["all of them, as one input"]
        chosen = ask(question, answers, f"{advice} takes all of them as one input.")
        if chosen == len(names):
            return [
                Input(f"{field}{i + 1}", domain, match.column, match.share)
                for i, match in enumerate(columns)
            ]
        columns = [columns[chosen]]
    return [Input(field, domain, columns[0].column, columns[0].share)]


def _are_same(columns: Sequence[Match], table: Table) -> bool:
    """Say whether columns hold the same things in nearly all rows, spelled in any way."""
    domain = columns[0].domain
    step = max(1, table.num_rows // _MOST_VALUES)
    spelled = []
    for match in columns:
        cells = [as_value(cell) for cell in table.columns[match.column][::step]]
        if domain.spec.canonical is not None:
            canonical = resolve(domain.spec.canonical, f"domain {domain.name}, canonical")
            cells = list(canonical(cells).values)
        spelled.append(cells)
    pairs = [row for row in zip(*spelled, strict=True) if all(row)]
    equal = sum(len(set(row)) == 1 for row in pairs)
    return bool(pairs) and equal >= 0.95 * len(pairs)


def _nothing(table: Table, registry: Registry, skipped: Sequence[str]) -> str:
    """Say why no column is an input, and how to name one."""
    kinds, fields, named = [], [], ""
    for domain in registry.domains:
        if domain.spec.encoder != "text" and not domain.spec.columns:
            kinds.append(f"<{domain.spec.tag}>")
            fields.append(domain.spec.field)
            named = named or _unread(table, domain, skipped)
    others = ", ".join(name for name in table.columns if name not in skipped)
    if not kinds:
        return (
            f"{table.source}: no installed plugin recognizes data in a table. Install one; "
            "`taglm plugins` lists those that are installed."
        )
    taken = _taken(table, registry, skipped)
    if taken is not None:
        named = (
            f"The column '{taken}' may hold them, but it is a target, a weight or the split. Name "
            "another target."
        )
    named = named or (
        f"Name the column: {column_option(fields[0], 'NAME')}. Texts are read by a run file with a "
        "template of its own, such as 'Review: {text}. Mood <Mood>'."
    )
    return (
        f"{table.source}: no column holds {' or '.join(kinds)} in at least half of its values. "
        f"Columns: {others}. {named}"
    )


def _taken(table: Table, registry: Registry, skipped: Sequence[str]) -> str | None:
    """Return a column named after a domain that is used for something else, None without one."""
    names = {
        name.lower()
        for domain in registry.domains
        if domain.spec.encoder != "text"
        for name in (domain.spec.field, *domain.spec.aliases)
    }
    return next((c for c in table.columns if c in skipped and folded(c) in names), None)


def _unread(table: Table, domain: Registered[Domain], skipped: Sequence[str]) -> str:
    """Say why a column that is named after a domain does not hold it; "" without such a column."""
    names = [domain.spec.field.lower(), *(alias.lower() for alias in domain.spec.aliases)]
    for column, cells in table.columns.items():
        values = _distinct(cells)
        if folded(column) not in names or column in skipped or not values:
            continue
        reasons: list[str | None] = []
        if domain.spec.canonical is not None:
            checked = resolve(domain.spec.canonical, f"domain {domain.name}, canonical")(values)
            reasons = list(checked.errors)
        bad = [f"{v[:40]!r}: {why}" for v, why in zip(values, reasons, strict=False) if why]
        if bad:
            return (
                f"In '{column}' {len(bad):,} of {len(values):,} values are no <{domain.spec.tag}>, "
                f"such as {bad[0]}."
            )
    return ""
