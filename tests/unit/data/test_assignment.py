"""Parts by folds, by a test file, by tags and further columns; rows that a split leaves out."""

import csv

import pytest

import taglm_core as taglm
from taglm_core.data.config import DataConfig, SplitConfig
from taglm_core.data.rows import load_task_rows
from taglm_core.errors import ConfigError, DataError, PluginError
from taglm_core.plugins import load_registry
from taglm_core.plugins.resolved import resolve_task

TASK = taglm.Task(
    name="T",
    function_tag="T",
    template="<Digits>{digits} and <Letters>{letters}: <T>",
    target=taglm.Regression(names=("value",)),
    aliases={"value": ("Y", "pKd")},
)


def by_year(columns, seed):
    """Put old rows into train, the newest into test, and leave out those without a year."""
    assert set(columns) == {"Letters", "year"}
    names = {"2001": "train", "2002": "valid", "2003": "test"}
    return [names.get(str(year), "") for year in columns["year"]]


def lengths(rows):
    """Group by the string itself."""
    assert all(set(row) <= set("abc") for row in rows)
    return list(rows)


def unknown_split(columns, seed):
    """Name a split that is none."""
    return ["training"] * len(next(iter(columns.values())))


class Plugin:
    """Splits of these tests."""

    @taglm.hookimpl
    def register_splitters(self):
        """Register a split of each kind."""
        module = "taglm_test_parting"
        return [
            taglm.Splitter(
                name="time", assign=f"{module}:by_year", tags=("Letters",), columns=("year",)
            ),
            taglm.Splitter(name="cold", groups=f"{module}:lengths", tags=("Letters",)),
            taglm.Splitter(name="wrong", assign=f"{module}:unknown_split"),
        ]


@pytest.fixture
def registry(monkeypatch):
    """Return a registry with the toy plugin and the splits above."""
    import sys

    import toy_plugin

    monkeypatch.setitem(sys.modules, "taglm_test_parting", sys.modules[__name__])
    return load_registry(only=(), extra=[("toy", toy_plugin), ("mine", Plugin())])


def write(file, rows):
    """Write a table."""
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([["digits", "letters", "pKd", "Fold", "Year"], *rows])
    return str(file)


def make_rows(count, start=0):
    """Make rows with folds 0 to 4 and years 2000 to 2003."""
    letters = "abc"
    return [
        [f"{i + 1:b}", letters[i % 3] * (1 + i % 5), i / 2, i % 5, 2000 + i % 4]
        for i in range(start, start + count)
    ]


def load(registry, file, split=None, **more):
    """Load rows by settings."""
    task = resolve_task(TASK, "toy", registry)
    data = DataConfig(file=file, split=SplitConfig(**split or {}), **more)
    return load_task_rows(task, registry, data, seed=0)


def test_folds_become_parts_by_their_values(registry, tmp_path):
    """Values named for valid and test, all others train; an alias finds the target."""
    file = write(tmp_path / "a.csv", make_rows(20))
    rows = load(registry, file, {"column": "Fold", "valid": ("3",), "test": ("4",)})
    assert [rows.splits.count(split) for split in ("train", "valid", "test")] == [12, 4, 4]
    assert rows.targets[2, 0] == 1.0
    assert rows.columns["value"] == "pKd"
    assert rows.rule == "column Fold (valid 3, test 4)"


def test_a_fold_that_is_not_there_is_an_error(registry, tmp_path):
    """A misspelt fold must not leave a split empty in silence."""
    file = write(tmp_path / "a.csv", make_rows(20))
    with pytest.raises(DataError, match="'7'.*'Fold' does not hold.*0, 1, 2, 3, 4"):
        load(registry, file, {"column": "Fold", "valid": ("3",), "test": ("7",)})
    with pytest.raises(ConfigError, match="valid and test are values of a column"):
        SplitConfig(test=("4",))
    with pytest.raises(ConfigError, match="'4' cannot mean"):
        SplitConfig(column="Fold", test=("4",), valid=("4",))


