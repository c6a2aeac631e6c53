"""Batches by token budget."""

import numpy as np
import pytest

from taglm_core.model.batching import batches_by_tokens


@pytest.mark.parametrize("most_padding", [None, 0.05])
def test_every_row_comes_once_within_the_budget(most_padding):
    """No row is lost or doubled, whatever cuts the batches."""
    lengths = np.random.default_rng(0).integers(10, 900, size=500)
    batches = list(batches_by_tokens(lengths, 8192, most_padding=most_padding))
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    assert all(len(b) * lengths[b].max() <= 8192 for b in batches)


def test_padding_stays_under_its_share():
    """The rows of one step differ widely; cut by padding they still waste little."""
    lengths = np.random.default_rng(1).integers(60, 1500, size=128)
    cut = list(batches_by_tokens(lengths, 65_536, most_padding=0.05))
    for batch in cut:
        area = len(batch) * lengths[batch].max()
        assert lengths[batch].sum() >= 0.95 * area or area <= 2048
    assert len(cut) < 40
