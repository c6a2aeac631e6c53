"""In which script texts are written: languages that share none, and those without blanks."""

import functools
import unicodedata
from collections.abc import Callable, Sequence

from taglm_translation.languages import languages

WITHOUT_BLANKS = (
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
    "TIBETAN",
    "JAVANESE",
    "BALINESE",
)
"""First words of the Unicode names of letters of scripts that put no blanks between words."""

_NAMES = {"CJK": "Chinese"}
_LEAST_LETTERS = 4
_LEAST_SHARE = 0.5


@functools.cache
def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def counts(text: str) -> dict[str, int]:
    """Return how many letters a text has of each script, by first words of Unicode names."""
    letters: dict[str, int] = {}
    for character in text:
        # vowel signs of Thai, Lao and Khmer are marks, not letters
        if character.isalpha() or unicodedata.category(character)[0] == "M":
            script = _script(character)
            letters[script] = letters.get(script, 0) + 1
    return letters


def share_without_blanks(texts: Sequence[str]) -> float:
    """Return the share of the letters that belong to scripts without blanks between words."""
    total = odd = 0
    for text in texts:
        for script, count in counts(text).items():
            total += count
            odd += count if script in WITHOUT_BLANKS else 0
    return odd / total if total else 0.0


def _doubt(script: str, name: str, rows: Sequence[str]) -> list[str | None]:
    """Say of texts of a language in which script they are, where it is another one."""
    answers: list[str | None] = []
    for row in rows:
        letters = counts(row)
        total = sum(letters.values())
        if total < _LEAST_LETTERS or letters.get(script, 0) >= _LEAST_SHARE * total:
            answers.append(None)
            continue
        other = max(letters, key=lambda word: letters[word])
        answers.append(
            f"text in another script than {name} ({_NAMES.get(other, other.title())} letters)"
        )
    return answers


def __getattr__(name: str) -> Callable[[Sequence[str]], list[str | None]]:
    """Return `doubt_COLUMN` of the language with this column, such as `doubt_el`."""
    for language in languages():
        if name == f"doubt_{language.column}" and language.script:
            return functools.partial(_doubt, language.script, language.name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
