"""Opening text files: the one routine for encodings, compression and line ends.

Core and plugins open every text file of a user here, so that each fault is named in the same way.
"""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, TextIO

from taglm_core.data.inputs import note_read
from taglm_core.data.links import check_links
from taglm_core.errors import DataError, nearest

LineEnds = Literal["any", "feed", "first", "kept"]
"""Which characters end a line:

any: CR, CRLF and LF.
feed: LF alone, for files whose lines run in parallel; a file with CR and no LF is an error.
first: LF alone, but CR where the beginning of the file has no LF (tables that may hold a CR).
kept: nothing is changed, for readers such as csv that find line ends themselves.
"""

_NEWLINES = {"any": None, "feed": "\n", "first": "\n", "kept": ""}
_GZIP_MAGIC = b"\x1f\x8b"
_START_BYTES = 1 << 20
_FIX = "Save the file as UTF-8, for example: iconv -f {} -t utf-8 OLD > NEW"

_MAGIC = {
    b"PK\x03\x04": "a zip archive or an Excel workbook. Unpack it, or name it .xlsx",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook. Save the sheet as csv",
    b"PAR1\x15": "a parquet file. Name it .parquet",
    b"BZh91AY&SY": "compressed by bzip2. Unpack it, or compress it by gzip",
    b"\xfd7zXZ": "compressed by xz. Unpack it, or compress it by gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd. Unpack it, or compress it by gzip",
    b"SQLite format 3": "an SQLite database. Export the table as csv",
    b"%PDF-": "a PDF document. Export the table as csv",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself. Run `git lfs pull`",
}


@contextmanager
def open_text(path: str | Path, ends: LineEnds = "any") -> Iterator[TextIO]:
    """Open a text file as UTF-8, with or without byte order mark, plain or compressed by gzip.

    Args:
        path: The file.
        ends: What ends a line, see `LineEnds`; lines end in a line feed but with "kept".

    Raises:
        DataError: when the file is missing or is no UTF-8 text; the message names file and line.
    """
    path = Path(path)
    check_exists(path)
    note_read(path)
    try:
        raw = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    with raw:
        watched = _Watched(_unpacked(raw, path), path)
        start = watched.beginning()
        _check_start(path, start)
        newline = _newline(path, start, ends)
        buffered = io.BufferedReader(watched, 1 << 16)
        with io.TextIOWrapper(buffered, encoding="utf-8-sig", newline=newline) as file:
            try:
                yield file
            except UnicodeDecodeError as error:
                raise DataError(f"{path}: {_bad_bytes(path)}") from error


def read_text(path: str | Path) -> str:
    """Return the text of a whole file, each line end as a line feed; see `open_text`."""
    with open_text(path) as file:
        return file.read()


def read_lines(path: str | Path) -> list[str]:
    r"""Return the lines of a file of one sentence a line, as in corpora that run in parallel.

    A line ends at a line feed alone. A carriage return before it belongs to the line end; one
    inside a line stays there as white space, as do U+2028, U+0085 and form feeds.

    Raises:
        DataError: as `open_text`.
    """
    with open_text(path, ends="feed") as file:
        return [line.removesuffix("\n").removesuffix("\r") for line in file]


def check_exists(path: Path) -> None:
    """Demand that a path is a file.

    Raises:
        DataError: naming the folder that was searched and the nearest name in it.
    """
    check_links(path)
    if path.is_dir():
        names = sorted(p.name for p in path.iterdir() if p.is_file() and p.suffix)
        inside = f", such as '{path / names[0]}'" if names else ""
        raise DataError(f"{path} is a folder; name a file in it{inside}.")
    if path.exists():
        return
    if not path.parent.is_dir():
        raise DataError(
            f"{path}: no such file; the folder '{path.parent}' does not exist either "
            f"(working folder: {Path.cwd()})."
        )
    near = nearest(path.name, os.listdir(path.parent))
    raise DataError(f"{path}: no such file in '{path.parent.resolve()}'.{near}")


