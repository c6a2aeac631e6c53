"""Every registered encoder gives back what it was given, or says that it cannot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taglm_core.encoders import load_encoder
from taglm_core.encoders.symbols import encode_checked
from taglm_core.encoders.text import TextEncoder
from taglm_core.plugins import load_registry
from taglm_core.testing import tiny_backbone

DOMAINS = [
    item
    for item in load_registry().domains
    if item.spec.encoder != "text" and not item.spec.columns
]
TEXT = st.text(max_size=40)
BACKBONE = tiny_backbone()


def encoder_of(domain):
    """Load the encoder of a domain."""
    return load_encoder(domain.spec, domain.name)


def rows_of(encoder):
    """Rows of symbols in any order, and any other text."""
    symbols = st.lists(st.integers(0, len(encoder.symbols) - 1), max_size=40)
    return st.lists(st.one_of(symbols.map(encoder.decode), TEXT), max_size=8)


def pieces(encoded):
    """Cut the ids of a batch into rows."""
    return np.split(encoded.ids, encoded.offsets[1:-1])


def test_some_domain_has_symbols():
    """Without one the tests below would say nothing."""
    assert {"chem/SMILES", "protein/Protein"} <= {item.name for item in DOMAINS}


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda item: item.name)
@given(data=st.data())
def test_a_row_comes_back_to_the_letter(domain, data):
    """Or it has an error and no ids; nothing is dropped or guessed."""
    encoder = encoder_of(domain)
    rows = data.draw(rows_of(encoder))
    encoded = encode_checked(encoder, rows, domain.name)
    for row, ids, error in zip(rows, pieces(encoded), encoded.errors, strict=bool(rows)):
        if error is None:
            assert encoder.decode(ids.tolist()) == row
            assert len(ids) > 0
        else:
            assert error
            assert len(ids) == 0


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda item: item.name)
@given(data=st.data())
def test_a_row_is_encoded_alike_alone_and_in_a_batch(domain, data):
    """A neighbor with an error shifts nothing."""
    encoder = encoder_of(domain)
    rows = data.draw(rows_of(encoder))
    together = encode_checked(encoder, rows, domain.name)
    for row, ids, error in zip(rows, pieces(together), together.errors, strict=bool(rows)):
        alone = encode_checked(encoder, [row], domain.name)
        assert alone.errors == [error]
        assert alone.ids.tolist() == ids.tolist()


@given(rows=st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=8))
def test_the_tokenizer_of_bytes_gives_text_back(rows):
    """The text encoder adds no token of its own and loses none."""
    encoder = TextEncoder(BACKBONE.tokenizer)
    encoded = encoder.encode_batch(rows)
    for row, ids, error in zip(rows, pieces(encoded), encoded.errors, strict=bool(rows)):
        assert (error is None) == bool(row)
        assert encoder.decode(ids.tolist()) == (row if row else "")
        assert encoder.encode(row).tolist() == ids.tolist()
