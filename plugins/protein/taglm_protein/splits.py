"""What keeps related proteins on one side of a split: the 5-mers that they share.

Two rules work together. The *key* of a protein, its 5-mer with the smallest hash, puts it into a
bucket without looking at any other protein; the embedded backbone and stage 1 never see bucket 0.
Relatives mostly have the same key, but not always. So the *splits* of a run are decided by looking
at all rows: a protein of the test bucket is tested only if no protein outside shares more than a
tenth of its 5-mers with it, and is trained on otherwise.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from taglm_core.errors import DataError
from taglm_core.plugin import splits_by_groups
from taglm_protein.encoder import ProteinEncoder

K = 5
"""Length of the k-mers."""
MAX_SHARED = 0.1
"""Largest share of 5-mers, of the protein with fewer of them, that two splits may share."""

_NUM_SYMBOLS = len(ProteinEncoder.symbols)
_CHUNK_ROWS = 512  # proteins compared at a time with those of a split
_MAX_MATCHES = 4_000_000  # matches of 5-mers held in memory at a time
logger = logging.getLogger(__name__)


def cluster_keys(rows: Sequence[str]) -> list[str]:
    """Return the key of each protein, which decides its bucket.

    The embedded backbone was kept from the test bucket of these very keys: changing them would
    let it have seen the test proteins.

    Args:
        rows: Valid sequences, `(rows,)`.

    Returns:
        `protein:` and the 5-mer with the smallest blake2b hash; of a shorter sequence all of it.
    """
    hashes: dict[str, bytes] = {}
    keys = []
    for row in rows:
        kmers = {row[i : i + K] for i in range(max(len(row) - K, 0) + 1)}
        for kmer in kmers:
            if kmer not in hashes:
                hashes[kmer] = hashlib.blake2b(kmer.encode("utf-8"), digest_size=8).digest()
        keys.append("protein:" + min(kmers, key=hashes.__getitem__))
    return keys


def cluster_splits(columns: Mapping[str, Sequence[str]], seed: int = 0) -> list[str]:
    """Put proteins into splits such that no two share more than a tenth of their 5-mers.

    Buckets of `cluster_keys` propose: 0 test, 1 valid, others train. A protein of the test bucket
    that shares more than `MAX_SHARED` of its 5-mers with one outside is moved to train, and then
    those that share with the moved one, until none is left; the same for valid. So test is made up
    of whole single-linkage clusters that lie in the test bucket altogether.

    Args:
        columns: `sequence` (or one column of another name) -> valid sequences `(rows,)`.
        seed: Not used: the splits belong to the proteins.

    Returns:
        train, valid or test, `(rows,)`.

    Raises:
        DataError: when there are several columns and none is called `sequence`.
    """
    rows = _sequences(columns)
    distinct = list(dict.fromkeys(rows))
    splits = np.array(splits_by_groups(cluster_keys(distinct)), dtype="U5")
    kmers = [kmer_set(row) for row in distinct]
    proposed = {split: int((splits == split).sum()) for split in ("test", "valid")}
    for split in ("test", "valid"):
        inside = np.flatnonzero(splits == split)
        # those of test have no relatives outside, so they need not be compared with valid
        outside = np.flatnonzero((splits != split) & (splits != "test"))
        splits[_related(kmers, inside, outside)] = "train"
    for split, count in proposed.items():
        moved = count - int((splits == split).sum())
        if moved:
            logger.info(
                "cluster split: %d of %d proteins of the %s bucket share more than %d %% of their "
                "%d-mers with others and are trained on",
                moved,
                count,
                split,
                round(100 * MAX_SHARED),
                K,
            )
    split_of = dict(zip(distinct, splits.tolist(), strict=True))
    return [split_of[row] for row in rows]


def cluster_groups(rows: Sequence[str]) -> list[str]:
    """Return the single-linkage cluster of each protein, for the folds of a cross-validation.

    Proteins that share more than `MAX_SHARED` of their 5-mers are in one cluster, and those that
    are linked through others too, so that no two clusters have relatives.

    Args:
        rows: Valid sequences, `(rows,)`.

    Returns:
        The first key, in alphabetical order, of the proteins of the cluster, `(rows,)`.
    """
    distinct = list(dict.fromkeys(rows))
    kmers = [kmer_set(row) for row in distinct]
    index = _Index(kmers)
    first = np.arange(len(distinct))  # the first protein of each one's cluster, as far as known

    def root(place: int) -> int:
        while first[place] != place:
            first[place] = first[first[place]]
            place = int(first[place])
        return place

    for begin in range(0, len(distinct), _CHUNK_ROWS):
        for row, other, share in index.shares(kmers[begin : begin + _CHUNK_ROWS]):
            is_related = share > MAX_SHARED
            for one, two in zip(row[is_related], other[is_related] + begin, strict=True):
                low, high = sorted((root(int(one)), root(int(two))))
                first[high] = low
    keys = cluster_keys(distinct)
    name_of: dict[int, str] = {}
    for place, key in enumerate(keys):
        name_of[root(place)] = min(key, name_of.get(root(place), key))
    group_of = {row: name_of[root(place)] for place, row in enumerate(distinct)}
    return [group_of[row] for row in rows]


def largest_shares(rows: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Return how much each protein has in common with the most similar of others.

    Args:
        rows: Valid sequences, `(rows,)`.
        others: Valid sequences.

    Returns:
        float64 `(rows,)`: the largest share of common 5-mers, of the protein with fewer of them.
    """
    index = _Index([kmer_set(row) for row in rows])
    largest = np.zeros(len(rows))
    for first in range(0, len(others), _CHUNK_ROWS):
        chunk = [kmer_set(row) for row in others[first : first + _CHUNK_ROWS]]
        for row, _, share in index.shares(chunk):
            np.maximum.at(largest, row, share)
    return largest