class _Watched(io.RawIOBase):
    """Bytes of a file, unpacked; faults of reading and NUL bytes become a `DataError`."""

    def __init__(self, binary: Any, path: Path) -> None:
        self._binary = binary
        self._path = path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._binary.seek(offset, whence))

    def tell(self) -> int:
        return int(self._binary.tell())

    def readinto(self, buffer: Any) -> int:
        count = self._count(buffer)
        if b"\0" in bytes(memoryview(buffer)[:count]):
            raise DataError(f"{self._path}: {_nul_byte(self._path)}")
        return count

    def beginning(self) -> bytes:
        """Return the first bytes, NUL bytes allowed, and go back to the first."""
        pieces = bytearray(_START_BYTES)
        count = self._count(memoryview(pieces))
        self._binary.seek(0)
        return bytes(pieces[:count])

    def _count(self, buffer: Any) -> int:
        try:
            return int(self._binary.readinto(buffer))
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise DataError(
                f"{self._path}: the gzip compression is broken ({error}). Copy the file again; "
                "`gzip -t` checks it."
            ) from error
        except OSError as error:
            reason = error.strerror or error
            raise DataError(f"{self._path}: cannot be read: {reason}.") from error


def _unpacked(raw: IO[bytes], path: Path) -> Any:
    """Return the bytes of a file without its gzip compression."""
    is_packed = raw.read(2) == _GZIP_MAGIC or path.suffix.lower() == ".gz"
    raw.seek(0)
    return gzip.GzipFile(fileobj=raw, mode="rb") if is_packed else raw


def _check_start(path: Path, start: bytes) -> None:
    """Name what a file is that is no UTF-8 text, as far as its first bytes tell."""
    for magic, what in _MAGIC.items():
        if start.startswith(magic):
            raise DataError(f"{path}: this is {what}.")
    encoding = _wide_encoding(start)
    if encoding:
        raise DataError(f"{path}: the text is {encoding}, not UTF-8. {_FIX.format(encoding)}.")


def _wide_encoding(start: bytes) -> str | None:
    """Return UTF-16 or UTF-32 when the first bytes show it, with or without byte order mark."""
    if start[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "UTF-32"
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "UTF-16"
    sample = start[:200]
    for name, others in (("UTF-16LE", sample[1::2]), ("UTF-16BE", sample[0::2])):
        if len(sample) >= 4 and others and others.count(0) > 0.8 * len(others):
            is_wider = sample.count(0) > 0.7 * len(sample)
            return name.replace("16", "32") if is_wider else name
    return None


def _newline(path: Path, start: bytes, ends: LineEnds) -> str | None:
    if ends in ("feed", "first") and b"\r" in start and b"\n" not in start:
        if ends == "first":
            return None
        raise DataError(
            f"{path}: the lines end with a carriage return (CR, as on old Macs), where a line "
            r"feed (LF) is expected. Write it again, for example: tr '\r' '\n' < OLD > NEW."
        )
    return _NEWLINES[ends]


def _binary_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Give the number of each line, the place of its first byte and its bytes."""
    with path.open("rb") as raw:
        position = 0
        for number, line in enumerate(_unpacked(raw, path), start=1):
            yield number, position, line
            position += len(line)


def _nul_byte(path: Path) -> str:
    for number, position, line in _binary_lines(path):
        if b"\0" in line:
            place = line.index(b"\0")
            return (
                f"line {number}, byte {position + place}: a NUL byte (U+0000), which text does "
                "not hold. The file is damaged or is no text; write or copy it again."
            )
    return "the file holds NUL bytes (U+0000), so it is no text."


def _bad_bytes(path: Path) -> str:
    """Say where the first bytes stand that are not UTF-8, and what they would be elsewhere."""
    for number, position, line in _binary_lines(path):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = line[error.start]
            place = f"line {number}, byte {position + error.start}: 0x{byte:02x} is not UTF-8"
            if error.reason == "unexpected end of data" and not line.endswith(b"\n"):
                return f"{place}: the file ends inside a character. Copy the file again."
            char = bytes([byte]).decode("cp1252", "replace")
            return (
                f"{place}. In Latin-1 or Windows-1252, the usual ones, it is {char!r}. "
                f"{_FIX.format('windows-1252')}."
            )
    return f"the text is not UTF-8. {_FIX.format('windows-1252')}."
