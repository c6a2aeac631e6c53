"""Wide tables: one column for each tag, spread into rows that name their tags in columns."""

from collections.abc import Mapping
from itertools import permutations

from taglm_core.data.missing import is_missing
from taglm_core.data.table import Table
from taglm_core.errors import DataError
from taglm_core.specs.prompt import Prompt


def is_wide(table: Table, prompt: Prompt) -> bool:
    """Say whether a table lacks every column that names a tag of the template."""
    columns = {name.strip().lower() for name in table.columns}
    needed = prompt.tag_columns
    return bool(needed) and not any(name.lower() in columns for name in needed)


def spread(table: Table, prompt: Prompt, tag_of: Mapping[str, str]) -> Table:
    """Turn a wide table into one row for each ordered choice of its tag columns.

    With the template `<{from}>{source} <{to}><T>{target}` and a file with the columns en and fr,
    every row gives two: from en to fr and from fr to en. Empty cells give no row.

    Args:
        table: The columns that are named by a tag are spread, the others repeated.
        prompt: Names the tag columns and the field that goes with each.
        tag_of: Column name in lower case -> tag.

    Raises:
        DataError: when too few columns are tags, or a tag column of the template has no field.
    """
    slots = _slots(prompt)
    tags = {c: tag_of[c.strip().lower()] for c in table.columns if c.strip().lower() in tag_of}
    if len(tags) < len(slots):
        raise DataError(
            f"{table.source}: neither the column{'s' if len(slots) > 1 else ''} "
            f"{', '.join(prompt.tag_columns)} nor {len(slots)} columns named by a known tag. "
            f"Columns: {', '.join(table.columns)}. Known tags: "
            f"{', '.join(dict.fromkeys(tag_of.values()))}."
        )
    others = [c for c in table.columns if c not in tags]
    columns: dict[str, list[object]] = {c: [] for c in others}
    columns |= {name: [] for pair in slots for name in pair}
    rows: list[int] = []
    for choice in permutations(tags, len(slots)):
        for i, number in enumerate(table.rows):
            cells = [table.columns[column][i] for column in choice]
            if any(is_missing(cell, is_text=True) for cell in cells):
                continue
            for (tag_column, field), column, cell in zip(slots, choice, cells, strict=True):
                columns[tag_column].append(tags[column])
                columns[field].append(cell)
            for column in others:
                columns[column].append(table.columns[column][i])
            rows.append(number)
    if not rows:
        raise DataError(f"{table.source}: no row has text in {len(slots)} of its tag columns.")
    return Table(columns=columns, rows=rows, source=table.source)


def _slots(prompt: Prompt) -> list[tuple[str, str]]:
    """Return (tag column, field) for each column that names a tag.

    Raises:
        DataError: when a tag column goes with no field or with two.
    """
    pairs = [(part.tag, part.field) for part in prompt.spans]
    output = prompt.output
    if output is not None and output.domain is not None:
        pairs.append((output.domain, output.field))
    slots = list(dict.fromkeys((tag.name, field) for tag, field in pairs if tag.is_column))
    names = [name for name, _ in slots]
    for name in prompt.tag_columns:
        if names.count(name) != 1:
            raise DataError(
                f"the template uses the tag column '{name}' with {names.count(name)} fields, so a "
                f"file with a column for each tag cannot be used. Give the column '{name}'."
            )
    return slots
