"""Where `taglm predict` reads from and writes to: words, a file, standard input and output."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from taglm_core.cli.screen import print_table
from taglm_core.data.formats import WRITABLE, writable_format
from taglm_core.data.readers import read_table
from taglm_core.errors import ConfigError, TaglmError
from taglm_core.inference.files import Written, check_target_format
from taglm_core.plugins import load_registry

STANDARD = "-"
"""Word for standard input or output."""


def chosen_input(words: Sequence[str], given: str | None) -> str | list[str]:
    """Tell values from a file among the words of a command line.

    A word is a file if there is one of this name, or if it ends like a table.

    Args:
        words: Words behind the run.
        given: What `--input` names.

    Returns:
        A path, "-" for standard input, or a list of values.

    Raises:
        ConfigError: when there is nothing, a file beside other words, or a value that is no text.
    """
    if given is not None and words:
        raise ConfigError(f"give either --input {given} or {words[0]!r}, not both.")
    if given is not None:
        return given
    if not words:
        raise ConfigError(
            'nothing to predict. Give values ("CCO" "c1ccccc1O"), a table (new.csv), or - for '
            "standard input."
        )
    pipe = next((word for word in words if _is_pipe(word)), None)
    if pipe is not None:
        raise ConfigError(f"{pipe!r} is not a regular file. Read it as standard input: - < {pipe}")
    endings = {ending for reader in load_registry().readers for ending in reader.spec.words}
    files = [word for word in words if word == STANDARD or _is_file(word, endings)]
    if files and len(words) > 1:
        other = next(word for word in words if word is not files[0])
        raise ConfigError(
            f"{files[0]!r} is a file, but {other!r} was given too. Give one file, or values only."
        )
    return files[0] if files else [_as_text(word) for word in words]


def _as_text(word: str) -> str:
    """Return a word of the command line as text, UTF-8 where the locale knows ASCII alone.

    Raises:
        ConfigError: when it is no UTF-8.
    """
    try:
        return os.fsencode(word).decode("utf-8")
    except UnicodeError as error:
        raise ConfigError(
            f"the value {word!r} is not UTF-8. Write it into a UTF-8 file."
        ) from error


def _is_pipe(word: str) -> bool:
    """Say whether a word names a pipe or a device, such as what a shell makes of <(command)."""
    try:
        mode = os.stat(word).st_mode
    except (OSError, ValueError):  # a value, perhaps too long for a name
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _is_file(word: str, endings: Collection[str]) -> bool:
    ending = Path(word.removesuffix(".gz")).suffix.lower().lstrip(".")
    return os.path.isfile(word) or ending in endings  # a protein may be too long for a name


def named_rows(words: Sequence[str], fields: Sequence[str], task: str) -> dict[str, list[str]]:
    """Return words of a command line as columns.

    Args:
        words: Values of the only field, one a row; or FIELD=VALUE, once for each of several fields.
        fields: Columns that the task needs.
        task: Its name, for messages.

    Raises:
        ConfigError: when words do not fill the fields.
    """
    pairs = [word.partition("=") for word in words]
    given = {name: [value] for name, _, value in pairs if name in fields}
    if len(given) == len(words) == len(fields):
        return given
    if len(fields) == 1 and not given:
        return {fields[0]: list(words)}
    raise ConfigError(
        f"task {task} takes the fields {', '.join(fields)}: write one row as "
        f"{' '.join(f'{name}=VALUE' for name in fields)}, or give a table with these columns."
    )


@contextmanager
def opened_input(source: Any, format: str) -> Iterator[Any]:
    """Give what can be predicted; standard input is kept in a file while it is.

    Args:
        source: As `chosen_input` gives it.
        format: Format of standard input.

    Raises:
        TaglmError: naming standard input instead of the file.
    """
    if source != STANDARD:
        yield source
        return
    if sys.stdin is None:
        raise ConfigError("standard input is closed. Give a table, or pipe rows into the command.")
    with tempfile.TemporaryDirectory(prefix="taglm-") as folder:
        file = Path(folder) / f"input.{format}"
        with file.open("wb") as opened:
            shutil.copyfileobj(sys.stdin.buffer, opened)
        try:
            yield file
        except TaglmError as error:
            raise error.renamed(str(file), "standard input") from error


@attrs.frozen
class Output:
    """Where predictions are written."""

    path: Path
    """The file that is written."""
    name: str
    """What the user called it."""

    def named(self, written: Written) -> str:
        """Say what was written, by the user's name for it."""
        return str(attrs.evolve(written, path=Path(self.name)))


@contextmanager
def opened_output(given: str | None, format: str, is_list: bool) -> Iterator[Output]:
    """Give a file to write; what is meant for standard output goes there at the end, whole.

    Args:
        given: What `--output` names; None or "-": standard output.
        format: Format on standard output, csv where predictions cannot be written in it.
        is_list: Whether values of the command line are predicted, which a terminal shows as a
            table.

    Raises:
        DataError: for a format in which tables are not written.
    """
    if given is not None and given != STANDARD:
        check_target_format(Path(given))
        yield Output(Path(given), given)
        return
    is_table = is_list and given is None and sys.stdout.isatty()
    ending = "jsonl" if is_table else format if format.removesuffix(".gz") in WRITABLE else "csv"
    writable_format(Path(f"output.{ending}"))
    with tempfile.TemporaryDirectory(prefix="taglm-") as folder:
        file = Path(folder) / f"output.{ending}"
        yield Output(file, "standard output")
        if is_table:
            _show(file)
            return
        sys.stdout.flush()
        with file.open("rb") as opened:
            shutil.copyfileobj(opened, sys.stdout.buffer)
        sys.stdout.flush()


def _show(file: Path) -> None:
    """Print a small table; a column of errors only if there are any."""
    columns = dict(read_table(file).columns)
    if not any(columns["error"]):
        del columns["error"]
    print_table(list(columns), [list(row) for row in zip(*columns.values(), strict=True)])
