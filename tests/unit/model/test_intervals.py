"""Split-conformal intervals: the guarantee, ranks, what is left out."""

import numpy as np
import pytest

from taglm_core.errors import ConfigError
from taglm_core.model.intervals import (
    MOST_POINTS,
    Intervals,
    check_level,
    least_rows,
    used_rank,
)


def intervals_of(residuals):
    """Return the intervals of one target whose validation rows have these residuals."""
    truth = np.asarray(residuals, dtype=float)[:, None]
    return Intervals.of_rows(["y"], truth, np.zeros_like(truth))


@pytest.mark.parametrize(("rows", "level"), [(9, 0.9), (13, 0.8), (40, 0.95), (1500, 0.9)])
def test_exchangeable_rows_are_covered_as_often_as_promised(rows, level):
    """The finite-sample guarantee: level <= coverage <= level + 1 / (rows + 1), kept ranks too."""
    rng = np.random.default_rng(7)
    repeats = 4000 if rows < 100 else 600
    covered = []
    for _ in range(repeats):
        sample = rng.standard_t(3, size=rows + 20)
        intervals = intervals_of(sample[:rows])
        low, high = intervals.bounds(np.zeros((20, 1)), level)
        new = sample[rows:, None]
        covered.append(((low <= new) & (new <= high)).mean())
    error = np.std(covered) / np.sqrt(repeats)
    slack = 1 / (rows + 1) + (1 / MOST_POINTS if rows > MOST_POINTS else 0)
    assert level - 4 * error <= np.mean(covered) <= level + slack + 4 * error


def test_the_rank_is_that_of_the_paper():
    """Of 19 residuals 1..19 at 0.9 the one of rank ceil(20 * 0.9) = 18 counts."""
    intervals = intervals_of([k if k % 2 else -k for k in range(19, 0, -1)])
    assert intervals.half_widths(0.9).tolist() == [18.0]
    assert intervals.half_widths(0.95).tolist() == [19.0]
    assert intervals.half_widths(0.5).tolist() == [10.0]


@pytest.mark.parametrize(("level", "least"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_too_few_rows_give_no_interval(level, least):
    """Fewer than 1 / alpha - 1 rows have no finite interval; nothing is guessed."""
    assert least_rows(level) == least
    assert used_rank(level, least) == least
    assert used_rank(level, least - 1) is None
    assert np.isnan(intervals_of(range(least - 1)).half_widths(level)).all()
    assert np.isfinite(intervals_of(range(least)).half_widths(level)).all()


def test_missing_values_are_left_out_of_each_target_by_itself():
    """A mask of one target does not touch the other."""
    truth = np.array([[float(k), np.nan if k % 2 else k * 10.0] for k in range(1, 21)])
    intervals = Intervals.of_rows(["a", "b"], truth, np.zeros_like(truth))
    assert [record.rows for record in intervals.records] == [20, 10]
    assert intervals.half_widths(0.9).tolist() == [19.0, 200.0]
    assert np.isnan(intervals.half_widths(0.95)).tolist() == [False, True]


def test_many_rows_are_kept_as_few_points_that_never_narrow_an_interval():
    """Of 12,345 residuals 1,000 are kept, and the rank that is used is at least the asked one."""
    rows = 12_345
    intervals = intervals_of(range(1, rows + 1))
    assert len(intervals.residuals["y"]) == MOST_POINTS
    for level in (0.5, 0.731, 0.9, 0.95, 0.999, 0.9999):
        (half,) = intervals.half_widths(level)
        asked = np.ceil((rows + 1) * level)
        assert asked <= half <= asked + rows / MOST_POINTS
        assert half == used_rank(level, rows)


@pytest.mark.parametrize("level", [0.0, 1.0, 90.0, -0.1, float("nan"), "0.9", [0.9]])
def test_a_level_is_a_share(level):
    """90 is told to be 0.9."""
    with pytest.raises(ConfigError, match=r"between 0 and 1, not .*such as 0\.9"):
        check_level(level)
