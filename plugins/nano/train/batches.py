"""Documents with what is predicted and read of them, and their packing into batches of one size.

A batch holds the same number of tokens, padding included, whatever the length of its rows, so that
everything but the attention sees one shape and can be compiled for it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

EOS_ID = 1
PAD_ID = 0
# Roles of a token: not predicted, predicted, and a stand-in of a tag (noise is added).
GIVEN, PREDICTED, STAND_IN = 0, 1, 2
# Tables that a reading place can ask for.
MOLECULE, PROTEIN = 0, 1
ROW_LENGTHS = (48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 3072)


class Read(NamedTuple):
    """A place of a document whose state must tell the numbers of a molecule or protein."""

    place: int
    table: int
    row: int


class Document(NamedTuple):
    """One document.

    Attributes:
        kind: For the shares and the log.
        ids: Token ids, (seq,).
        roles: GIVEN, PREDICTED or STAND_IN of each token, (seq,).
        reads: Its reading places.
    """

    kind: str
    ids: np.ndarray
    roles: np.ndarray
    reads: list[Read]


class Batch(NamedTuple):
    """Right-padded documents of like length.

    Attributes:
        ids: int16 (rows, length).
        roles: uint8 (rows, length); of a first token never PREDICTED, as nothing stands before it.
        kinds: Number of each row's kind, uint8 (rows,).
        reads: int32 (reads, 3): place in the flattened batch, table, row of the table.
    """

    ids: np.ndarray
    roles: np.ndarray
    kinds: np.ndarray
    reads: np.ndarray


class Writer:
    """Puts a document together piece by piece."""

    def __init__(self) -> None:
        """Start empty."""
        self.pieces: list[np.ndarray] = []
        self.roles: list[np.ndarray] = []
        self.reads: list[Read] = []
        self.size = 0

    def add(self, ids: np.ndarray, role: int = PREDICTED) -> None:
        """Append tokens of one role."""
        self.pieces.append(ids)
        self.roles.append(np.full(len(ids), role, np.uint8))
        self.size += len(ids)

    def read(self, table: int, row: int, back: int = 0) -> None:
        """Read at the last token, or so many tokens before it."""
        self.reads.append(Read(self.size - 1 - back, table, row))

    def document(self, kind: str) -> Document:
        """Return the document, cut at the longest row."""
        most = ROW_LENGTHS[-1]
        ids = np.concatenate(self.pieces)[:most]
        reads = [read for read in self.reads if read.place < most]
        return Document(kind, ids, np.concatenate(self.roles)[:most], reads)


def packed(documents: Iterator[Document], kinds: list[str], tokens: int) -> Iterator[Batch]:
    """Gather documents of like length until they fill a batch of so many tokens.

    Args:
        documents: Endless.
        kinds: Names of the kinds in the order of their numbers.
        tokens: Tokens of a batch. One shape needs a multiple of 6,144, which all lengths divide;
            otherwise a batch has a few less, and a row that is longer is alone.
    """
    waiting: dict[int, list[Document]] = {length: [] for length in ROW_LENGTHS}
    for document in documents:
        length = next(n for n in ROW_LENGTHS if len(document.ids) <= n)
        rows = waiting[length]
        rows.append(document)
        if len(rows) == max(1, tokens // length):
            yield batch_of(rows, kinds, length)
            waiting[length] = []


def batch_of(rows: list[Document], kinds: list[str], length: int) -> Batch:
    """Pad documents to one length."""
    ids = np.full((len(rows), length), PAD_ID, np.int16)
    roles = np.zeros((len(rows), length), np.uint8)
    reads: list[tuple[int, int, int]] = []
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = row.ids
        roles[i, : len(row.ids)] = row.roles
        reads += [(i * length + read.place, read.table, read.row) for read in row.reads]
    roles[:, 0] = np.where(roles[:, 0] == PREDICTED, GIVEN, roles[:, 0])
    numbers = np.array([kinds.index(row.kind) for row in rows], np.uint8)
    return Batch(ids, roles, numbers, np.array(reads, np.int32).reshape(-1, 3))
