"""Assembly: from rows and a template to one id stream a row.

One id space covers everything that can stand at the input: the LM's tokens, then the symbols of
each domain, then the rows of each tag. So a row is one array of integers, and only the last step
before the backbone turns it into embeddings.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from taglm_core.encoders import TextEncoder, encode_checked
from taglm_core.errors import DataError
from taglm_core.specs import Encoded, Encoder
from taglm_core.specs.prompt import (
    FieldPart,
    FunctionPart,
    Prompt,
    SpanPart,
    TagPart,
    TextPart,
)


@attrs.frozen
class Layout:
    """Where symbols and tag rows begin in the common id space."""

    vocab_size: int
    """Ids below it are the LM's own."""
    symbols: dict[str, tuple[int, int]]
    """Domain -> (first id, number of symbols)."""
    tags: dict[str, tuple[int, int]]
    """Tag -> (first id, tag length)."""

    def tag_ids(self, name: str) -> np.ndarray:
        """Return the ids of a tag's rows, int32 `(tag_length,)`."""
        start, length = self.tags[name]
        return np.arange(start, start + length, dtype=np.int32)

    def stable(self, ids: np.ndarray) -> np.ndarray:
        """Return ids that mean the same whatever else is laid out: int `(seq,)` to int64 `(seq,)`.

        Where symbols and tags begin depends on the order in which they were loaded; here the
        names decide.
        """
        stable = ids.astype(np.int64)
        for name, (start, length) in (*self.symbols.items(), *self.tags.items()):
            digest = hashlib.blake2b(name.encode(), digest_size=6).digest()
            is_own = (ids >= start) & (ids < start + length)
            stable[is_own] += int.from_bytes(digest, "big") * 1024 - start
        return stable


def make_layout(vocab_size: int, symbols: Mapping[str, int], tags: Mapping[str, int]) -> Layout:
    """Lay out symbols and tags behind the vocabulary.

    Args:
        vocab_size: Size of the LM's vocabulary.
        symbols: Domain -> number of symbols.
        tags: Tag -> tag length.
    """
    start = vocab_size
    placed: list[dict[str, tuple[int, int]]] = [{}, {}]
    for target, counts in zip(placed, (symbols, tags), strict=True):
        for name, count in counts.items():
            target[name] = (start, count)
            start += count
    return Layout(vocab_size, *placed)


@attrs.frozen
class Rows:
    """Assembled rows."""

    ids: list[np.ndarray]
    """One int32 array a row: ids of the common space."""
    spans: list[np.ndarray]
    """One int8 array a row: 0 outside domain spans, k inside the k-th."""
    suffix: np.ndarray
    """int64 `(rows,)`: where the function tag begins; everything before it is the prefix."""
    read: np.ndarray
    """int64 `(rows,)`: index of the function tag's last row; of a text task, of the last id before
    the output."""
    errors: list[str | None]
    """One entry a row: None, or why it could not be assembled (it is then empty)."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def good(self) -> np.ndarray:
        """int64: indices of the rows without an error."""
        fine = [i for i, error in enumerate(self.errors) if error is None]
        return np.array(fine, dtype=np.int64)

    @property
    def lengths(self) -> np.ndarray:
        """int64 `(rows,)`: tokens of each row."""
        return np.array([len(row) for row in self.ids], dtype=np.int64)

    def select(self, indices: Sequence[int] | np.ndarray) -> "Rows":
        """Return some of the rows, in the order of `indices`."""
        chosen = [int(i) for i in indices]
        return Rows(
            [self.ids[i] for i in chosen],
            [self.spans[i] for i in chosen],
            self.suffix[chosen],
            self.read[chosen],
            [self.errors[i] for i in chosen],
        )


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Return the rows of several assemblies one after the other."""
    return Rows(
        [ids for rows in parts for ids in rows.ids],
        [spans for rows in parts for spans in rows.spans],
        np.concatenate([rows.suffix for rows in parts]),
        np.concatenate([rows.read for rows in parts]),
        [error for rows in parts for error in rows.errors],
    )


