"""How messages speak of names that are not known, and of numbers of things."""

import pytest

from taglm_core.errors import counted, nearest

KNOWN = ["max_steps", "num_evaluations", "lr", "batch_size"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("max_step", " Did you mean 'max_steps'?"),
        ("evals", " Did you mean 'num_evaluations'?"),
        ("lr0", " Did you mean 'lr'?"),
        ("qqqq", ""),
        ("", ""),
    ],
)
def test_the_nearest_name_or_the_long_form_of_a_short_one(name, wanted):
    """A slip of the pen and a short form both lead to the name there is."""
    assert nearest(name, KNOWN) == wanted


def test_one_of_a_kind_is_not_many():
    """Messages never speak of "1 rows"."""
    assert [counted(n, "row") for n in (0, 1, 2, 1200)] == [
        "0 rows",
        "1 row",
        "2 rows",
        "1,200 rows",
    ]
    assert counted(2, "class", "classes") == "2 classes"
