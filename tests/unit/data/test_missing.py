"""What counts as a missing value, and which spellings are one class: the same for every parser."""

import datetime
import decimal
import logging
import re

import numpy as np
import pytest

from taglm_core.data.classnames import class_key
from taglm_core.data.columns import as_value, parse_classes, parse_numbers
from taglm_core.data.missing import is_missing
from taglm_core.data.targets import encode_classes
from taglm_core.errors import DataError
from taglm_core.specs import Classification

WORDS = [
    *[
        "",
        " ",
        "\u00a0",
        "\u200b",
        "\ufeff",
        "NA",
        "na",
        "N/A",
        "n/a",
        "n.a.",
        "NaN",
        "nan",
        "-nan",
    ],
    *["None", "NONE", "null", "NULL", "(null)", "<NA>", "NaT", "\\N", "-", "--", "?", ".", "#N/A"],
    *["#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "1.#QNAN", " NA\u200b "],
]


@pytest.mark.parametrize("word", WORDS)
def test_every_parser_has_the_same_words(word):
    """A cell that Excel, R, pandas or SQL left out is never a number, a class or a row."""
    assert is_missing(word)
    place = ([1, 2], "a.csv", "Y", "skip")
    assert parse_numbers(["1", word], *place)[1][1] is not None
    names, errors = parse_classes(["1", word], *place)
    assert names == ["1", None]
    assert "empty" in errors[1] or "stands for a missing value" in errors[1]
    assert as_value(word) == ""
    assert as_value(("x", word)) == ("x", "")


@pytest.mark.parametrize("value", [None, float("nan"), np.float32("nan"), decimal.Decimal("NaN")])
def test_native_missing_values_are_missing(value):
    """JSON lines and parquet hold no words for them."""
    assert is_missing(value)
    assert as_value(value) == ""
    assert parse_classes([value, "a"], [1, 2], "a.csv", "Y", "skip")[0] == [None, "a"]


@pytest.mark.parametrize(
    "value", ["0", "no", "Na", "unknown", "N", "CCO", 0, False, datetime.date(2024, 1, 1), [1]]
)
def test_other_cells_are_content(value):
    """Zero, False and ordinary words are values; `Na` alone is not told from `na`."""
    assert is_missing(value) == (value == "Na")


@pytest.mark.parametrize("word", ["None", "Null", "-", "?", "."])
def test_a_sentence_may_be_such_a_word(word):
    """`Null` is German for zero; a failed formula is no sentence."""
    assert as_value(word, is_text=True) == word
    assert as_value("#N/A", is_text=True) == as_value(None, is_text=True) == ""


def test_a_class_may_be_called_none_where_the_task_lists_it():
    """Severity may be none, mild or severe; without the list it is an error that says so."""
    cells, place = ["none", "mild", "NA"], ([1, 2, 3], "a.csv", "Y", "skip")
    names, errors = parse_classes(cells, *place)
    assert names == [None, "mild", None]
    assert "'none' stands for a missing value; list it in target.classes" in errors[0]
    assert parse_classes(cells, *place, classes=("none", "mild"))[0] == ["none", "mild", None]


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["True", "TRUE", "true"], ["True"] * 3),
        (["Not Active", "not  active", "not active "], ["Not Active"] * 3),
        (["active", "active\u200b", "acti\u00adve"], ["active"] * 3),
        (["é", "e\u0301"], ["é", "é"]),
        (["１", "1"], ["1", "1"]),
        (["1", "1.0", "01", "1e0", "yes"], ["1", "1", "1", "1", "yes"]),
        (["1.0", "1", "0"], ["1", "1", "0"]),
        ([True, "TRUE", np.bool_(True)], ["True"] * 3),
        (["-1", "+1", "-1.0", "1"], ["-1", "1", "-1", "1"]),
        (["9" * 5000, "1"], ["9" * 5000, "1"]),
        (["Straße", "STRASSE"], ["Straße"] * 2),
    ],
)
def test_spellings_of_one_class_are_one(cells, names):
    """Two classes that nobody meant would each be learned from half of the rows."""
    rows = list(range(1, len(cells) + 1))
    assert parse_classes(cells, rows, "a.csv", "Y") == (names, [None] * len(cells))


