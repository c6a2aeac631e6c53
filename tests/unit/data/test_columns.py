"""Which column holds a field, and cells as numbers or classes."""

import datetime
import decimal
import typing

import numpy as np
import pytest

from taglm_core.caller import at_command_line
from taglm_core.cli.evaluate import evaluate
from taglm_core.cli.predict import predict
from taglm_core.cli.run import run
from taglm_core.data.columns import (
    ON_ERROR,
    column_options,
    find_column,
    parse_classes,
    parse_numbers,
)
from taglm_core.data.config import DataConfig
from taglm_core.errors import ConfigError, DataError, RowError

ALIASES = ("drug", "canonical_smiles")


@pytest.mark.parametrize(
    ("columns", "mapping", "found"),
    [
        (["smiles", "SMILES"], {}, "smiles"),
        (["id", "SMILES"], {}, "SMILES"),
        (["id", " Smiles "], {}, " Smiles "),
        (["canonical_smiles", "Drug"], {}, "Drug"),
        (["drug", "Drug"], {}, "drug"),
        (["Canonical_SMILES"], {}, "Canonical_SMILES"),
        (["smiles", "x"], {"smiles": "x"}, "x"),
        (["Drug", "SMILES"], {}, "SMILES"),
    ],
)
def test_find_column(columns, mapping, found):
    """The mapping wins, then the field's name, then aliases in order, exact before any case."""
    assert find_column(columns, "smiles", ALIASES, mapping, "a.csv") == found


@pytest.mark.parametrize(
    ("columns", "mapping", "message"),
    [
        (
            ["Smiles", "SMILES"],
            {},
            r"a.csv: the columns 'Smiles' and 'SMILES' fit the field 'smiles'.*--column "
            r"smiles=Smiles",
        ),
        (["Drug", "DRUG"], {}, "'Drug' and 'DRUG' fit"),
        (
            ["smile", "Y"],
            {},
            r"a.csv: no column for the field 'smiles' \(nor drug, canonical_smiles\). Did you mean "
            r"'smile'\? Columns: smile, Y. Name the column: --column smiles=NAME",
        ),
        (["smiles", "Y"], {"smiles": "y"}, r"--column smiles=y, but .*Did you mean 'Y'\?.*smiles"),
        ([], {}, "no column for the field"),
    ],
)
def test_find_column_explains(columns, mapping, message):
    """Without a column, or with two, the message shows what to write."""
    with at_command_line(), pytest.raises(DataError, match=message):
        find_column(columns, "smiles", ALIASES, mapping, "a.csv")


def test_parse_numbers_reads_text_and_numbers():
    """Text formats give strings, parquet gives numbers."""
    cells = ["1.50", " -2e-3 ", 3, np.float32(0.5), decimal.Decimal("1.25"), "+7"]
    numbers, errors = parse_numbers(cells, range(1, 7), "a.csv", "Y")
    assert numbers.dtype == np.float64
    assert numbers.tolist() == [1.5, -0.002, 3.0, 0.5, 1.25, 7.0]
    assert errors == [None] * 6


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "the cell is empty"),
        ("  ", "the cell is empty"),
        (None, "the cell is empty"),
        (float("nan"), "the cell is empty"),
        ("NaN", "'NaN' stands for a missing value"),
        ("NA", "'NA' stands for a missing value"),
        ("abc", "'abc' is not a number"),
        ("1_000", "'1_000' is not a number"),
        ("1,5", "'1,5' is not a number; write 1.5"),
        ("5 nM", "write numbers alone, all in one unit, and name the unit in the header"),
        (True, "True is not a number"),
        (np.bool_(False), "is not a number"),
        (">5", "'>5' is not a number"),
        ("inf", "'inf' is infinite"),
        ("-1e999", "'-1e999' is infinite"),
        (float("inf"), "inf is infinite"),
        (10**400, r"is beyond 3.4e\+38"),
        (datetime.date(2024, 1, 1), "is not a number"),
        ([1], r"\[1\] is not a number"),
        ("x" * 100, r"x\.\.\. is not a number"),
    ],
)
def test_parse_numbers_says_what_is_wrong(cell, reason):
    """Each way of not being a finite number has its own words."""
    with pytest.raises(RowError, match=f"a.csv, row 8: column 'Y': .*{reason}"):
        parse_numbers(["1", cell], [7, 8], "a.csv", "Y")
    numbers, errors = parse_numbers(["1", cell], [7, 8], "a.csv", "Y", on_error="skip")
    assert numbers[0] == 1.0
    assert np.isnan(numbers[1])
    assert errors[0] is None


