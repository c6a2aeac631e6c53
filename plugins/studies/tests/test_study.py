"""The pieces of a comparison: answers as text, the head of all methods, members side by side."""

import os
import sys
import textwrap

import numpy as np
import pytest

from taglm_core.errors import ConfigError, DataError
from taglm_core.plugin import load_registry, opened_engine
from taglm_studies.study import compare, head
from taglm_studies.study.answers import predictions_of, read_answer, write_answers
from taglm_studies.study.command import sweep
from taglm_studies.study.folder import Member, StudyFolder
from taglm_studies.study.members import run_members
from taglm_studies.study.rows import Rows


def rows(truth, kind="regression", names=("y",), classes=(), multi_label=False):
    """Return rows of which the last two are the test split."""
    splits = {"train": truth[:-2], "test": truth[-2:]}
    return Rows(
        task="T",
        kind=kind,
        names=list(names),
        classes=list(classes),
        multi_label=multi_label,
        symmetric=[],
        splits={
            split: {"fields": {"x": ["a"] * len(own)}, "texts": {}, "truth": own}
            for split, own in splits.items()
        },
    )


CLASSES = rows([0, 1, 2, 1, 1, 0], "classification", classes=("low", "mid", "lower"))
LABELS = rows(
    [[0, 1], [1, None], [1, 0], [0, 1], [1, 1], [0, 0]],
    "classification",
    names=("toxic", "soluble"),
    classes=("0", "1"),
    multi_label=True,
)
NUMBERS = rows([[1.5, 2], [2.5, None], [3.5, 4], [1, 3], [0.5, 1]], names=("first", "second"))


def test_classes_are_written_and_read():
    """The longest class that an answer begins with; none: the frequencies of the train split."""
    assert write_answers(CLASSES, "train") == ["low", "mid", "lower", "mid"]
    assert read_answer(CLASSES, " lower than") == 2
    assert read_answer(CLASSES, "high") is None
    predicted, unread = predictions_of(CLASSES, ["mid", "lower!", "?"])
    assert predicted.argmax(axis=1).tolist() == [1, 2, 1]
    assert predicted[2].tolist() == [0.25, 0.5, 0.25]
    assert predicted.sum(axis=1) == pytest.approx(np.ones(3))
    assert unread == 1


def test_labels_are_written_and_read():
    """0 and 1 for each label, "?" where it is not known; another number is no label."""
    assert write_answers(LABELS, "train") == ["0, 1", "1, ?", "1, 0", "0, 1"]
    predicted, unread = predictions_of(LABELS, ["1, 0", "2,1", "0"])
    assert predicted.tolist() == [[1, 0], [0.5, 1], [0, pytest.approx(2 / 3)]]
    assert unread == 2


def test_numbers_are_written_and_read():
    """A number that cannot be read is the mean of the train split."""
    assert [len(text.split(",")) for text in write_answers(NUMBERS, "train")] == [2, 2, 2]
    assert write_answers(NUMBERS, "train")[1].endswith(", ?")
    predicted, unread = predictions_of(NUMBERS, ["1.5,2 units", "-2e1", "1e300,nan"])
    assert predicted.tolist() == [[1.5, 2], [-20, 3], [2.5, 3]]
    assert unread == 3


DRAWN = np.random.default_rng(0)
KNOWN = DRAWN.integers(0, 2, size=(40, 2))
MEASURED = DRAWN.normal(size=(40, 2))


@pytest.mark.parametrize(
    "kept",
    [
        rows(KNOWN[:, 0].tolist(), "classification", classes=("a", "b")),
        rows(
            [[0, None], *KNOWN.tolist()],
            "classification",
            names=("a", "b"),
            classes=("0", "1"),
            multi_label=True,
        ),
        rows([[0.0, None], *MEASURED.tolist()], names=("a", "b")),
    ],
    ids=["classes", "labels", "numbers"],
)
def test_the_head_of_all_methods_fits_every_kind_of_target(kept):
    """States that hold the answer give it back; a missing target is left out of its fit."""
    states = {
        split: np.nan_to_num(np.eye(2)[truth] if truth.ndim == 1 else truth).astype(np.float32)
        for split in kept.splits
        for truth in [kept.truth(split)]
    }
    found = head.fit_head(kept, states, 0)["test"]
    truth = kept.truth("test")
    if kept.has_classes:
        assert (found.argmax(axis=1) == truth).all()
    else:
        assert np.abs(found - truth).max() < 0.5