def test_a_test_file_is_the_test_split(registry, tmp_path):
    """Its rows keep their own numbers; what the split would test trains."""
    file = write(tmp_path / "a.csv", make_rows(40))
    other = write(tmp_path / "b.csv", make_rows(6, start=100))
    rows = load(registry, file, {"method": "random"}, test_file=other)
    assert [rows.splits.count(split) for split in ("train", "valid", "test")] == [36, 4, 6]
    assert rows.numbers[-6:] == [1, 2, 3, 4, 5, 6]
    assert rows.targets[-1, 0] == 52.5
    assert rows.test_source == other
    assert "b.csv" in rows.rule
    by_fold = load(registry, file, {"column": "Fold", "valid": ("4",)}, test_file=other)
    assert by_fold.splits.count("valid") == 8


def test_a_test_file_and_test_rows_contradict_each_other(registry, tmp_path):
    """Only one of them can be meant."""
    file = write(tmp_path / "a.csv", make_rows(20))
    with pytest.raises(DataError, match="'Fold' names test rows, but data.test_file"):
        load(registry, file, {"column": "Fold", "valid": ("3",), "test": ("4",)}, test_file=file)


def test_a_bad_row_of_the_test_file_is_named_with_its_file(registry, tmp_path):
    """The row number alone would point into the wrong file."""
    file = write(tmp_path / "a.csv", make_rows(40))
    bad = make_rows(5)
    bad[2][2] = "high"
    other = write(tmp_path / "b.csv", bad)
    with pytest.raises(DataError, match=r"b.csv: 1 of 5 rows(.|\n)*row 3"):
        load(registry, file, {"method": "random"}, test_file=other)
    rows = load(registry, file, {"method": "random"}, test_file=other, on_error="skip")
    assert [(row, "b.csv: " in reason) for row, reason in rows.rejected] == [(3, True)]


def test_a_split_may_ask_for_columns_and_leave_rows_out(registry, tmp_path):
    """Rows without a split are counted and say why."""
    file = write(tmp_path / "a.csv", make_rows(20))
    rows = load(registry, file, {"method": "time"})
    assert len(rows) == 15
    assert len(rows.rejected) == 5
    assert "mine/time" in rows.rejected[0][1]
    assert rows.targets[0, 0] == 0.5


def test_a_split_by_tag_takes_the_field_of_that_tag(registry, tmp_path):
    """The second span is grouped although the digits come first."""
    count = 600
    words = ["".join("abc"[(i // 3**k) % 3] for k in range(5)) for i in range(count)]
    rows = [[f"{i + 1:b}", words[i], i, 0, 0] for i in range(count)]
    loaded = load(registry, write(tmp_path / "a.csv", rows), {"method": "cold"})
    split_of = dict(zip(loaded.fields["letters"], loaded.splits, strict=True))
    assert len(split_of) == 243
    assert [split_of[word] for word in loaded.fields["letters"]] == loaded.splits


def test_a_split_by_a_tag_that_the_task_has_not(registry, tmp_path):
    """The message names the tag and those that there are."""
    file = write(tmp_path / "a.csv", make_rows(20))
    spec = taglm.Task(
        name="T",
        function_tag="T",
        template="<Digits>{digits}: <T>",
        target=taglm.Regression(names=("value",), columns=("pKd",)),
    )
    data = DataConfig(file=file, split=SplitConfig(method="cold"))
    with pytest.raises(DataError, match="<Letters>.*<Digits>"):
        load_task_rows(resolve_task(spec, "toy", registry), registry, data, seed=0)


def test_an_unknown_split_is_charged_to_the_plugin(registry, tmp_path):
    """Not taken for a part of its own."""
    file = write(tmp_path / "a.csv", make_rows(20))
    with pytest.raises(PluginError, match="mine/wrong.*'training'"):
        load(registry, file, {"method": "wrong"})