def test_parse_numbers_gathers_all_and_shows_five():
    """One run shows the size of the trouble."""
    with pytest.raises(RowError) as raised:
        parse_numbers(["x"] * 7 + ["1"], list(range(1, 9)), "a.csv", "Y")
    text = str(raised.value)
    assert text.startswith("a.csv: no usable number in 7 of 8 rows:")
    assert text.count("is not a number") == 5
    assert "and 2 more" in text
    assert "--on-error skip" in text


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["1", "0", "1.0", "0."], ["1", "0", "1", "0"]),
        ([1.0, 0, np.int64(1)], ["1", "0", "1"]),
        (["01", "1.0"], ["1", "1"]),
        (["01", "02"], ["01", "02"]),
        (["1.0", "1.5"], ["1.0", "1.5"]),
        (["1.0", "yes"], ["1.0", "yes"]),
        ([" yes", "no "], ["yes", "no"]),
        ([True, False], ["True", "False"]),
        (["-1.0", "+1"], ["-1", "+1"]),
    ],
)
def test_parse_classes(cells, names):
    """Names stay as they are; whole numbers are one class however they are written."""
    assert parse_classes(cells, range(1, 9)[: len(cells)], "a.csv", "Y") == (
        names,
        [None] * len(cells),
    )


def test_empty_classes_are_errors():
    """A row without a class cannot be learned from."""
    cells = ["1.0", "", None, float("nan")]
    with pytest.raises(RowError, match=r"(?s)no usable class in 3 of 4 rows.*row 2.*is empty"):
        parse_classes(cells, [1, 2, 3, 4], "a.csv", "Y")
    names, errors = parse_classes(cells, [1, 2, 3, 4], "a.csv", "Y", on_error="skip")
    assert names == ["1", None, None, None]
    assert errors == [None] + ["column 'Y': the cell is empty"] * 3


@pytest.mark.parametrize("parse", [parse_numbers, parse_classes])
def test_another_word_for_invalid_rows_is_an_error(parse):
    """A word that nobody knows must not count as the one that skips rows."""
    with pytest.raises(ConfigError, match="on_error must be one of raise, skip, not 'keep'"):
        parse(["1"], [1], "a.csv", "Y", on_error="keep")


def test_api_command_and_settings_name_the_same_ways():
    """What a script says of invalid rows, a command and a run file say too."""
    for word in ON_ERROR:
        assert DataConfig(on_error=word).on_error == word
    with pytest.raises(ConfigError, match="on_error must be one of raise, skip, not 'keep'"):
        DataConfig(on_error="keep")
    for command in (run, predict, evaluate):
        hint = typing.get_type_hints(command, include_extras=True)["on_error"]
        assert hint.__metadata__[0].metavar == "|".join(ON_ERROR)


def test_options_can_be_pasted_into_a_shell():
    """A lab's names of columns hold blanks and brackets; another unit is never taken for it."""
    with at_command_line(), pytest.raises(DataError) as caught:
        find_column(["smiles", "LogD"], "LogS (mol/L)", (), {}, "new.csv")
    assert 'Name the column: --column "LogS (mol/L)=NAME".' in str(caught.value)
    with at_command_line(), pytest.raises(DataError) as caught:
        find_column(["smiles", "logs"], "LogS (mol/L)", (), {}, "new.csv")
    assert "If 'logs' is in mol/L, write --column \"LogS (mol/L)=logs\"." in str(caught.value)
    with at_command_line(), pytest.raises(DataError, match="column: --column smiles=NAME"):
        find_column(["x"], "smiles", (), {}, "new.csv")


def test_python_is_told_of_arguments():
    """A notebook has no options; after a command it is spoken to in Python again."""
    with at_command_line():
        assert column_options({"a": "x y", "b": "z"}) == '--column "a=x y" --column b=z'
    assert column_options({"a": "x y", "b": "z"}) == "columns={'a': 'x y', 'b': 'z'}"
    with pytest.raises(DataError, match="Name the column: columns={'smiles': 'NAME'}"):
        find_column(["x"], "smiles", (), {}, "new.csv")
