"""Start-up: what makes a command begin sooner."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Hold back the garbage collector while large libraries are imported.

    It looks through all that is loaded after every few hundred new objects, and modules are no
    garbage: torch and transformers are imported in five sixths of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
