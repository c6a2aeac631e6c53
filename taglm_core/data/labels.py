"""The cells of a multi-label target: each column is a yes-or-no label, 1 for yes."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from taglm_core.data.characters import clean
from taglm_core.data.classnames import class_key
from taglm_core.data.masks import MISSING_LABEL
from taglm_core.data.missing import is_missing
from taglm_core.errors import DataError, counted

LABEL_WORDS = (
    ("0", "1"),
    ("false", "true"),
    ("no", "yes"),
    ("n", "y"),
    ("f", "t"),
    ("inactive", "active"),
    ("negative", "positive"),
    ("-", "+"),
)
"""No and yes, as files write them, in any case; a column keeps to one pair."""

_SHOWN = 6


def label_classes(classes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of no and yes: those given, else "0" and "1"."""
    return tuple(classes) if classes is not None else LABEL_WORDS[0]


def parse_labels(
    cells: Sequence[Any], source: str, column: str, classes: Sequence[str] | None = None
) -> tuple[np.ndarray, list[str | None]]:
    """Read the cells of a label's column as 0 and 1.

    Args:
        cells: The cells, as text or as numbers.
        source: The file, for messages.
        column: The column, for messages.
        classes: The words for no and for yes; None, or "0" and "1": any pair of `LABEL_WORDS`.

    Returns:
        int64 `(rows,)`: 0, 1 or `MISSING_LABEL`; and None or what is wrong with each cell. A cell
        that is missing is not wrong.

    Raises:
        DataError: when the column mixes several pairs, or holds none and yes is not known.
    """
    is_named = classes is not None and tuple(classes) != LABEL_WORDS[0]
    words = _words(cells, (classes or ()) if is_named else ())
    numbers_of = Counter(word for word in words if word is not None)
    pair = (
        tuple(classes or ()) if is_named else _pair_of(numbers_of, f"{source}, column '{column}'")
    )
    exact = {word: value for value, word in enumerate(pair)}
    by_key = {class_key(word): value for value, word in enumerate(pair)}
    labels = np.full(len(words), MISSING_LABEL, dtype=np.int64)
    errors: list[str | None] = [None] * len(words)
    for row, word in enumerate(words):
        if word is None:
            continue
        value = exact.get(word, by_key.get(class_key(word)))
        if value is not None:
            labels[row] = value
        else:
            errors[row] = (
                f"column '{column}': {word!r} is not a label ({' or '.join(pair)}); the column "
                f"holds {counts(numbers_of)}. Leave a cell empty where the label is not known"
            )
    return labels, errors


def _words(cells: Sequence[Any], listed: Sequence[str]) -> list[str | None]:
    """Return cells as text, None where one is missing; beside a plus, minus is a label."""
    texts = [clean(str(cell)) for cell in cells]
    content = {*listed, "-"} if "+" in texts else set(listed)
    return [
        None if text not in content and is_missing(cell) else text
        for text, cell in zip(texts, cells, strict=True)
    ]


def counts(words: Counter[str]) -> str:
    """Return values with their numbers of rows, the most frequent first."""
    shown = [f"{word!r} in {counted(count, 'row')}" for word, count in words.most_common(_SHOWN)]
    more = len(words) - len(shown)
    return ", ".join(shown) + (f" and {more:,} other values" if more > 0 else "")


def _pair_of(words: Counter[str], place: str) -> tuple[str, ...]:
    keys = {class_key(word) for word in words}
    pairs = [pair for pair in LABEL_WORDS if keys & set(pair)]
    if len(pairs) == 1 or not keys:
        return (*pairs, LABEL_WORDS[0])[0]
    if pairs:
        named = " and ".join("/".join(pair) for pair in pairs)
        raise DataError(
            f"{place}: the labels mix {named}: {counts(words)}. Write one pair, such as 0 and 1, "
            "and leave a cell empty where the label is not known."
        )
    raise DataError(
        f"{place}: which label means yes? The column holds {counts(words)}. Write 0 and 1, or name "
        "both words, the one for no first: classes: [NO, YES] in the task's target."
    )