@attrs.frozen(kw_only=True)
class Assembler:
    """Turns rows of fields into id streams, for one template."""

    layout: Layout
    """Ids of symbols and tags."""
    prompt: Prompt
    """The template."""
    text: TextEncoder
    """Encodes words and fields that no symbol encoder reads."""
    encoders: Mapping[str, Encoder]
    """Domain -> symbol encoder; a domain that is missing here is encoded by the LM's tokenizer."""
    domain_of: Mapping[str, str]
    """Tag name as the template or a column writes it -> domain."""
    tag_of: Mapping[str, str]
    """Tag name as written -> tag key in the layout (an enriched one differs from its domain)."""
    function_tag: str
    """Key of the function tag in the layout."""
    bos_ids: Sequence[int] = ()
    """Ids before every row; for isolated spans also before each span (attention sink)."""
    is_isolated: bool = False
    """True: each span begins with its own `bos_ids`."""
    end_id: int = 0
    """Id that ends an output text."""

    @property
    def prefix_length(self) -> int:
        """How many ids at the start of a row stand before its first field.

        Tags that a column names may differ from row to row; the fewest of their lengths count.
        """
        count, words = len(self.bos_ids), ""
        for part in self.prompt.parts:
            if isinstance(part, TextPart):
                words += part.text
                continue
            if isinstance(part, FieldPart):
                return count  # words that touch a field are tokenized with it
            count += len(self.text.encode(words)) if words else 0
            words = ""
            if isinstance(part, SpanPart | TagPart):
                written = [part.tag.name] if not part.tag.is_column else list(self.tag_of)
                lengths = [self.layout.tags[self.tag_of[name]][1] for name in written]
                count += min(lengths, default=0)
            if isinstance(part, SpanPart | FunctionPart):
                return count  # the function tag itself is left to be run for each row
        return count

    def assemble(self, fields: Mapping[str, Sequence[str]], with_output: bool = False) -> Rows:
        """Assemble a batch of rows.

        Args:
            fields: Field or tag column -> one value a row.
            with_output: True: append the output text and the end id, for training on it.

        Raises:
            DataError: when a field of the template is missing.
        """
        count = self._check_fields(fields, with_output)
        encoded, errors = self._encode_spans(fields, count)
        ids: list[np.ndarray] = []
        spans: list[np.ndarray] = []
        suffix = np.zeros(count, dtype=np.int64)
        read = np.zeros(count, dtype=np.int64)
        for row in range(count):
            if errors[row] is not None:
                ids.append(np.zeros(0, dtype=np.int32))
                spans.append(np.zeros(0, dtype=np.int8))
                continue
            pieces, numbers, suffix[row], read[row] = self._row(fields, encoded, row, with_output)
            ids.append(np.concatenate(pieces))
            spans.append(
                np.repeat(np.array(numbers, dtype=np.int8), [len(piece) for piece in pieces])
            )
        return Rows(ids, spans, suffix, read, errors)

    def _check_fields(self, fields: Mapping[str, Sequence[str]], with_output: bool) -> int:
        needed = {part.field for part in self.prompt.spans} | set(self.prompt.text_fields)
        needed |= set(self.prompt.tag_columns)
        output = self.prompt.output
        if with_output and output is not None:
            needed.add(output.field)
        missing = sorted(needed - set(fields))
        if missing:
            raise DataError(
                f"the template needs the field '{missing[0]}', which was not given. Give all "
                "fields of the template."
            )
        return len(next(iter(fields.values()))) if fields else 0

    def _encode_spans(
        self, fields: Mapping[str, Sequence[str]], count: int
    ) -> tuple[list[dict[str, Any]], list[str | None]]:
        """Encode every span field, grouped by domain, since a column may name the tag."""
        errors: list[str | None] = [None] * count
        encoded: list[dict[str, Any]] = []
        for part in self.prompt.spans:
            values = fields[part.field]
            if not part.tag.is_column:
                tags = [part.tag.name] * count
            else:
                tags = [str(tag) for tag in fields[part.tag.name]]
            by_domain: dict[str, list[int]] = {}
            for row, tag in enumerate(tags):
                if tag not in self.domain_of:
                    errors[row] = errors[row] or f"{part.tag}: no domain tag <{tag}> is known"
                else:
                    by_domain.setdefault(self.domain_of[tag], []).append(row)
            pieces: dict[int, np.ndarray] = {}
            for domain, members in by_domain.items():
                result, base = self._encode(domain, [values[row] for row in members])
                for place, row in enumerate(members):
                    if result.errors[place] is not None:
                        errors[row] = errors[row] or f"{part.field}: {result.errors[place]}"
                    begin, end = result.offsets[place], result.offsets[place + 1]
                    pieces[row] = result.ids[begin:end] + np.int32(base)
            encoded.append({"tags": tags, "pieces": pieces})
        return encoded, errors

    def _encode(self, domain: str, rows: list[str]) -> tuple[Encoded, int]:
        if domain not in self.encoders:
            return self.text.encode_batch(rows), 0
        return encode_checked(self.encoders[domain], rows, domain), self.layout.symbols[domain][0]

    def _row(
        self,
        fields: Mapping[str, Sequence[str]],
        encoded: list[dict[str, Any]],
        row: int,
        with_output: bool,
    ) -> tuple[list[np.ndarray], list[int], int, int]:
        """Return the pieces of a row, the span that each is of, where the tag begins, its end."""
        made = _Pieces(np.asarray(self.bos_ids, dtype=np.int32), self.text, self.is_isolated)
        start = 0
        spans = iter(encoded)
        for part in self.prompt.parts:
            if isinstance(part, TextPart):
                made.words += part.text
            elif isinstance(part, FieldPart):
                made.words += str(fields[part.field][row])
            elif isinstance(part, SpanPart):
                span = next(spans)
                tag = self.layout.tag_ids(self.tag_of[span["tags"][row]])
                made.add_span(tag, span["pieces"][row])
            elif isinstance(part, TagPart):
                made.add(self.layout.tag_ids(self.tag_of[part.tag.of(_at(fields, row))]))
            elif isinstance(part, FunctionPart):
                made.add(tag := self.layout.tag_ids(self.function_tag))
                start = made.length - len(tag)
        read = made.length - 1  # nothing but an output comes after
        output = self.prompt.output
        if output is not None and with_output:
            made.add(self.text.encode(str(fields[output.field][row])))
            made.add(np.array([self.end_id], dtype=np.int32))
        return made.pieces, made.numbers, start, read


