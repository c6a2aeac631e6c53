"""The languages: their codes, scripts and the names that data sets give them."""

import os
import re
from collections.abc import Mapping

import attrs

from taglm_core.errors import ConfigError, nearest

VARIABLE = "TAGLM_LANGUAGES"
"""Environment variable that names further languages: `TAGLM_LANGUAGES="NL SV"`."""

_CODE = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*")


@attrs.frozen
class Language:
    """One language."""

    tag: str
    """Domain tag, such as "EN"."""
    name: str
    """English name, empty for a language that was only configured."""
    script: str = ""
    """First word of the Unicode names of its letters, such as "LATIN"; "": not checked."""
    codes: tuple[str, ...] = ()
    """Codes of FLORES and other data sets."""

    @property
    def column(self) -> str:
        """Column under which files hold the language: its tag in lower case."""
        return re.sub(r"\W", "_", self.tag.lower())


BUILT_IN = (
    Language("EN", "English", "LATIN", ("eng_Latn", "eng")),
    Language("FR", "French", "LATIN", ("fra_Latn", "fra")),
    Language("RU", "Russian", "CYRILLIC", ("rus_Cyrl", "rus")),
    Language("DE", "German", "LATIN", ("deu_Latn", "deu")),
    Language("IT", "Italian", "LATIN", ("ita_Latn", "ita")),
    Language("EL", "Greek", "GREEK", ("ell_Grek", "ell")),
    Language("ES", "Spanish", "LATIN", ("spa_Latn", "spa")),
    Language("PT", "Portuguese", "LATIN", ("por_Latn", "por")),
)
"""The eight languages of the Tag-LLM paper's translation experiments."""

PAPER_PAIRS = ("EN-FR", "EN-RU", "EN-DE", "EN-IT", "EN-EL")
"""The pairs that the paper trains on; every other pair of the eight is zero-shot there."""


def languages(environment: Mapping[str, str] | None = None) -> tuple[Language, ...]:
    """Return the built-in languages and those that the environment names.

    Args:
        environment: Where `TAGLM_LANGUAGES` is looked up; None: the process's own.

    Raises:
        ConfigError: for a word that is no language code.
    """
    variables = os.environ if environment is None else environment
    known = {language.tag: language for language in BUILT_IN}
    for word in re.split(r"[\s,]+", variables.get(VARIABLE, "").strip()):
        if not word:
            continue
        if not _CODE.fullmatch(word):
            raise ConfigError(
                f"{VARIABLE}: {word!r} is not a language code; write codes such as NL or zho_Hans, "
                "separated by blanks."
            )
        tag = word.upper() if len(word) <= 3 else word
        known.setdefault(tag, Language(tag, ""))
    return tuple(known.values())


def find(code: str, among: tuple[Language, ...] | None = None) -> Language | None:
    """Return the language of a tag, column or data-set code in any case; None: unknown."""
    wanted = code.strip().lower()
    for language in among or languages():
        names = (language.tag, language.column, *language.codes)
        if wanted in {name.lower() for name in names}:
            return language
    return None


def get(code: str, where: str) -> Language:
    """Return the language of a code.

    Raises:
        ConfigError: offering the nearest, and how to add a language.
    """
    known = languages()
    match = find(code, known)
    if match is None:
        tags = [language.tag for language in known]
        raise ConfigError(
            f"{where}: unknown language '{code}'.{nearest(code, tags)} Known: {', '.join(tags)}. "
            f"Add others by the environment variable {VARIABLE}, such as {VARIABLE}=NL."
        )
    return match
