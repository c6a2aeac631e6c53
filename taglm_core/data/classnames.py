"""Class names: spellings that differ only in case, blanks or numerals are one class."""

import logging
import re
import unicodedata
from collections.abc import Sequence

from taglm_core.data.characters import as_latin, odd_characters, visible
from taglm_core.errors import DataError

logger = logging.getLogger(__name__)

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")
_WHOLE = re.compile(r"([+-]?\d+)(\.0*)?")
_TRUTH, _DIGITS = {"true", "false"}, {"0", "1"}


def class_key(name: str) -> str:
    """Return what two spellings of one class have in common: `Active ` and `active`, 1 and 1.0."""
    text = " ".join(unicodedata.normalize("NFKC", visible(name)).split()).casefold()
    if len(text) > 24 or not _NUMBER.fullmatch(text):
        return text
    number = float(text)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def one_spelling(
    names: Sequence[str | None],
    source: str,
    column: str,
    classes: Sequence[str] | None = None,
) -> list[str | None]:
    """Return class names with one spelling for each class, and log where there were several.

    Args:
        names: Cells of a column as text, None where one is missing.
        source: The file, for messages.
        column: The column, for messages.
        classes: The spellings that the task lists; they are kept as they are, and other spellings
            become them. None: the first spelling is kept, and a whole number without its `.0`.

    Raises:
        DataError: when two classes only look alike, or truth words stand beside 0 and 1.
    """
    listed = set(classes or ())
    distinct = [name for name in dict.fromkeys(names) if name is not None]
    groups: dict[str, list[str]] = {class_key(name): [name] for name in classes or ()}
    for name in distinct:
        if name not in listed:
            groups.setdefault(class_key(name), []).append(name)
    spellings = {key: group for key, group in groups.items() if set(group) & set(distinct)}
    _check(spellings, f"{source}, column '{column}'", listed)
    is_numeric = not listed and all(_WHOLE.fullmatch(name) for name in distinct)
    chosen = {name: name for name in listed}
    for key, group in spellings.items():
        name = _chosen(key, group, is_numeric)
        chosen |= {spelling: name for spelling in group if spelling not in listed}
        if len(group) > 1:
            shown = " and ".join(map(repr, group[:4]))
            logger.warning(
                "%s, column '%s': %s are read as one class, %r", source, column, shown, name
            )
    return [None if name is None else chosen[name] for name in names]


def _chosen(key: str, group: Sequence[str], is_numeric: bool) -> str:
    """Return the name of a class that is spelled in these ways."""
    whole = _WHOLE.fullmatch(group[0]) if is_numeric else None
    if whole is None:
        return group[0]
    return whole.group(1) if len(group) == 1 else key


def _check(groups: dict[str, list[str]], where: str, listed: set[str]) -> None:
    """Refuse classes of which nobody can say whether they are one."""
    apart = "Write one spelling, or list the classes in target.classes to keep them apart."
    for key, group in groups.items():
        if len(group) > 1 and "." in key and _NUMBER.fullmatch(key):
            raise DataError(
                f"{where}: the classes {' and '.join(map(repr, group[:4]))} are the same number. "
                f"{apart}"
            )
    truth, digits = _TRUTH & set(groups), _DIGITS & set(groups)
    if truth and digits and not listed:
        words = [groups[key][0] for key in sorted(truth) + sorted(digits)]
        raise DataError(
            f"{where}: {', '.join(map(repr, words))} occur together, so a class has two names. "
            "Write either words (such as yes and no) or 0 and 1."
        )
    seen: dict[str, str] = {}
    for group in groups.values():
        name = group[0]
        other = seen.setdefault(as_latin(name).casefold(), name)
        if other != name and not {name, other} <= listed:
            odd = next((n for n in (name, other) if odd_characters(n)), name)
            raise DataError(
                f"{where}: the classes {other!r} and {name!r} look alike, but in {odd!r} "
                f"{odd_characters(odd)}. {apart}"
            )
