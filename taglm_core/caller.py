"""Who is spoken to: somebody at the command line, or the author of a Python program."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_IS_COMMAND = ContextVar("taglm_is_command", default=False)


@contextlib.contextmanager
def at_command_line() -> Iterator[None]:
    """Let messages name options of commands meanwhile, instead of arguments of functions."""
    token = _IS_COMMAND.set(True)
    try:
        yield
    finally:
        _IS_COMMAND.reset(token)


def is_command() -> bool:
    """Return whether a command is running."""
    return _IS_COMMAND.get()
