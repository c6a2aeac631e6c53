"""Calling what a plugin wrote: whatever it raises becomes one error, what it prints no result."""

import contextlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from taglm_core.errors import PluginError

T = TypeVar("T")

_LONGEST = 300
# frames of these belong to the machinery of importing and calling, not to the plugin
_MACHINERY = ("importlib", "pluggy", "taglm_core")


def call_plugin(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call code of a plugin.

    `SystemExit` and other exits count as failures too; only an interrupt by the user passes.
    Prints go to stderr, since stdout holds results that a program may read.

    Raises:
        PluginError: whose text is the reason in one line.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return function(*args, **kwargs)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # charged to the plugin, whatever it is
        raise PluginError(reason_of(error)) from error


def reason_of(error: BaseException) -> str:
    """Return what was raised and where in the plugin, in one line."""
    text = shown(error, str)
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError):  # its text names file and line
        return reason
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        parts = Path(frame.filename).parts
        if not frame.filename.startswith("<") and not set(_MACHINERY) & set(parts):
            return f"{reason} ({'/'.join(parts[-2:])}, line {frame.lineno})"
    return reason


def shown(value: Any, form: Callable[[Any], str] = repr) -> str:
    """Return a value as one short line, even when its own way to show itself fails."""
    try:
        text = " ".join(str(form(value)).split())
    except Exception as error:
        text = f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
