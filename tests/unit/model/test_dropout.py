"""Dropout from random bytes leaves out the share it should, evenly, and scales the rest."""

import pytest
import torch

from taglm_core.model.dropout import ByteDropout


@pytest.mark.parametrize("shape", [(1000, 301), (7,), (3, 5, 1111)])
def test_the_mean_is_kept_and_the_share_is_left_out(shape):
    """Left-out numbers are zero, the others grow by as much as is left out."""
    torch.manual_seed(0)
    dropout = ByteDropout(0.15).train()
    made = dropout(torch.ones(shape))
    kept = made[made != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 256 / (256 - 38)))
    if made.numel() > 1000:
        assert float((made == 0).float().mean()) == pytest.approx(38 / 256, abs=0.02)
        assert float(made.mean()) == pytest.approx(1.0, abs=0.02)


def test_columns_and_draws_differ_and_a_seed_repeats_them():
    """No column is left out more than another, and no two masks are the same."""
    dropout = ByteDropout(0.5).train()
    torch.manual_seed(1)
    first, second = dropout(torch.ones(4096, 16)), dropout(torch.ones(4096, 16))
    shares = (first == 0).float().mean(dim=0)
    assert float((shares - 0.5).abs().max()) < 0.05
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert torch.equal(first, dropout(torch.ones(4096, 16)))


def test_gradients_reach_what_is_kept_only():
    """The gradient has the mask of the values."""
    values = torch.ones(200, requires_grad=True)
    made = ByteDropout(0.3).train()(values)
    made.sum().backward()
    torch.testing.assert_close(values.grad, made.detach())


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_nothing_changes_in_use(share):
    """Predictions have no dropout."""
    values = torch.randn(5, 3)
    assert torch.equal(ByteDropout(share).eval()(values), values)
    assert torch.equal(ByteDropout(0.0).train()(values), values)
