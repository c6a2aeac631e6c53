"""What a cache may take, and what its plan says."""

import numpy as np
import pytest
import torch

from taglm_core.errors import ConfigError
from taglm_core.model.prefix_cache import budget
from taglm_core.model.prefix_cache.budget import cache_budget, cache_setting
from taglm_core.model.prefix_cache.cost_model import ForwardCost, plan_cache
from taglm_core.model.prefix_cache.segments import FIRST, Segments
from taglm_core.testing import tiny_backbone

CPU = torch.device("cpu")
LIMITS = [("cpu", 10**9)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [("auto", "auto"), ("OFF", "off"), (False, "off"), (0, "off"), ("2GB", "2gb"), (1.5, "1.5")],
)
def test_settings_are_read_as_people_write_them(given, expected):
    """YAML turns a bare off into false and 2 into a number; all mean what they say."""
    assert cache_setting(given) == expected


@pytest.mark.parametrize("given", ["lots", "-1GB", "2 apples", True, "nan"])
def test_another_setting_is_an_error_that_says_what_works(given):
    """A typing error must not become some default."""
    with pytest.raises(ConfigError, match="auto, off or a size such as 500MB"):
        cache_setting(given)


def test_the_budget_never_exceeds_what_is_free(monkeypatch):
    """A size beyond the free memory is cut down and said, so no run is killed for it."""
    monkeypatch.setattr(budget, "free_bytes", lambda device: 1_000_000_000)
    assert cache_budget("auto", CPU) == (500_000_000, "")
    assert cache_budget("off", CPU) == (0, "")
    assert cache_budget("300mb", CPU) == (300_000_000, "")
    limit, remark = cache_budget("4gb", CPU)
    assert limit == 900_000_000
    assert remark == "the cache takes 900 MB instead of 4gb: 1 GB are free"


def segments(sizes, rows_each, suffix):
    """Return rows that share first segments, and the lengths of the rows."""
    ids = np.repeat(np.arange(len(sizes)), rows_each)[:, None]
    ends = np.array(sizes)[ids[:, 0]]
    cuts = np.stack([np.zeros_like(ends), ends], axis=1)
    keys = tuple(bytes([n]) for n in range(len(sizes)))
    return Segments((FIRST,), cuts, ids, keys, np.array(sizes)), ends + suffix


def test_work_counts_weights_and_attention():
    """The count is that of the architecture: every weight once a token, two products a key."""
    backbone = tiny_backbone("llama")
    work = ForwardCost.of(backbone)
    # q and o 32 x 32, k and v 32 x 16, three matrices of 32 x 48; two layers
    assert work.per_token == 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48)
    assert work.per_pair == 2 * 2 * 32
    assert work.run(np.array([3]))[0] == 3 * work.per_token + 6 * work.per_pair
    assert work.run(np.array([1]), 4)[0] == work.per_token + 5 * work.per_pair


def test_the_plan_counts_the_saving_and_the_share_that_fits():
    """A hundred rows on one segment of 90 tokens with suffixes of 10: about ten times less work."""
    backbone = tiny_backbone("llama")
    one = plan_cache([segments([90], 100, 10)], backbone, LIMITS)
    assert 6 < one.speedup < 10
    assert one.share == 1.0
    assert one.token_bytes == 2 * 2 * 2 * 8 * 4
    assert "1 segments" in one.line()
    assert "all cached on cpu" in one.line()
    half = plan_cache([segments([90, 90], 50, 10)], backbone, [("cpu", 90 * one.token_bytes)])
    assert half.share == 0.5
    assert half.speedup < one.speedup
    assert "50 % cached" in half.line()


def test_no_cache_is_planned_where_nothing_recurs():
    """One pass over unique rows gains nothing; several passes of training do."""
    backbone = tiny_backbone("llama")
    rows = [segments([50, 60, 70], 1, 5)]
    once = plan_cache(rows, backbone, LIMITS)
    assert not once.is_worth
    assert once.line().startswith("reuse: none")
    assert plan_cache(rows, backbone, LIMITS, passes=4, trains=True).is_worth
    assert plan_cache(rows, backbone, []).line() == "reuse: off"
