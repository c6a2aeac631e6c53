"""Characters that cannot be seen or look like others: taken off where harmless, else named."""

import unicodedata

INVISIBLE = "\ufeff\u200b\u2060\u00ad"
"""Byte order mark, zero-width space, word joiner, soft hyphen: no content at the ends of a cell."""

_TAKEN_OUT = {ord(char): None for char in INVISIBLE}
_BLANKS = INVISIBLE + "".join(c for c in map(chr, range(0x3001)) if c.isspace())
_MINUS = {ord(char): "-" for char in "\u2212\uff0d\ufe63"}

# Cyrillic and Greek letters that look like Latin ones in common fonts
_LOOK = "АВЕКМНОРСТХУЅІЈаеорсухѕіјԁΑΒΕΖΗΙΚΜΝΟΡΤΥΧοναι"
_LIKE = "ABEKMHOPCTXYSIJaeopcyxsijdABEZHIKMNOPTYXovai"
_LATIN = str.maketrans(_LOOK, _LIKE)


def clean(text: str) -> str:
    """Return a cell's text without white space and invisible characters around it."""
    return text.strip() if text.isascii() else text.strip(_BLANKS)


def visible(text: str) -> str:
    """Return text without any invisible character; for names, such as those of columns."""
    return text if text.isascii() else text.translate(_TAKEN_OUT)


def with_minus(text: str) -> str:
    """Return text with each Unicode minus sign (U+2212 and its wide and small forms) as `-`."""
    return text if text.isascii() else text.translate(_MINUS)


def as_latin(text: str) -> str:
    """Return text with Cyrillic and Greek letters as the Latin ones that they look like."""
    return text if text.isascii() else text.translate(_LATIN)


def named(char: str) -> str:
    """Return a character with its code point and name: `'−' (U+2212 MINUS SIGN)`."""
    name = unicodedata.name(char, "")
    return f"{char!r} (U+{ord(char):04X}{' ' + name if name else ''})"


def odd_characters(text: str) -> str:
    """Name the first character beyond ASCII with its position from 1; "" when there is none."""
    places = [i for i, char in enumerate(text) if not char.isascii()]
    if not places:
        return ""
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return f"character {places[0] + 1} is {named(text[places[0]])}{more}"
