"""A split without rows is refused, with advice that would help."""

import pytest

from taglm_core.data.splits import check_splits
from taglm_core.errors import DataError


@pytest.mark.parametrize(
    ("rule", "advice"),
    [
        ("chem/scaffold", "another splitter (--split random)"),
        ("core/random", "rows of more inputs"),
    ],
)
def test_no_splitter_is_advised_that_has_just_failed(rule, advice):
    """90 rows of one molecule stay in one split whatever the splitter."""
    with pytest.raises(DataError, match="leaves no rows in the valid split") as caught:
        check_splits(["train"] * 90, rule)
    assert advice in str(caught.value)
