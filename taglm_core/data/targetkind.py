"""What a column of targets holds: numbers or classes, decided by its values."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from taglm_core.data.censoring import ABOVE, BELOW, parse_censored
from taglm_core.data.characters import clean
from taglm_core.data.classnames import class_key
from taglm_core.data.columns import number_or_reason
from taglm_core.data.labels import LABEL_WORDS
from taglm_core.data.missing import is_missing
from taglm_core.data.table import Table
from taglm_core.errors import DataError, counted, told_apart

_LEAST_NUMBERS = 0.8
"""Share of the filled cells that must be numbers for the column to hold numbers."""

_MOST_CLASSES = 20
_FEW_NUMBERS = 5
"""Different whole numbers up to which a person is told that they could be classes."""


@attrs.frozen(kw_only=True)
class TargetKind:
    """What a column of targets holds."""

    column: str
    kind: str
    """regression or classification."""
    said: str
    """The values in words, such as "numbers from -8.1 to 0.5"."""
    is_label: bool = False
    """True: the classes are no and yes."""
    classes: tuple[str, ...] | None = None
    """No and yes as the column spells them; None: not a label."""


def target_kind(table: Table, column: str, wanted: str | None = None) -> TargetKind:
    """Decide whether a column holds numbers or classes.

    Args:
        table: The table.
        column: The column.
        wanted: "regression" or "classification", if the user says so; None: the values decide.

    Raises:
        DataError: when it holds neither, or no value at all.
    """
    cells = [cell for cell in table.columns[column] if not is_missing(cell)]
    if not cells:
        raise DataError(f"{table.source}: the column '{column}' has no values. Choose another.")
    words = Counter(clean(str(cell)) for cell in cells)
    pair = _pair(words) if wanted != "regression" else None
    if pair is not None:
        of_class = Counter(map(class_key, words.elements()))
        counts = " and ".join(f"{word} ({of_class[class_key(word)]:,})" for word in pair)
        return TargetKind(
            column=column, kind="classification", said=counts, is_label=True, classes=pair
        )
    if wanted is None:
        wanted = _by_values(table.source, column, cells, words)
    if wanted == "classification":
        shown = ", ".join(f"{word} ({count:,})" for word, count in words.most_common(4))
        more = ", ..." if len(words) > 4 else ""
        said = f"{len(words)} classes: {shown}{more}"
        return TargetKind(column=column, kind=wanted, said=said)
    return _of_numbers(column, cells)


def _pair(words: Counter[str]) -> tuple[str, str] | None:
    """Return how the column spells no and yes; None when it holds anything else."""
    by_key = {class_key(word): word for word, _ in reversed(words.most_common())}
    for no, yes in LABEL_WORDS:
        if set(by_key) == {no, yes}:
            return by_key[no], by_key[yes]
    return None


def _by_values(source: str, column: str, cells: Sequence[Any], words: Counter[str]) -> str:
    numbers, _ = _numbers(cells)
    if np.isfinite(numbers).mean() >= _LEAST_NUMBERS:
        return "regression"
    if 2 <= len(words) <= _MOST_CLASSES and 2 * len(words) <= len(cells):
        return "classification"
    example = next(iter(words))
    if len(words) == 1:
        held = f"all of its {counted(len(cells), 'value')} are {example[:40]!r}"
    else:
        held = (
            f"it holds {len(words):,} different texts in {len(cells):,} rows, such as "
            f"{example[:40]!r}"
        )
    raise DataError(
        f"{source}: the column '{column}' cannot be a target: {held}. A target is a column of "
        f"numbers, or of two or more classes of at least two rows each.{_mostly_wrong(cells)}"
    )


def _mostly_wrong(cells: Sequence[Any]) -> str:
    """Say what keeps most cells from being numbers, where each of them tells how to write it."""
    reasons = [reason for reason in map(number_or_reason, cells) if isinstance(reason, str)]
    told = [reason for reason in reasons if "; write " in reason]
    return f" Note that {told[0]}." if 2 * len(told) > len(cells) else ""


def _numbers(cells: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return cells as numbers, NaN where one is none, and the sides of cells such as `<-5`."""
    return parse_censored(cells, list(range(1, len(cells) + 1)), "", "", "skip")[:2]


def _of_numbers(column: str, cells: Sequence[Any]) -> TargetKind:
    """Describe a column of numbers."""
    numbers, sides = _numbers(cells)
    finite = numbers[np.isfinite(numbers)]
    different = np.unique(finite)
    said = _range(different)
    is_exact = not sides.any()
    if (
        is_exact
        and 2 <= len(different) <= _FEW_NUMBERS
        and (different == np.round(different)).all()
    ):
        said += (
            f"; they are {len(different)} different whole numbers, and "
            "the setting task.target.kind: classification takes them for classes"
        )
    for side, words in ((BELOW, "below a limit (left"), (ABOVE, "above a limit (right")):
        if count := int((sides == side).sum()):
            said += f", {count:,} of them {words}-censored)"
    return TargetKind(column=column, kind="regression", said=said)


def _range(different: np.ndarray) -> str:
    """Say from where to where numbers go, with as many digits as tell both apart."""
    if not len(different):
        return "no numbers"
    low, high = different[0], different[-1]
    if low == high:
        return f"one number only, {low:.6g}"
    start, end = told_apart(low, high, 6)
    return f"numbers from {start} to {end}"