def test_a_note_names_the_spellings(caplog):
    """What was read as one class is said; equal cells are no news."""
    with caplog.at_level(logging.WARNING):
        parse_classes(["yes", "YES", "no", "no"], [1, 2, 3, 4], "a.csv", "Y")
    assert [r.message for r in caplog.records] == [
        "a.csv, column 'Y': 'yes' and 'YES' are read as one class, 'yes'"
    ]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["A", "\u0410"], r"'A' and '\u0410' look alike.*U\+0410 CYRILLIC CAPITAL LETTER A"),
        (["1.10", "1.1"], "'1.10' and '1.1' are the same number"),
        (["0.5", ".5"], "are the same number.*list the classes in target.classes"),
        ([True, 1, False, 0], "'False', 'True', '0', '1' occur together"),
        (["TRUE", "1"], "occur together"),
    ],
)
def test_classes_that_may_be_one_are_refused(cells, message):
    """Whether EC 1.10 is EC 1.1 only the user knows."""
    rows = list(range(1, len(cells) + 1))
    with pytest.raises(DataError, match=message):
        parse_classes(cells, rows, "a.csv", "Y", "skip")


def test_listed_classes_stay_apart():
    """In secondary structure, H and h are different things."""
    cells, rows = ["H", "h", "1.1", "1.10"], [1, 2, 3, 4]
    names, _ = parse_classes(cells, rows, "a.csv", "Y", classes=tuple(cells))
    assert names == cells
    assert parse_classes(["ACTIVE"], [1], "a.csv", "Y", classes=("active",))[0] == ["active"]


def test_another_file_may_spell_a_class_in_another_way():
    """A test file, or the file that a predictor is evaluated on, has spellings of its own."""
    target = Classification(names="Y", classes=("active", "inactive"))
    made, _, errors = encode_classes(["Active", "INACTIVE ", "none"], target, ())
    assert made.tolist()[:2] == [0, 1]
    assert list(errors) == [2]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("\u22121.4", -1.4),
        ("\uff0d2", -2.0),
        ("\u00a01.5\u200b", 1.5),
        ("1e\u22129", 1e-9),
        ("\ufeff3", 3.0),
    ],
)
def test_numbers_with_harmless_characters_are_read(cell, number):
    """Word processors write a minus sign, web pages blanks of their own."""
    assert parse_numbers([cell], [1], "a.csv", "Y")[0].tolist() == [number]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("\u20131.4", r"character 1 is '–' \(U\+2013 EN DASH\)"),
        ("1.\u041e", r"character 3 is .* \(U\+041E CYRILLIC CAPITAL LETTER O\)"),
        ("1,000", "without separators of thousands"),
        ("1 000", "without separators of thousands"),
        ("1\u202f000", "without separators of thousands"),
        ("1.000.000", "without separators of thousands"),
        ("1.234,5", "without separators of thousands"),
        ("1’000", "without separators of thousands"),
        ("0,125", "without separators of thousands"),
        ("1e39", "is beyond 3.4e"),
        ("-3.5e38", "is beyond 3.4e"),
        pytest.param(10**5000, "thousands of digits is beyond", id="huge"),
        ("9" * 5000, "is infinite"),
    ],
)
def test_other_numbers_are_explained_and_none_is_proposed(cell, reason):
    """Three digits behind a comma may be thousands: a guess is wrong by a factor of 1,000."""
    _, errors = parse_numbers([cell], [1], "a.csv", "Y", "skip")
    assert re.search(reason, errors[0])
    assert "write 1" not in errors[0]
    assert "write 0" not in errors[0]


def test_keys_of_classes():
    """The key is what spellings have in common."""
    assert class_key(" Not\u00a0 ACTIVE") == class_key("not active")
    assert class_key("01") == class_key("1.0") == class_key("+1") == "1"
    assert class_key("1.5") != class_key("15")
