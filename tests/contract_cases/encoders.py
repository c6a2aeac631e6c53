"""Broken encoders."""

import itertools
import time

import numpy as np
from toy_plugin import LettersEncoder

from contract_cases import Case, domain, letters
from taglm_core.specs import Encoded


class NoVersion(LettersEncoder):
    """Without a version."""

    version = ""


class Twice(LettersEncoder):
    """With one symbol standing twice."""

    symbols = ("a", "b", "a")


class WideIds(LettersEncoder):
    """With ids of another type."""

    def encode_batch(self, rows):
        """Give int64 ids."""
        found = super().encode_batch(rows)
        return Encoded(found.ids.astype(np.int64), found.offsets, found.errors)


class ShortOffsets(LettersEncoder):
    """With offsets that do not reach the end."""

    def encode_batch(self, rows):
        """Give offsets that leave ids over."""
        found = super().encode_batch(rows)
        return Encoded(found.ids, np.minimum(found.offsets, 1), found.errors)


class Backwards(LettersEncoder):
    """Decoding in another order."""

    def decode(self, ids):
        """Reverse."""
        return super().decode(ids)[::-1]


class Refusing(LettersEncoder):
    """Knowing fewer letters than the data."""

    def encode_batch(self, rows):
        """Refuse the letter c."""
        return super().encode_batch([row.replace("c", "z") for row in rows])


class Collapsing(LettersEncoder):
    """Writing cc as c."""

    def encode_batch(self, rows):
        """Collapse."""
        return super().encode_batch([row.replace("cc", "c") for row in rows])


class Counting(LettersEncoder):
    """Remembering how often it was called."""

    _calls = itertools.count()

    def encode_batch(self, rows):
        """Rotate the ids by the number of calls."""
        found = super().encode_batch(rows)
        return Encoded((found.ids + next(self._calls)) % np.int32(3), found.offsets, found.errors)


class Neighbors(LettersEncoder):
    """Looking at the other rows."""

    def encode_batch(self, rows):
        """Rotate the ids by the number of rows."""
        found = super().encode_batch(rows)
        ids = ((found.ids + len(rows)) % 3).astype(np.int32)
        return Encoded(ids, found.offsets, found.errors)


class Raising(LettersEncoder):
    """Raising for a row without letters."""

    def encode_batch(self, rows):
        """Look at the first letter."""
        for row in rows:
            row[0]
        return super().encode_batch(rows)


class Stripping(LettersEncoder):
    """Dropping blanks silently."""

    def encode_batch(self, rows):
        """Strip."""
        return super().encode_batch([row.strip() for row in rows])


class KeepingIds(LettersEncoder):
    """Giving ids to rows with an error."""

    def encode_batch(self, rows):
        """Give one id to every bad row."""
        found = super().encode_batch([row if set(row) <= set("abc") else "a" for row in rows])
        errors = [None if set(row) <= set("abc") else "bad row" for row in rows]
        return Encoded(found.ids, found.offsets, errors)


class Dropping(LettersEncoder):
    """Dropping what it does not know."""

    def encode_batch(self, rows):
        """Keep a, b and c."""
        return super().encode_batch(["".join(c for c in row if c in "abc") for row in rows])


class Vague(LettersEncoder):
    """Saying only that something is wrong."""

    def encode_batch(self, rows):
        """Hide the reason."""
        found = super().encode_batch(rows)
        return Encoded(found.ids, found.offsets, [e and "bad row" for e in found.errors])


class FromZero(LettersEncoder):
    """Counting positions from 0."""

    def encode_batch(self, rows):
        """Name the position counted from 0."""
        found = super().encode_batch(rows)
        errors = [
            error and next(f"unknown {c!r} at {i}" for i, c in enumerate(row) if c not in "abc")
            for row, error in zip(rows, found.errors, strict=True)
        ]
        return Encoded(found.ids, found.offsets, errors)


class Long(LettersEncoder):
    """Writing each letter four times."""

    def encode_batch(self, rows):
        """Repeat every id."""
        found = super().encode_batch(rows)
        return Encoded(np.repeat(found.ids, 4), found.offsets * 4, found.errors)


class Slow(LettersEncoder):
    """Reading 30,000 characters a second."""

    def encode_batch(self, rows):
        """Waste time."""
        end = time.process_time() + sum(map(len, rows)) / 30_000
        while time.process_time() < end:
            pass
        return super().encode_batch(rows)


class AlikeSpellings(LettersEncoder):
    """With two spellings that a tokenizer reads alike."""

    spellings = ("a", "b", " a")


def case(check, encoder, match):
    """Return a case of an encoder in this module."""
    changed = domain(encoder=f"contract_cases.encoders:{encoder.__name__}")
    return Case(kind="encoder", check=check, match=match, plugin=letters(domains=[changed]))


CASES = [
    case("alphabet", NoVersion, "`version` is ''; write text such as '1'"),
    case("alphabet", Twice, "the symbol 'a' is empty or a duplicate"),
    case("layout", WideIds, "`ids` is int64; make it numpy int32"),
    case("layout", ShortOffsets, "`offsets` must rise from 0 to the number of ids"),
    case("round_trip", Backwards, "comes back as .*`decode` must undo `encode_batch`"),
    case("round_trip", Refusing, "cannot be encoded: unknown symbol 'z'.*Extend the alphabet"),
    case("symbol_strings", Collapsing, "comes back as .*the text is kept"),
    case("deterministic", Counting, "twice gives different ids"),
    case("batch_equals_single", Neighbors, "otherwise in a batch than alone"),
    case("odd_input", Raising, "raised IndexError.*contract_cases.*in encode_batch"),
    case("odd_input", Stripping, "without an error but comes back as"),
    case("odd_input", KeepingIds, "has an error and 1 ids"),
    case("unknown_symbol", Dropping, "Nothing may be dropped silently"),
    case("unknown_symbol", Vague, "does not name the unknown symbol '\u2603'"),
    case("unknown_symbol", FromZero, "does not name position 1 .counted from 1."),
    case("length_bound", Long, "symbols, more than the .* Every symbol costs time"),
    case("speed", Slow, "characters a second, fewer than 100,000"),
    case("embeddings", AlikeSpellings, "'a' and 'c' get the same embedding.*' a' read alike"),
]
