"""Finding columns: one of the columns or an error, whatever a header holds."""

from hypothesis import assume, given
from hypothesis import strategies as st

from taglm_core.data.characters import INVISIBLE
from taglm_core.data.columns import find_column
from taglm_core.errors import DataError

FIELD = "smiles"
ALIASES = ("drug", "canonical_smiles")
USUAL = st.sampled_from(
    ["smiles", "SMILES", " Smiles ", "drug", "Drug", "canonical_smiles", "\ufeffsmiles", "id", "Y"]
)
NAMES = st.one_of(USUAL, st.text(max_size=8))
HEADERS = st.lists(NAMES, max_size=6, unique=True)


def found(columns, mapping=None):
    """Return the column that is found, None where there is an error."""
    try:
        return find_column(columns, FIELD, ALIASES, mapping or {}, "a.csv")
    except DataError as error:
        message = str(error)
    assert message.startswith("a.csv: ")
    return None


@given(columns=HEADERS)
def test_what_is_found_is_a_column(columns):
    """Never a name that the file has not, never another exception."""
    assert found(columns) in [*columns, None]


@given(columns=HEADERS, data=st.data())
def test_the_order_of_the_columns_does_not_matter(columns, data):
    """The same file with its columns moved is read the same."""
    assert found(columns) == found(data.draw(st.permutations(columns)))


@given(columns=HEADERS)
def test_the_exact_name_wins(columns):
    """Whatever else looks like it."""
    assume(FIELD not in columns)
    assert found([*columns, FIELD]) == FIELD


@given(
    others=st.lists(st.sampled_from(["id", "Y", "pKd", "target"]), unique=True),
    upper=st.lists(st.booleans(), min_size=len(FIELD), max_size=len(FIELD)),
    around=st.text(st.sampled_from(" \t" + INVISIBLE), max_size=3),
)
def test_case_blanks_and_invisible_characters_do_not_count(others, upper, around):
    """A name as spreadsheets and exports spell it."""
    pairs = zip(FIELD, upper, strict=True)
    name = around + "".join(c.upper() if is_upper else c for c, is_upper in pairs) + around
    assert found([*others, name]) == name


@given(columns=HEADERS.filter(bool), data=st.data())
def test_the_users_own_word_wins(columns, data):
    """A column that the user names is taken, one that is not there is an error."""
    wanted = data.draw(st.sampled_from(columns))
    assert found(columns, {FIELD: wanted}) == wanted
    assert found(columns, {FIELD: "".join(columns) + "x"}) is None
