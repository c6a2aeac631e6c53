"""The header of a GGUF file: its facts and the list of its tensors, without the weights."""

import functools
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

# types of values: (format of struct, bytes); 8 is a text, 9 an array
_NUMBERS = {
    0: ("B", 1),
    1: ("b", 1),
    2: ("H", 2),
    3: ("h", 2),
    4: ("I", 4),
    5: ("i", 4),
    6: ("f", 4),
    7: ("?", 1),
    10: ("Q", 8),
    11: ("q", 8),
    12: ("d", 8),
}
_TEXT, _ARRAY = 8, 9


@attrs.frozen(kw_only=True)
class Header:
    """What a GGUF file says of itself."""

    facts: dict[str, Any]
    """Key -> value; of an array its number of elements, of the list of tokens all of them."""
    tensors: tuple[tuple[str, tuple[int, ...], int, int], ...]
    """(name, shape, number of the type, offset) of each tensor."""
    begin: int
    """Where the tensors begin, in bytes."""

    @property
    def architecture(self) -> str:
        """Name of the architecture, such as llama; "" without one."""
        return str(self.facts.get("general.architecture", ""))

    def fact(self, name: str) -> Any:
        """Return a fact of the architecture, such as `context_length`; None without it."""
        return self.facts.get(f"{self.architecture}.{name}")

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(shape) for _, shape, _, _ in self.tensors)


class HeaderCutError(Exception):
    """The file ends within its header."""


class _Reader:
    """Reads values one after the other."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def take(self, count: int) -> bytes:
        """Read so many bytes.

        Raises:
            HeaderCutError: when the file ends before, or the count is no sensible one.
        """
        data: bytes = self.file.read(count) if count < 1 << 34 else b""
        if len(data) < count or count >= 1 << 34:
            raise HeaderCutError
        return data

    def number(self, kind: str) -> Any:
        """Read a little-endian number of a kind of `struct`."""
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0]

    def text(self) -> str:
        """Read a string behind its length; bytes that are no UTF-8 are replaced."""
        return self.take(self.number("Q")).decode("utf-8", errors="replace")

    def value(self, kind: int, keep: bool = False) -> Any:
        """Read a value; an array is passed over unless it is kept."""
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind][0])
        if kind == _TEXT:
            return self.text()
        if kind != _ARRAY:
            raise HeaderCutError
        inner, count = self.number("I"), self.number("Q")
        if inner in _NUMBERS:
            data = self.take(count * _NUMBERS[inner][1])
            return list(struct.unpack(f"<{count}{_NUMBERS[inner][0]}", data)) if keep else count
        values = [self.value(inner) for _ in range(count)]
        return values if keep else count


def read_header(path: Path) -> Header:
    """Read the facts and the list of tensors of a GGUF file, once for each of its states."""
    return _read_header(path, states_of(path))


def states_of(*paths: Path) -> tuple[tuple[int, ...], ...]:
    """Return what changes with the content of files."""
    found = [path.stat() for path in paths]
    return tuple((s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for s in found)


@functools.lru_cache(maxsize=2)
def _read_header(path: Path, states: tuple[tuple[int, ...], ...]) -> Header:
    with path.open("rb") as file:
        reader = _Reader(file)
        try:
            reader.take(8)  # magic and version
            count_tensors, count_facts = reader.number("Q"), reader.number("Q")
            facts = dict(_facts(reader, count_facts))
            tensors = tuple(_tensor(reader) for _ in range(count_tensors))
        except (struct.error, MemoryError, OverflowError) as error:
            raise HeaderCutError from error
        alignment = int(facts.get("general.alignment", 32)) or 32
        begin = -(-file.tell() // alignment) * alignment
    return Header(facts=facts, tensors=tensors, begin=begin)


def _facts(reader: _Reader, count: int) -> Iterator[tuple[str, Any]]:
    for _ in range(count):
        key = reader.text()
        yield key, reader.value(reader.number("I"), keep=key == "tokenizer.ggml.tokens")


def _tensor(reader: _Reader) -> tuple[str, tuple[int, ...], int, int]:
    name = reader.text()
    shape = tuple(reader.number("Q") for _ in range(reader.number("I")))
    return name, shape, reader.number("I"), reader.number("Q")


def type_names(header: Header) -> dict[str, int]:
    """Return the number of weights in each type, such as Q4_1, the most frequent first."""
    import gguf

    counts: dict[str, int] = {}
    for _, shape, kind, _ in header.tensors:
        name = gguf.GGMLQuantizationType(kind).name
        counts[name] = counts.get(name, 0) + math.prod(shape)
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))
