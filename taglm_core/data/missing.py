"""The one vocabulary of missing values: for numbers, classes, fields, and before rows are fixed."""

from typing import Any

from taglm_core.data.characters import clean

MACHINE_WORDS = frozenset(
    "nan -nan +nan nat n/a n.a. n.a #n/a #na <na> <n/a> (null) <null> \\n (blank) n/d n.d. "
    "na_character_ na_integer_ na_real_ 1.#ind -1.#ind 1.#qnan -1.#qnan "
    "#div/0! #value! #ref! #name? #num! #null! #spill! #calc!".split()
) | {"#n/a n/a"}
"""What Excel, R, pandas, numpy and SQL write for a value that is missing or failed; no text."""

PLAIN_WORDS = frozenset("na none null - -- --- ? . ..".split())
"""Words and marks that stand for a missing value too, but that a sentence may consist of."""

_LONGEST = max(map(len, MACHINE_WORDS))


class Content(str):
    """Text that is content although it reads like a missing value.

    Formats that cannot leave a cell out give it, so that `NA` can be content of them.
    """

    __slots__ = ()


def content(text: str) -> str:
    """Return text of a format that has no missing values."""
    return Content(text) if text and is_missing(text) else text


def is_missing(value: Any, is_text: bool = False) -> bool:
    """Say whether a cell holds no value.

    Args:
        value: A cell: text, a number, None, NaN.
        is_text: True: cells are sentences, so that words of `PLAIN_WORDS` are content.
    """
    if value is None:
        return True
    if not isinstance(value, str):
        try:
            if bool(value != value):  # NaN is the value that differs from itself
                return True
        except (TypeError, ValueError, ArithmeticError):  # pandas.NA, an array, a signaling NaN
            pass
        return type(value).__name__ in ("NAType", "NaTType")
    text = clean(value)
    if not text:
        return True
    if len(text) > _LONGEST or isinstance(value, Content):
        return False
    word = text.lower()
    return word in MACHINE_WORDS or (not is_text and word in PLAIN_WORDS)


def missing_reason(value: Any) -> str:
    """Say of a missing value whether its cell is empty or holds a word for it."""
    if isinstance(value, str) and clean(value):
        return f"{clean(value)!r} stands for a missing value"
    return "the cell is empty"
