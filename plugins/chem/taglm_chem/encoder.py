"""SMILES as symbols: a tokenizer-free encoder over atoms, bonds, ring digits and brackets.

The whole batch is encoded with numpy over its bytes; only rows that fail are looked at one by one.
Whether a row is a molecule is not asked here: that is what `taglm_chem.molecules` is for.
"""

from collections.abc import Sequence

import numpy as np

from taglm_core import Encoded

ELEMENTS = tuple(
    """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se
    Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho
    Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm
    Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og""".split()
)
"""The chemical elements in the order of their atomic numbers."""

_BONDS = tuple(r"-=#$:/\.~><")
_DIGITS = tuple("0123456789")
_AROMATIC = tuple("bcnops")
_AROMATIC_PAIRS = ("se", "as", "te", "si")
_CHIRALITY_CLASSES = ("TH", "AL", "SP", "TB", "OH")
_SINGLE = (*_BONDS, *"()[]%+*@", *_DIGITS, *_AROMATIC, *(e for e in ELEMENTS if len(e) == 1))
_PAIRS = ("@@", *_CHIRALITY_CLASSES, *_AROMATIC_PAIRS, *(e for e in ELEMENTS if len(e) == 2))

SYMBOLS = _SINGLE + _PAIRS
"""The alphabet: symbols of one character first, then symbols of two."""

# What may stand outside brackets and inside them. "[" counts as inside and "]" as outside, because
# the depth is taken after the character. A "#" inside gives an atom by number, as in [#6].
_OUTSIDE = frozenset((*_BONDS, *"()]%*", *_DIGITS, *_AROMATIC, *"BCNOPSFI", "Cl", "Br"))
_INSIDE = frozenset(
    (*"[#:+-*@", "@@", *_DIGITS, *_AROMATIC, *_AROMATIC_PAIRS, *ELEMENTS)
)  # chirality classes are found by the "@" before them

_FIRST_PAIR = len(_SINGLE)
_UNKNOWN = -1
_SEPARATOR = "\n"
_BLOCK_ROWS = 8192  # keeps the temporary arrays of a block near the processor's caches


