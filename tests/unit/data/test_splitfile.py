"""What a split file means: every row of the data once, by its number."""

import pytest

from taglm_core.data.splitfile import SKIPPED, splits_from_file
from taglm_core.errors import DataError

SPLITS = ["test", "train", "valid", "train"]


def split(tmp_path, lines, numbers=(1, 2, 3, 4), name="split.csv", header="row,split", **more):
    """Write a split file and return the splits of four rows."""
    file = tmp_path / name
    file.write_text("\n".join([header, *lines]) + "\n")
    return splits_from_file(str(file), list(numbers), [1, 2, 3, 4], **more)


@pytest.mark.parametrize("ending", ["", ".0", ".", ".00"])
def test_a_number_with_a_fraction_of_zeros_is_the_row(ending, tmp_path):
    """Spreadsheets and pandas write 1.0 for 1."""
    lines = [f"{i + 1}{ending},{split}" for i, split in enumerate(SPLITS)]
    assert split(tmp_path, lines) == SPLITS


@pytest.mark.parametrize("name", ["part", "Partition", "subset"])
def test_other_names_of_the_column_of_splits(name, tmp_path):
    """Files of other tools call the column of the splits otherwise."""
    lines = [f"{i + 1},{split}" for i, split in enumerate(SPLITS)]
    assert split(tmp_path, lines, header=f"row,{name}") == SPLITS


def test_an_order_of_its_own_an_empty_split_and_the_column_split(tmp_path):
    """Rows are found by number; an empty cell leaves a row out."""
    lines = ["4,valid", "2,", "1,training", "3,dev"]
    found = split(tmp_path, lines, header="row,split")
    assert found == ["train", SKIPPED, "valid", "valid"]


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["1,test", "2,train", "3,valid", "4,train", ","], "row 5: column 'row' is empty"),
        (["1,test", "2,train", ",valid", "4,train"], "row 3: column 'row' is empty"),
        (["1,test", "mol2,train", "3,valid", "4,train"], "row 2: column 'row' holds 'mol2'"),
        (["1,test", "2.5,train", "3,valid", "4,train"], "row 2: column 'row' holds '2.5'"),
        (["1,test", "-2,train", "3,valid", "4,train"], "row 2: column 'row' holds '-2'"),
        (["1,test", "1e0,train", "3,valid", "4,train"], "row 2: column 'row' holds '1e0'"),
        (["1,test", "2,train", "3,valid", "4,train", "1,train"], "row 5: .*names row 1.* row 1 of"),
        (
            ["1,test", "2,train", "3,valid", "4,train", "1.0,test"],
            "row 5: .*names row 1.* row 1 of",
        ),
        (["0,test", "1,train", "2,valid", "3,train"], "row 1: .*names row 0, .*hold 4 rows"),
        (
            ["1,test", "2,train", "3,valid", "4,train", "5,train", "6,test"],
            "row 5: .*the data hold 4 rows .2 of the 6 named rows .*split file of this table",
        ),
        (["1,test", "2,train", "3,valid"], "names no split for row 4 of the data .1 row missing"),
        (["1,test", "2,train", "3,valid", "4,maybe"], "row 4: column 'split' holds 'maybe'"),
    ],
)
def test_what_is_no_row_of_the_data_is_an_error_with_its_place(lines, wanted, tmp_path):
    """A split that is of another table, or says two things, must not be guessed at."""
    with pytest.raises(DataError, match=wanted) as caught:
        split(tmp_path, lines)
    assert str(tmp_path / "split.csv") in str(caught.value)


def test_the_split_of_a_run_with_a_test_file_can_be_used_again(tmp_path):
    """Rows of the test file are numbered by themselves and passed over."""
    lines = [f"{i + 1},{p},a.csv" for i, p in enumerate(["train", "train", "valid", "valid"])]
    lines += ["1,test,b.csv", "2,test,b.csv"]
    found = split(tmp_path, lines, header="row,split,file", test_file="b.csv")
    assert found == ["train", "train", "valid", "valid"]
    with pytest.raises(DataError, match="names row 1"):
        split(tmp_path, lines, header="row,split,file")


def test_a_jsonl_split_file_holds_numbers(tmp_path):
    """Numbers need not be text."""
    found = splits_from_file(_jsonl(tmp_path), [1, 2, 3, 4], [1, 2, 3, 4])
    assert found == SPLITS


def _jsonl(tmp_path):
    file = tmp_path / "s.jsonl"
    file.write_text(
        "".join(f'{{"row": {i + 1}.0, "split": "{p}"}}\n' for i, p in enumerate(SPLITS))
    )
    return str(file)
