"""Rows that look like another kind of data: a few are a warning, a file of them is refused."""

import logging

import attrs
import pytest

import taglm_core as taglm
from taglm_core.data.config import DataConfig, SplitConfig
from taglm_core.data.doubt import check_rows, doubts_of
from taglm_core.data.rows import load_task_rows
from taglm_core.errors import ConfigError, DataError, PluginError
from taglm_core.plugins.resolved import resolve_task

ODD = "ccc"


def doubt(rows):
    """Take strings of c alone for something else."""
    return ["a row of c" if set(row) == {"c"} else None for row in rows]


def short(rows):
    """Answer for fewer rows."""
    return [None]


def failing(rows):
    """Fail."""
    raise KeyError("nothing")


def letters(registry, reference="doubt"):
    """Return the toy domain with a doubt of this module."""
    found = registry.domains.get("Letters")
    spec = attrs.evolve(found.spec, doubt=f"{__name__}:{reference}")
    return attrs.evolve(found, spec=spec)


def rows_of(*counts):
    """Return distinct doubtful and other strings."""
    doubtful, others = counts
    return ["c" * (3 + i) for i in range(doubtful)] + ["a" * (1 + i) for i in range(others)]


def test_a_few_doubtful_rows_are_a_warning(toy_registry, caplog):
    """One odd value among many may be right."""
    with caplog.at_level(logging.WARNING):
        check_rows(letters(toy_registry), "letters", rows_of(1, 9), "in.csv", "raise")
    assert (
        "in.csv: 1 of 10 distinct values of the field 'letters' look like a row of c, such as 'ccc'"
    ) in caplog.text


@pytest.mark.parametrize("counts", [(1, 0), (2, 0), (2, 1)])
def test_a_row_typed_by_hand_is_a_warning(counts, toy_registry, caplog):
    """Fewer than three values are no file of the wrong kind."""
    with caplog.at_level(logging.WARNING):
        check_rows(letters(toy_registry), "letters", rows_of(*counts), "in.csv", "raise")
    assert f"{counts[0]} of {sum(counts)} distinct values" in caplog.text


def test_a_file_of_doubtful_rows_is_refused(toy_registry, caplog):
    """Half of the distinct values decide, however often one stands there."""
    rows = rows_of(3, 3)
    with pytest.raises(DataError, match=r"3 of 6 distinct values .* --on-doubt warn"):
        check_rows(letters(toy_registry), "letters", [*rows, *["a"] * 50], "in.csv", "raise")
    with caplog.at_level(logging.WARNING):
        check_rows(letters(toy_registry), "letters", rows, "in.csv", "warn")
    assert "They are used as they are" in caplog.text


def test_good_rows_are_passed_over(toy_registry, caplog):
    """A domain without doubts says nothing either."""
    check_rows(letters(toy_registry), "letters", rows_of(0, 5), "in.csv", "raise")
    check_rows(toy_registry.domains.get("Letters"), "letters", rows_of(5, 0), "in.csv", "raise")
    assert not caplog.records


def test_a_domain_that_cannot_answer_is_charged(toy_registry):
    """The plugin is named, not the file."""
    with pytest.raises(PluginError, match="gave 1 answers for 2 rows"):
        doubts_of(letters(toy_registry, "short"), ["a", "b"])
    with pytest.raises(PluginError, match="doubt of toy/Letters: KeyError"):
        doubts_of(letters(toy_registry, "failing"), ["a"])


def test_the_rows_of_a_task_are_asked(toy_registry, tmp_path):
    """`data.on_doubt` decides; canonical rows are judged, invalid ones are not."""
    spec = taglm.Task(
        name="T",
        function_tag="T",
        template="<Letters>{letters}<T>",
        target=taglm.Regression(names=("Y",)),
    )
    task = resolve_task(spec, "toy", toy_registry)
    task = attrs.evolve(task, domains={"Letters": letters(toy_registry)})
    file = tmp_path / "rows.csv"
    splits = ["train", "train", "valid", "valid", "test", "test"]
    lines = [
        f"{row},{i},{split}"
        for i, (row, split) in enumerate(zip(rows_of(4, 2), splits, strict=True))
    ]
    file.write_text("letters,Y,split\n" + "\n".join(lines) + "\n")
    data = DataConfig(file=str(file), split=SplitConfig(column="split"))
    with pytest.raises(DataError, match="4 of 6 distinct values of the field 'letters'"):
        load_task_rows(task, toy_registry, data, 0)
    rows = load_task_rows(task, toy_registry, attrs.evolve(data, on_doubt="warn"), 0)
    assert len(rows) == 6


def test_another_word_is_an_error():
    """It would be taken for one of the two."""
    from taglm_core.data.doubt import check_on_doubt

    with pytest.raises(ConfigError, match="must be raise or warn"):
        check_on_doubt("off")