class SmilesEncoder:
    """SMILES to symbol ids and back, exactly.

    A symbol is an element (`Cl`, `Sc` in brackets), an aromatic atom, a bond, a digit of a ring
    closure, isotope, charge or atom map, a parenthesis, a bracket, `%`, `+`, `*`, `@`, `@@` or a
    chirality class such as `SP`. Outside brackets `Sc` is sulfur and an aromatic carbon, inside
    them it is scandium.

    Example:
        >>> encoder = SmilesEncoder()
        >>> encoded = encoder.encode_batch(["C[C@@H](Cl)O"])
        >>> [encoder.symbols[i] for i in encoded.ids]
        ['C', '[', 'C', '@@', 'H', ']', '(', 'Cl', ')', 'O']
    """

    symbols: tuple[str, ...] = SYMBOLS
    """The ordered alphabet."""
    spellings: tuple[str, ...] = SYMBOLS
    """What the LM reads for each symbol: the symbol itself."""
    version: str = "1"
    """Changes when the same SMILES would be encoded otherwise."""

    def encode_batch(self, rows: Sequence[str]) -> Encoded:
        """Encode SMILES; a row that cannot be encoded gets an error and no ids.

        Args:
            rows: SMILES, `(rows,)`.

        Returns:
            ids int32 `(total,)`, offsets int64 `(rows + 1,)` and one error or None a row.
        """
        blocks = [
            _encode_block(rows[first : first + _BLOCK_ROWS])
            for first in range(0, len(rows), _BLOCK_ROWS)
        ]
        ids = [block[0] for block in blocks]
        counts = [block[1] for block in blocks]
        offsets = np.zeros(len(rows) + 1, np.int64)
        if blocks:
            np.cumsum(np.concatenate(counts), out=offsets[1:])
        return Encoded(
            ids=np.concatenate(ids) if ids else np.zeros(0, np.int32),
            offsets=offsets,
            errors=[error for block in blocks for error in block[2]],
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Return the SMILES that symbol ids `(symbols,)` spell."""
        return "".join(map(self.symbols.__getitem__, ids))


def _symbol_table() -> np.ndarray:
    """Return int16 `(2 * 128 * 128,)`: [inside][byte][next byte] -> symbol or -1."""
    table = np.full((2, 128, 128), _UNKNOWN, np.int16)
    for inside, allowed in enumerate((_OUTSIDE, _INSIDE)):
        for index, symbol in enumerate(SYMBOLS):  # pairs come last, so they win over singles
            if symbol not in allowed:
                continue
            if len(symbol) == 1:
                table[inside, ord(symbol), :] = index
            else:
                table[inside, ord(symbol[0]), ord(symbol[1])] = index
    return table.reshape(-1)


def _class_table() -> np.ndarray:
    """Return int16 `(128 * 128,)`: [byte][next byte] -> chirality class or -1."""
    table = np.full((128, 128), _UNKNOWN, np.int16)
    for name in _CHIRALITY_CLASSES:
        table[ord(name[0]), ord(name[1])] = SYMBOLS.index(name)
    return table.reshape(-1)


def _depth_table() -> np.ndarray:
    """Return int8 `(128,)`: by how much a byte changes the depth of brackets."""
    table = np.zeros(128, np.int8)
    table[ord("[")], table[ord("]")] = 1, -1
    return table


_TABLE = _symbol_table()
_CLASSES = _class_table()
_DEPTH = _depth_table()


def _encode_block(rows: Sequence[str]) -> tuple[np.ndarray, np.ndarray, list[str | None]]:
    """Encode a block of rows; return ids int32 `(total,)`, counts int64 `(rows,)`, errors."""
    texts = [row if isinstance(row, str) else "" for row in rows]
    text = _SEPARATOR.join(texts) + _SEPARATOR * 3  # the last ones let every byte look ahead
    # "replace" gives one "?" for each character beyond ASCII, so positions stay those of the text.
    data = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))  # (rows,)
    ends = np.cumsum(lengths + 1) - 1  # (rows,) place of the separator after each row
    data, ahead = data[:-2], data[1:]
    inside, is_unbalanced = _brackets(data, ends, lengths)

    key = data.astype(np.uint16) << 7
    key |= ahead[:-1]
    key |= inside.astype(np.uint16) << 14
    ids = _TABLE[key]  # (bytes,) the symbol that would start at each byte
    _mark_chirality_classes(ids, data, ahead)

    pairs = _without_overlaps(np.flatnonzero(ids >= _FIRST_PAIR))
    is_start = np.ones(len(data), bool)
    is_start[ends] = False
    is_start[pairs + 1] = False
    ids = ids[is_start].astype(np.int32)  # (total,)
    counts = np.diff(ends - np.arange(len(rows)) - np.searchsorted(pairs, ends), prepend=0)

    errors: list[str | None] = [None] * len(rows)
    is_bad = is_unbalanced | (lengths == 0)
    unknown = np.flatnonzero(ids < 0)
    if unknown.size:
        is_bad[np.searchsorted(np.cumsum(counts), unknown, side="right")] = True
    if is_bad.any():
        for row in np.flatnonzero(is_bad).tolist():
            errors[row] = _explain(rows[row])
        ids = ids[np.repeat(~is_bad, counts)]
        counts[is_bad] = 0
    return ids, counts, errors


def _brackets(
    data: np.ndarray, ends: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Say which bytes stand in brackets, and which rows do not balance them.

    Args:
        data: uint8 `(bytes,)`.
        ends: int64 `(rows,)`, place of the separator after each row.
        lengths: int64 `(rows,)`.

    Returns:
        bool `(bytes,)` and bool `(rows,)`.
    """
    depth = np.cumsum(_DEPTH[np.minimum(data, 127)], dtype=np.int32)
    if depth.min() >= 0 and depth.max() <= 1 and not depth[ends].any():
        return depth > 0, np.zeros(len(ends), bool)
    starts = ends - lengths
    before = np.concatenate([np.zeros(1, np.int32), depth[ends[:-1]]])  # (rows,) left over
    depth -= np.repeat(before, lengths + 1)
    lowest = np.minimum.reduceat(depth, starts)
    highest = np.maximum.reduceat(depth, starts)
    return depth > 0, (lowest < 0) | (highest > 1) | (depth[ends] != 0)


def _mark_chirality_classes(ids: np.ndarray, data: np.ndarray, ahead: np.ndarray) -> None:
    """Write TH, AL, SP, TB and OH into `ids` `(bytes,)` where they follow an `@`."""
    place = np.flatnonzero(data == ord("@")) + 1
    place = place[place < len(data)]
    classes = _CLASSES[data[place].astype(np.uint16) << 7 | ahead[place]]
    ids[place[classes >= 0]] = classes[classes >= 0]


def _without_overlaps(pairs: np.ndarray) -> np.ndarray:
    """Of pairs that begin at neighboring places, as in `@@@`, keep every other one.

    Args:
        pairs: int64 `(pairs,)`, ascending places.
    """
    is_first = np.diff(pairs, prepend=-2) > 1
    if is_first.all():
        return pairs
    run_start = np.maximum.accumulate(np.where(is_first, np.arange(len(pairs)), 0))
    separate: np.ndarray = pairs[(np.arange(len(pairs)) - run_start) % 2 == 0]
    return separate


def _explain(row: str) -> str:
    """Say why a row cannot be encoded; positions count from 1."""
    if not isinstance(row, str):
        return f"not text but {row!r}"
    if not row:
        return "empty SMILES"
    opened = 0  # position of the open bracket, 0 for none
    for position, character in enumerate(row, 1):
        if character == "[" and opened:
            return f"'[' at position {position} inside the bracket opened at position {opened}"
        if character == "]" and not opened:
            return f"']' at position {position} without a '[' before it"
        if character in "[]":
            opened = position if character == "[" else 0
    if opened:
        return f"'[' at position {opened} is never closed"
    return _first_unknown(row)


def _first_unknown(row: str) -> str:
    """Name the first character of a row that starts no symbol; its brackets are balanced."""
    place, inside = 0, False
    while place < len(row):
        character = row[place]
        inside = character == "[" or (inside and character != "]")
        allowed = _INSIDE if inside else _OUTSIDE
        if row[place : place + 2] in allowed or (
            row[place - 1 : place] == "@" and row[place : place + 2] in _CHIRALITY_CLASSES
        ):
            place += 2
        elif character in allowed:
            place += 1
        else:
            return _unknown(row, place, inside)
    raise AssertionError(f"every symbol of {row!r} is known")


def _unknown(row: str, place: int, inside: bool) -> str:
    """Word the error for an unknown symbol, with advice where it is plain."""
    character = row[place]
    message = f"unknown symbol {character!r} at position {place + 1}"
    if inside:
        return f"{message}, inside brackets"
    element = next((e for e in (row[place - 1 : place + 1], character) if e in ELEMENTS), None)
    return f"{message}; write [{element}] for the element {element}" if element else message
