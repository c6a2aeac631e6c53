"""Similarity to training rows: the numbers, what is kept, and what is chosen of many rows."""

import numpy as np
import pytest
import torch

from taglm_core.model.similarity import (
    Nearest,
    SimilarityReader,
    SimilarityRecord,
    _Compared,
    chosen_rows,
    packed,
    unpacked,
)


def tanimoto(a, b):
    """Return the similarity by its definition."""
    return a @ b / (a @ a + b @ b - a @ b)


@pytest.mark.parametrize("density", [0.04, 0.6])
def test_similarity_is_tanimoto_for_sparse_and_for_dense_rows(density):
    """Both ways of multiplying give what the definition says, an empty row included."""
    rng = np.random.default_rng(0)
    rows, others = (rng.integers(1, 5, (n, 80)) * (rng.random((n, 80)) < density) for n in (30, 20))
    rows[3] = 0
    others[0, 0] = 1
    values, places = Nearest(others).find(rows)
    rows, others = rows.astype(float), others.astype(float)
    for i, row in enumerate(rows):
        expected = [tanimoto(row, other) if row.any() or other.any() else 0 for other in others]
        assert values[i] == pytest.approx(max(expected), abs=1e-6)
        assert expected[places[i]] == pytest.approx(max(expected), abs=1e-6)
    assert values[3] == 0


def test_similarity_is_the_cosine_where_numbers_are_negative():
    """Tanimoto of signed numbers would not end at 1; what is not finite counts as 0."""
    values, places = Nearest(np.array([[1.0, -1.0], [0.0, 2.0]])).find(
        np.array([[3.0, -3.0], [np.nan, 1.0]])
    )
    np.testing.assert_allclose(values, [1, 1], rtol=1e-6)
    assert places.tolist() == [0, 1]


def test_fingerprints_are_kept_as_positions():
    """What is read from a predictor is what was put in, rows without a position included."""
    rng = np.random.default_rng(1)
    is_set = rng.random((9, 300)) < 0.1
    is_set[4] = False
    positions, sizes = packed(is_set)
    assert positions.dtype == torch.int16
    np.testing.assert_array_equal(unpacked(positions, sizes, 300), is_set)


def test_chosen_rows_leave_no_row_far_away(monkeypatch):
    """A few rows of every cluster are kept, where rows drawn at random would miss the small one."""
    monkeypatch.setattr("taglm_core.model.similarity.MOST_ROWS", 4)
    rng = np.random.default_rng(2)
    is_set = np.zeros((200, 60), bool)
    for i in range(200):
        start = 0 if i < 150 else 20 if i < 199 else 40
        is_set[i, start + rng.choice(20, 15, replace=False)] = True
    chosen = chosen_rows(is_set, seed=0)
    assert len(chosen) == 4
    assert 199 in chosen
    values, _ = Nearest(is_set[chosen]).find(is_set)
    assert values.min() > 0.4
    same = np.repeat(is_set[:2], 50, axis=0)
    assert len(chosen_rows(same, seed=0)) == 2, "equal fingerprints are kept once"


def test_several_fields_have_a_column_each_and_one_verdict():
    """A row is unlike if any of its fields is; one with an error has no verdict."""
    letters = np.eye(3, dtype=bool)

    def function(rows):
        return np.array([[x in row for x in "abc"] for row in rows])

    def compared(field, threshold):
        record = SimilarityRecord(
            fields=(field,),
            domain="toy/Letters",
            width=3,
            threshold=threshold,
            kept=3,
            distinct=3,
            basis="train",
        )
        return _Compared(record, *packed(letters), lambda: function)

    reader = SimilarityReader((compared("left", 0.6), compared("right", 0.4)))
    columns = reader.read({"left": ["a", "ab", "a"], "right": ["ab", "ab", "a"]}, [0, 1])
    assert columns == {
        "training_similarity.left": [1.0, 0.5, None],
        "training_similarity.right": [0.5, 0.5, None],
        "unlike_training": [False, True, None],
    }
