"""Names of predictors in the paths of a service."""

import re
from collections.abc import Sequence

import taglm
from taglm_core.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9_]+")


def named_folders(words: Sequence[str]) -> dict[str, str] | list[str]:
    """Read `FOLDER` and `NAME=FOLDER`.

    Args:
        words: As written behind `taglm serve`; all of them with a name, or none.

    Returns:
        The folders, by name if they have names.

    Raises:
        ConfigError: for a name that no path can hold, two equal ones, or some without a name.
    """
    named: dict[str, str] = {}
    plain: list[str] = []
    for word in words:
        name, equals, folder = word.partition("=")
        if not equals or not _NAME.fullmatch(name):
            plain.append(word)
            continue
        if not folder:
            raise ConfigError(f"{word}: name a folder, such as {name}=runs/QED.")
        if name in named:
            raise ConfigError(f"Duplicate name '{name}'. Names of predictors must be unique.")
        named[name] = folder
    if named and plain:
        raise ConfigError(
            f"{plain[0]}: give every predictor a name, or none: NAME={plain[0]}. A name has "
            "letters, digits and _."
        )
    return named or plain


def check_names(predictors: "taglm.Predictors") -> None:
    """Demand names that the path of a URL can hold.

    Raises:
        ConfigError: naming one that cannot be.
    """
    for name in predictors:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"the task '{name}' needs a name that a URL can hold: NAME=FOLDER for every "
                "predictor."
            )
