"""The sentence a run ends with."""

import pytest

from taglm_core.inference.report import verdict


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (0.83, 0.85, "rmse 0.83, better than the best baseline (ridge, 0.85)"),
        (1.5231, 1.5168, "rmse 1.523, worse than the best baseline (ridge, 1.517)"),
        (0.5, 0.5, "rmse 0.5, equal to the best baseline (ridge, 0.5)"),
    ],
)
def test_numbers_are_told_apart(ours, theirs, said):
    """1.52, worse than 1.52, is no sentence."""
    test = {"rows": 30, "metrics": {"rmse": ours}, "baselines": {"ridge": {"rmse": theirs}}}
    metric = {"name": "rmse", "greater_is_better": False}
    assert said in verdict("LogS", {"metric": metric, "splits": {"test": test}, "split": "random"})
