"""Wide tables, and what datasets and splits are given."""

import pytest

from taglm_core.data.datasets import load_dataset
from taglm_core.data.splits import hold_out
from taglm_core.data.table import Table
from taglm_core.data.wide import is_wide, spread
from taglm_core.errors import ConfigError, DataError
from taglm_core.plugins.discovery import PluginSource
from taglm_core.plugins.registry import Registered
from taglm_core.specs import Dataset
from taglm_core.specs.prompt import parse_template

PROMPT = parse_template("<{a}>{x} to <{b}><T>{y}", "T", is_text_output=True)
TAGS = {"en": "EN", "fr": "FR", "de": "DE"}


def table(**columns):
    """Return a table with row numbers from 1."""
    count = len(next(iter(columns.values())))
    return Table(columns=columns, rows=list(range(1, count + 1)), source="m.csv")


def test_every_ordered_choice_of_columns_gives_rows():
    """Two languages give two directions, empty cells no row; numbers stay those of the file."""
    made = spread(table(id=["p", "q"], EN=["one", "two"], fr=["un", ""]), PROMPT, TAGS)
    assert made.columns == {
        "id": ["p", "p"],
        "a": ["EN", "FR"],
        "x": ["one", "un"],
        "b": ["FR", "EN"],
        "y": ["un", "one"],
    }
    assert made.rows == [1, 1]
    three = spread(table(en=["one"], fr=["un"], de=["eins"]), PROMPT, TAGS)
    assert len(three.rows) == 6


def test_a_table_that_names_its_tags_is_not_wide():
    """One of the tag columns is enough; templates without them never are."""
    assert is_wide(table(en=["x"], fr=["y"]), PROMPT)
    assert not is_wide(table(A=["EN"], en=["x"]), PROMPT)
    plain = parse_template("<EN>{x}<T>{y}", "T", is_text_output=True)
    assert not is_wide(table(en=["x"]), plain)


def test_too_few_columns_are_an_error():
    """The message lists columns and known tags."""
    with pytest.raises(
        DataError, match=r"neither the columns a, b nor 2 .*Columns: en, nl.*EN, FR"
    ):
        spread(table(en=["x"], nl=["y"]), PROMPT, TAGS)
    with pytest.raises(DataError, match="no row has text in 2"):
        spread(table(en=["x", ""], fr=["", "y"]), PROMPT, TAGS)


def test_a_tag_column_without_a_field_of_its_own_is_an_error():
    """Which text belongs to the tag could not be told."""
    lonely = parse_template("<{a}/>{x}<{b}><T>{y}", "T", is_text_output=True)
    with pytest.raises(DataError, match="tag column 'a' with 0 fields"):
        spread(table(en=["x"], fr=["y"]), lonely, TAGS)


def given(*, seed, size, file=None, word="w"):
    """Give back what the dataset was asked for."""
    return {"c": [f"{seed} {size} {file} {word}"]}


def broken(*, seed, size):
    """Fail as a plugin that explains itself."""
    raise DataError("the reason itself")


def dataset(function, name="d"):
    """Return a registered dataset of this module."""
    import sys

    sys.modules.setdefault("wide_datasets", sys.modules[__name__])
    spec = Dataset(name=name, load=f"wide_datasets:{function}", columns=("c",))
    return Registered(f"toy/{name}", spec, PluginSource(name="toy", distribution="t", version="0"))


def test_datasets_get_their_options():
    """Options and file reach the dataset; an unknown one is refused with the nearest."""
    assert load_dataset(dataset("given"), 1, 2, file="f", word="v").columns["c"] == ["1 2 f v"]
    with pytest.raises(ConfigError, match=r"no option 'wort'\. Did you mean 'word'"):
        load_dataset(dataset("given"), 1, 2, wort="v")
    with pytest.raises(ConfigError, match="reads no file.*none"):
        load_dataset(dataset("broken"), 1, 2, file="f")
    with pytest.raises(DataError, match="^the reason itself$"):
        load_dataset(dataset("broken"), 1, 2)


def test_held_out_rows_are_a_twentieth_and_the_same_each_time():
    """Stage 1 and whoever asks later divide alike."""
    held, others = hold_out(100, 3)
    again, _ = hold_out(100, 3)
    assert list(held) == list(again)
    assert len(held) == 5
    assert sorted([*held, *others]) == list(range(100))
    assert len(hold_out(20_000, 0)[0]) == 400
    assert len(hold_out(3, 0)[0]) == 1