class _Pieces:
    """The token ids of a row, piece by piece, after its BOS."""

    def __init__(self, bos: np.ndarray, text: Any, is_isolated: bool) -> None:
        """Begin with the BOS, which may have no token.

        Args:
            bos: Its ids.
            text: Encodes words.
            is_isolated: Whether each span has a BOS of its own.
        """
        self._bos, self._text, self._is_isolated = bos, text, is_isolated
        self.pieces = [bos]
        self.numbers = [0]
        """Number of the span that a piece is of, from 1; 0: of none."""
        self.words = ""
        """Template words and text fields that touch: they are tokenized as one text."""
        self._span = 0

    @property
    def length(self) -> int:
        """Tokens of the pieces."""
        return sum(map(len, self.pieces))

    def add(self, ids: np.ndarray, span: int = 0) -> None:
        """Add a piece behind the words."""
        self._flush()
        self.pieces.append(ids)
        self.numbers.append(span)

    def add_span(self, tag: np.ndarray, symbols: np.ndarray) -> None:
        """Add a domain tag and its symbols."""
        self._flush()
        self._span += 1
        if self._is_isolated and len(self._bos):
            if self._span > 1 or self.length > len(self._bos):
                self.add(self._bos, self._span)
            else:
                self.numbers[0] = self._span  # the row begins with it: one BOS serves both
        self.add(tag, self._span)
        self.add(symbols, self._span)

    def _flush(self) -> None:
        if self.words:
            self.pieces.append(self._text.encode(self.words))
            self.numbers.append(0)
        self.words = ""


class _at(Mapping[str, str]):  # noqa: N801 - reads as a word: the fields at a row
    """One row of columns, looked up lazily."""

    def __init__(self, fields: Mapping[str, Sequence[str]], row: int) -> None:
        self._fields = fields
        self._row = row

    def __getitem__(self, name: str) -> str:
        return str(self._fields[name][self._row])

    def __iter__(self) -> Any:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)