def test_a_head_needs_two_classes():
    """The message names the task."""
    single = rows([1, 1, 1, 0], "classification", classes=("a", "b"))
    states = {split: np.ones((2, 2), np.float32) for split in single.splits}
    with pytest.raises(DataError, match="T: the train split has one class only"):
        head.fit_head(single, states, 0)


@pytest.fixture
def members(tmp_path, monkeypatch):
    """Return two members of a study, the second of which fails."""
    (tmp_path / "own_member.py").write_text(
        textwrap.dedent(
            """
            import os
            from taglm_core.errors import DataError

            def work(folder, fails):
                if fails:
                    raise DataError("no such rows")
                return {"process": os.getpid()}
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield [
        Member(group=name, seed=0, function="own_member:work", arguments={"fails": fails})
        for name, fails in (("good", False), ("bad", True))
    ]
    sys.modules.pop("own_member", None)


@pytest.fixture
def study(tmp_path):
    """Open a study."""
    opened = StudyFolder(tmp_path / "study")
    opened.open({"kind": "own"})
    yield opened
    opened.close()


def test_members_run_side_by_side(members, study):
    """Each in a process of its own; one that fails does not stop the other, and runs again."""
    said = []
    assert run_members(members, study, said.append, jobs=2) == {"bad-seed-0": "no such rows"}
    assert sorted(said) == ["bad-seed-0 failed: no such rows", "good-seed-0 has finished"]
    assert study.cost_of(members[0])["process"] != os.getpid()
    assert [member.group for member in study.unfinished(members)] == ["bad"]
    again = []
    assert run_members(members, study, again.append) == {"bad-seed-0": "no such rows"}
    assert again[0] == "1 of 2 members have finished before"


def test_members_run_on_an_engine(members, study):
    """The same members and messages; the failed one is run again."""
    said = []
    with opened_engine("local", load_registry()) as workers:
        failed = run_members(members, study, said.append, workers=workers)
        again = run_members(members, study, said.append, workers=workers)
    assert failed == again == {"bad-seed-0": "no such rows"}
    assert said[:2] == ["good-seed-0 has finished", "bad-seed-0 failed: no such rows"]
    assert study.cost_of(members[0])["process"] == os.getpid()


def test_a_member_that_finished_out_of_sight_is_said(members, study):
    """On a cluster the folder has to be one that the machines share."""

    class Elsewhere:
        def start(self, factory, arguments):
            """Make nothing."""

        def run(self, calls):
            """Say that everything has finished."""
            return ((number, None) for number, _ in enumerate(calls))

    failed = run_members(members[:1], study, lambda line: None, workers=Elsewhere())
    assert "is not here; give a folder that the machines share" in failed["good-seed-0"]


def test_processes_and_an_engine_are_not_both_asked_for(tmp_path, monkeypatch):
    """One of them says how many members run at a time."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="give --jobs 2 or --engine local"):
        sweep("QED", ["tag_length=1,2"], jobs=2, engine="local", dry_run=True)


def test_methods_that_cannot_be_compared(monkeypatch):
    """A near name is offered, a missing library named; the tag comes first."""
    with pytest.raises(ConfigError, match="unknown method 'loar'. Did you mean 'lora'"):
        compare.check_methods(["loar"])
    assert compare.check_methods(["linear-probe", "tag", "linear-probe"]) == ("tag", "linear-probe")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match="prompt-tuning and lora need PEFT: pip install"):
        compare.check_methods(["lora"])


def test_the_run_as_shipped_is_a_member_of_its_own(tmp_path):
    """It runs the task again, while the other rivals read what the tag left."""
    made = compare.compare_members(
        tmp_path, "QED", None, {}, ("tag", "taglm", "linear-probe"), (0, 1), {}
    )
    functions = [member.function.partition(":")[2] for member in made]
    assert functions == ["run_tag", "run_as_shipped", "run_rival"] * 2
    assert made[1].arguments == made[0].arguments
    assert made[2].arguments["tag"] == str(tmp_path / "members" / made[0].name)
