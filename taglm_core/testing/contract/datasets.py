"""Checks of datasets."""

from collections.abc import Sequence
from typing import Any

from taglm_core.data.datasets import load_dataset
from taglm_core.data.splits import SPLITS, parse_splits
from taglm_core.testing.contract.context import SAMPLE_ROWS, Subject
from taglm_core.testing.contract.outcomes import demand
from taglm_core.testing.contract.report import Rule


def columns(subject: Subject) -> None:
    """`load` gives the declared columns, no others, and rows in them."""
    table = subject.context.table(subject.item)
    declared, actual = set(subject.spec.columns), set(table.columns)
    demand(
        actual == declared,
        f"`load` gives the columns {', '.join(sorted(actual))}, but declared are "
        f"{', '.join(sorted(declared))}. Make `columns` of the Dataset agree.",
    )
    demand(table.num_rows > 0, "`load` gives no rows; give at least one for every seed.")


def types(subject: Subject) -> None:
    """Each column holds text, whole numbers, numbers or booleans, not a mixture."""
    for name, values in subject.context.table(subject.item).columns.items():
        kinds = {_type(value) for value in values if value is not None}
        demand(
            kinds <= {"text", "number", "bool"},
            f"column '{name}' holds {', '.join(sorted(kinds - {'text', 'number', 'bool'}))}; give "
            "text, numbers or booleans.",
        )
        demand(
            len(kinds) <= 1,
            f"column '{name}' mixes {' and '.join(sorted(kinds))}; give one type to all rows.",
        )


def size(subject: Subject) -> None:
    """A generated dataset makes as many rows as it is asked for."""
    for wanted in (1, 50):
        count = load_dataset(subject.item, 0, wanted).num_rows
        demand(
            count == wanted,
            f"`load(size={wanted})` makes {count} rows; make exactly as many as asked for.",
        )


def same_seed(subject: Subject) -> None:
    """The same seed gives the same rows."""
    first = subject.context.table(subject.item)
    again = load_dataset(subject.item, 0, SAMPLE_ROWS)
    demand(
        first.columns
        == first.__class__(
            {n: v[: first.num_rows] for n, v in again.columns.items()}, first.rows, first.source
        ).columns,
        "two calls with the same seed give different rows. Take every random number from a "
        "generator made of `seed`, and sort what comes out of a set.",
    )


def other_seed(subject: Subject) -> None:
    """Another seed gives other rows of a generated dataset."""
    first = subject.context.table(subject.item)
    other = load_dataset(subject.item, 1, SAMPLE_ROWS)
    demand(
        first.columns != other.columns,
        "seeds 0 and 1 give the same rows. Seed the random generator with `seed`.",
    )


def described(subject: Subject) -> None:
    """The dataset says what its rows are and under which license they stand."""
    for field, what in (
        ("description", "say what the rows are, and whether they were measured or generated"),
        ("license", "name the license of the rows, such as 'CC-BY-4.0'"),
    ):
        demand(bool(getattr(subject.spec, field).strip()), f"`{field}` is empty; {what}.")


def split_disjoint(subject: Subject) -> None:
    """A split column holds train, valid and test, and no row stands in two splits."""
    name = subject.spec.split_column
    table = subject.context.table(subject.item)
    splits = parse_splits(table.column(name), table.rows, table.source, name)
    missing = [split for split in SPLITS if split not in splits]
    demand(
        not missing,
        f"the split column '{name}' leaves the {missing[0] if missing else ''} split empty; a "
        "dataset with its own split needs rows in train, valid and test.",
    )
    fields = _fields(subject)
    keys = list(zip(*(table.columns[field] for field in fields), strict=True))
    seen: dict[Any, str] = {}
    for key, split in zip(keys, splits, strict=True):
        other = seen.setdefault(key, split)
        demand(
            other == split,
            f"the row with {', '.join(fields)} = {', '.join(map(repr, key))} is both in {other} "
            f"and in {split}. Put equal rows into one split, or leave the repetition out.",
        )


CHECKS = (
    Rule(columns),
    Rule(types),
    Rule(size, lambda subject: subject.spec.generated),
    Rule(same_seed),
    Rule(other_seed, lambda subject: subject.spec.generated),
    Rule(described),
    Rule(split_disjoint, lambda subject: subject.spec.split_column is not None),
)


def _fields(subject: Subject) -> Sequence[str]:
    """Return the columns that make two rows the same thing: those that hold a domain's data."""
    known = {
        name
        for domain in subject.registry.domains
        for name in (domain.spec.columns or (domain.spec.field, *domain.spec.aliases))
    }
    declared = [name for name in subject.spec.columns if name != subject.spec.split_column]
    return [name for name in declared if name in known] or declared


def _type(value: Any) -> str:
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, bool):
        return "bool"
    if isinstance(plain, int | float):
        return "number"
    return "text" if isinstance(plain, str) else type(plain).__name__
