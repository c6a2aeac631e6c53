"""Targets that are classes: named in cells, cut at a threshold, or computed."""

import pytest

import taglm_core as taglm
from taglm_core.data.config import DataConfig, SplitConfig
from taglm_core.data.rows import load_task_rows
from taglm_core.data.targets import class_words, encode_classes
from taglm_core.errors import ConfigError, RowError
from taglm_core.plugins.resolved import resolve_task


def first_letter(columns):
    """Return the first letter as class; none for strings that begin with c."""
    return [None if row[0] == "c" else row[0] for row in columns["letters"]]


def rows_of(target, registry, tmp_path, cells):
    """Read four strings with a value each as rows of a task."""
    spec = taglm.Task(
        name="T", function_tag="T", template="<Letters>{letters}<T>", target=target, split="random"
    )
    file = tmp_path / "rows.csv"
    strings = ["abc", "bca", "aab", "cba"]
    splits = ["train", "train", "valid", "test"]
    lines = [",".join(row) for row in zip(strings, cells, splits, strict=True)]
    file.write_text("letters,Y,split\n" + "\n".join(lines) + "\n")
    data = DataConfig(file=str(file), split=SplitConfig(column="split"))
    return load_task_rows(resolve_task(spec, "toy", registry), registry, data, 0)


def test_numbers_are_cut_at_a_threshold(toy_registry, tmp_path):
    """Above it is the second class; at it and below is the first."""
    target = taglm.Classification(names=("y",), columns=("Y",), threshold=1.0)
    rows = rows_of(target, toy_registry, tmp_path, ["0.5", "1.0", "1.01", "7"])
    assert rows.classes == ("below", "above")
    assert rows.targets.tolist() == [0, 0, 1, 1]


def test_the_sides_of_a_threshold_have_names(toy_registry, tmp_path):
    """`classes` names the lower side, then the upper; a cell that is no number is an error."""
    target = taglm.Classification(
        names=("y",), columns=("Y",), threshold=0, classes=("worse", "better")
    )
    rows = rows_of(target, toy_registry, tmp_path, ["-1", "2", "3", "-4"])
    assert rows.classes == ("worse", "better")
    assert rows.targets.tolist() == [0, 1, 1, 0]
    with pytest.raises(RowError, match="row 2"):
        rows_of(target, toy_registry, tmp_path, ["-1", "much", "3", "-4"])


def test_a_limit_is_on_one_side_of_a_threshold(toy_registry, tmp_path):
    """One that may lie on both sides is an error."""
    target = taglm.Classification(names=("y",), columns=("Y",), threshold=1.0)
    rows = rows_of(target, toy_registry, tmp_path, ["<0.5", ">1", ">= 2", "<1"])
    assert rows.targets.tolist() == [0, 1, 1, 0]
    with pytest.raises(RowError, match="row 2: .*'<7' lies on both sides of the threshold 1"):
        rows_of(target, toy_registry, tmp_path, ["0", "<7", "3", "-4"])


@pytest.mark.parametrize("limit", [None, 5.0])
def test_the_limit_of_a_task_covers_lower_limits_of_rows(limit, toy_registry, tmp_path):
    """Such rows count as before; a limit on the other side or above it stays its own."""
    target = taglm.Regression(names=("y",), columns=("Y",), censored_below=limit)
    rows = rows_of(target, toy_registry, tmp_path, ["<5", "6", "<4.5", ">8"])
    expected = [-1, 0, -1, 1] if limit is None else [0, 0, 0, 1]
    assert rows.targets[:, 0, 1].tolist() == expected
    assert rows.targets[:, 0, 0].tolist() == [5, 6, 4.5, 8]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": ("a", "b", "c")}, "makes two classes, not 3"),
        ({"multi_label": True}, "one measured column"),
        ({"compute": "toy_plugin:canonical"}, "one measured column"),
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused(options, words):
    """Two sides of one column, nothing else."""
    with pytest.raises(ConfigError, match=words):
        taglm.Classification(names=("y",), threshold=1.0, **options)


def test_computed_classes(toy_registry, tmp_path):
    """A function of the fields gives the class; None is a bad row."""
    target = taglm.Classification(names=("first",), compute=f"{__name__}:first_letter")
    with pytest.raises(RowError, match=r"row 4: first cannot be computed"):
        rows_of(target, toy_registry, tmp_path, ["", "", "", ""])


def test_words_and_indices_of_classes_are_inverses():
    """What `encode_classes` gives is turned back by `class_words`."""
    target = taglm.Classification(names="kind")
    words = ["b", "a", "c", "a"]
    indices, classes, unknown = encode_classes(words, target, range(4))
    assert not unknown
    assert class_words(indices, classes) == words
