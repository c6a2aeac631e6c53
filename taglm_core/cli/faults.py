"""What the program says of an exception: one message, and whose fault it is."""

import errno

from taglm_core.errors import TaglmError

_HINTS = {
    errno.ENOSPC: "The disk is full. Free disk space, or write to another disk; no partial "
    "file was left.",
    errno.EDQUOT: "The disk quota is used up. Free disk space, or write to another disk.",
    errno.EACCES: "Change its permissions, or name a place that you may use.",
    errno.EPERM: "Change its permissions, or name a place that you may use.",
    errno.EROFS: "The file system is read-only. Name another place.",
    errno.EMFILE: "Too many files are open. Raise the limit: ulimit -n 4096.",
}


def message_of(error: BaseException) -> str:
    """Return what the program prints after "error: "."""
    if isinstance(error, TaglmError):
        return str(error)
    if isinstance(error, OSError):
        return _of_system(error)
    if _is_memory(error):
        return (
            "out of memory. Use smaller batches (--set "
            "stages.task.batch_tokens=2048 and stages.domain.batch_tokens=2048 for `taglm run`), "
            "fewer rows at a time, a smaller backbone, or a machine with more memory."
        )
    reason = " ".join(str(error).split())
    shown = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return (
        f"this is a bug in taglm or in one of its plugins, not in your input: {_short(shown)}. "
        "Please report it with the output of `taglm --debug COMMAND ...` (the same command with "
        "--debug right after taglm) and of `taglm doctor`."
    )


def _of_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    hint = _HINTS.get(error.errno or 0, "")
    return f"{where}{error.strerror or error}.{' ' if hint else ''}{hint}"


def _is_memory(error: BaseException) -> bool:
    """Say whether memory ran out, of the machine or of a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "not enough memory" in text
    )


def _short(text: str) -> str:
    return text if len(text) <= 300 else text[:297] + "..."
