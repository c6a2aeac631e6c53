"""What a message proposes for a name that is not known."""

import pytest

from taglm_core.errors import nearest

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
