"""Tests of the protein encoder: exact round trips, errors with positions, whole batches."""

import random
import string

import numpy as np
import pytest

from taglm_core.specs import Encoder
from taglm_protein.encoder import ProteinEncoder

UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


def split(encoded):
    """Return the ids of each row as a list."""
    bounds = encoded.offsets.tolist()
    return [encoded.ids[a:b].tolist() for a, b in zip(bounds, bounds[1:], strict=False)]


def test_encoder_satisfies_the_protocol():
    """The core accepts any object with these attributes and methods."""
    encoder = ProteinEncoder()
    assert isinstance(encoder, Encoder)
    assert encoder.version == "1"


def test_order_of_the_alphabet_is_fixed():
    """Artifacts store ids, so another order needs another version of the encoder."""
    assert "".join(ProteinEncoder.symbols) == "ACDEFGHIKLMNPQRSTVWYUOBZJX"
    assert ProteinEncoder.spellings == ProteinEncoder.symbols


def test_every_letter_round_trips():
    """Rare residues and ambiguity codes come back as they were, never as something else."""
    encoder = ProteinEncoder()
    rows = [UBIQUITIN, string.ascii_uppercase, "X", "MSECUO" * 900]
    encoded = encoder.encode_batch(rows)
    assert encoded.errors == [None] * 4
    assert [encoder.decode(ids) for ids in split(encoded)] == rows


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("", "empty sequence"),
        ("MK1T", "unknown residue '1' at position 3"),
        ("MKT*", "unknown residue '*' at position 4 (a stop); --fix corrects it"),
        ("MK*T", "unknown residue '*' at position 3 (a stop inside the sequence)"),
        ("MkT", "unknown residue 'k' at position 2 (lower case); --fix corrects it"),
        ("mkt1", "unknown residue 'm' at position 1, and 3 more (lower case)"),
        ("M-KT-", "unknown residue '-' at position 2, and 1 more (a gap"),
        ("MKT AAA", "unknown residue ' ' at position 4 (white space); --fix"),
        ("MKT\nAAA", "unknown residue '\\n' at position 4 (white space)"),
        ("MKTé", "unknown residue 'é' at position 4"),
        ("MKT\ud800", "unknown residue '\\ud800' at position 4"),
    ],
)
def test_errors_name_the_residue_and_its_position(row, message):
    """A user must find the place in a long sequence; the neighbors are not touched."""
    encoder = ProteinEncoder()
    encoded = encoder.encode_batch(["MK", row, "TW"])
    assert encoded.errors[0] is encoded.errors[2] is None
    assert encoded.errors[1].startswith(message)
    assert encoded.offsets.tolist() == [0, 2, 2, 4]
    assert encoder.decode(encoded.ids) == "MKTW"


def test_a_missing_value_is_an_error_of_its_row():
    """The content of a row never raises, not even when it is no text."""
    encoded = ProteinEncoder().encode_batch([None, "M", 3])
    assert encoded.errors == ["not text but None", None, "not text but 3"]


def test_shapes_and_types_of_batches():
    """The core relies on these types, for no row as well."""
    for rows in ([], ["M"], ["M", "MK"], [""]):
        encoded = ProteinEncoder().encode_batch(rows)
        assert encoded.ids.dtype == np.int32
        assert encoded.offsets.dtype == np.int64
        assert encoded.offsets.shape == (len(rows) + 1,)
        assert len(encoded.errors) == len(rows)
        assert encoded.offsets[-1] == len(encoded.ids)


def test_batch_equals_rows_alone_over_block_borders(monkeypatch):
    """A large batch is cut into blocks; the result may not show where."""
    monkeypatch.setattr("taglm_protein.encoder._BLOCK_BYTES", 100)
    encoder = ProteinEncoder()
    generator = random.Random(0)
    letters = string.ascii_uppercase * 4 + "*a"
    rows = ["".join(generator.choices(letters, k=generator.randrange(40))) for _ in range(500)]
    rows += [UBIQUITIN * 5, "", "A" * 99, "A" * 100]
    encoded = encoder.encode_batch(rows)
    alone = [encoder.encode_batch([row]) for row in rows]
    assert split(encoded) == [one.ids.tolist() for one in alone]
    assert encoded.errors == [one.errors[0] for one in alone]
    assert 50 < sum(error is None for error in encoded.errors) < 450
    for row, ids, error in zip(rows, split(encoded), encoded.errors, strict=True):
        assert encoder.decode(ids) == ("" if error else row)