def kmer_set(row: str) -> np.ndarray:
    """Return the distinct 5-mers of a valid sequence as ascending numbers, int64 `(kmers,)`.

    A sequence of fewer than five residues counts as one k-mer that no longer sequence has.
    """
    ids = ProteinEncoder().encode_batch([row]).ids.astype(np.int64) + 1  # 0 stands for no residue
    width = min(K, len(ids))
    codes = np.zeros(len(ids) - width + 1, np.int64)
    for place in range(width):
        codes = codes * (_NUM_SYMBOLS + 1) + ids[place : len(ids) - width + 1 + place]
    distinct: np.ndarray = np.unique(codes)
    return distinct


def _sequences(columns: Mapping[str, Sequence[str]]) -> Sequence[str]:
    if "sequence" in columns:
        return columns["sequence"]
    if len(columns) == 1:
        return next(iter(columns.values()))
    raise DataError(
        f"the split 'protein/cluster' needs the field 'sequence'; the task has "
        f"{', '.join(columns)}. Use --set data.split.method=random."
    )


def _related(kmers: Sequence[np.ndarray], inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Return those of `inside` that are linked to `outside`, directly or through each other."""
    index = _Index([kmers[i] for i in inside])
    waiting = deque(
        outside[first : first + _CHUNK_ROWS] for first in range(0, len(outside), _CHUNK_ROWS)
    )
    is_moved = np.zeros(len(inside), bool)
    while waiting and not is_moved.all():
        chunk = waiting.popleft()
        is_new = np.zeros(len(inside), bool)
        for row, _, share in index.shares([kmers[i] for i in chunk]):
            is_new[row[share > MAX_SHARED]] = True
        if is_new.any():
            index.drop(is_new)
            is_moved |= is_new
            waiting.append(inside[is_new])
    moved: np.ndarray = inside[is_moved]
    return moved


class _Index:
    """Which proteins have a 5-mer: sorted (5-mer, protein) pairs that are searched by halving."""

    def __init__(self, kmers: Sequence[np.ndarray]) -> None:
        self.sizes = np.array([len(own) for own in kmers], np.int64)  # (proteins,)
        codes = np.concatenate(kmers) if len(kmers) else np.zeros(0, np.int64)
        order = np.argsort(codes, kind="stable")
        self.codes = codes[order]  # (pairs,)
        self.owners = np.repeat(np.arange(len(kmers)), self.sizes)[order]  # (pairs,)

    def drop(self, is_dropped: np.ndarray) -> None:
        """Forget proteins: bool `(proteins,)`."""
        keep = ~is_dropped[self.owners]
        self.codes, self.owners = self.codes[keep], self.owners[keep]

    def shares(
        self, others: Sequence[np.ndarray]
    ) -> "list[tuple[np.ndarray, np.ndarray, np.ndarray]]":
        """Compare with other proteins, pair by pair.

        Args:
            others: Distinct 5-mers of each other protein.

        Returns:
            Pieces of (protein of the index, other protein, share of the smaller set), `(pairs,)`
            each; pairs without a common 5-mer are left out.
        """
        sizes = np.array([len(own) for own in others], np.int64)
        codes = np.concatenate(others)
        first = np.searchsorted(self.codes, codes, side="left")
        counts = np.searchsorted(self.codes, codes, side="right") - first
        total = int(counts.sum())
        if total > _MAX_MATCHES and len(others) > 1:
            half = len(others) // 2
            return self.shares(others[:half]) + self.shares(others[half:])
        if not total:
            return []
        matched = np.repeat(np.arange(len(codes)), counts)  # (matches,)
        within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        owner = self.owners[first[matched] + within]
        other = np.repeat(np.arange(len(others)), sizes)[matched]
        pairs, common = np.unique(owner * len(others) + other, return_counts=True)
        row, column = pairs // len(others), pairs % len(others)
        return [(row, column, common / np.minimum(self.sizes[row], sizes[column]))]
