"""The pieces of a comparison: answers as text, the head of all methods, members side by side."""

import contextlib
import os
import sys
import textwrap

import attrs
import numpy as np
import pytest

from taglm_core.errors import CheckpointError, ConfigError, DataError
from taglm_core.plugin import load_registry, opened_engine, prepare_run
from taglm_studies.study import compare, head
from taglm_studies.study import members as members_module
from taglm_studies.study.answers import predictions_of, read_answer, write_answers
from taglm_studies.study.checks import check_runs
from taglm_studies.study.command import sweep
from taglm_studies.study.folder import Member, StudyFolder
from taglm_studies.study.members import run_members
from taglm_studies.study.rows import Rows
from taglm_studies.study.sweep import search as search_by_tpe
from taglm_studies.study.sweep import trial_member


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
                    raise fails if isinstance(fails, Exception) else DataError("no such rows")
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


@pytest.mark.parametrize("way", ["in turn", "side by side", "engine"])
def test_members_that_need_a_failed_one_are_left_out(members, study, way):
    """One line says the cause, one names those that are not run."""
    _, bad = members
    needing = [
        attrs.evolve(bad, group=name, needs=bad.name, arguments={"fails": False})
        for name in ("lora", "probe")
    ]
    said = []
    with contextlib.ExitStack() as stack:
        options = {"side by side": {"jobs": 2}}.get(way, {})
        if way == "engine":
            options = {"workers": stack.enter_context(opened_engine("local", load_registry()))}
        failed = run_members([bad, *needing], study, said.append, **options)
    why = "it needs bad-seed-0, which failed"
    assert failed == {"bad-seed-0": "no such rows", "lora-seed-0": why, "probe-seed-0": why}
    assert [line for line in said if "1 of 3" not in line] == [
        "bad-seed-0 failed: no such rows",
        "left out, since they need the rows of bad-seed-0: lora-seed-0, probe-seed-0",
    ]


def test_a_member_ends_with_the_study_that_was_killed():
    """Else the same command would find its folder in use."""
    ended = []
    members_module._watch(os.getpid(), ended.append)  # this process is not its own parent
    assert ended == [1]


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
    assert made[1].arguments["settings"] == {"baselines": ["none"]}
    assert made[0].arguments["settings"]["stages"]["task"]["head"] == "linear"
    assert made[2].arguments["tag"] == str(tmp_path / "members" / made[0].name)


def test_an_error_of_a_library_does_not_stop_the_others(members, study):
    """The member is named with what went wrong, and the next one runs."""
    crashed = Member(
        group="crash",
        seed=0,
        function="own_member:work",
        arguments={"fails": OSError("no such model")},
    )
    failed = run_members([crashed, members[0]], study, lambda line: None)
    assert failed == {"crash-seed-0": "no such model."}
    assert study.cost_of(members[0]) is not None


def test_groups_that_look_alike_have_folders_of_their_own():
    """Characters that a folder cannot hold, and long names, are told apart by a hash."""
    groups = ["probe:a/b", "probe:a_b", "probe_a_b", "x" * 300 + "1", "x" * 300 + "2"]
    names = [Member(group=group, seed=0, function="").name for group in groups]
    assert len(set(names)) == len(groups)
    assert max(map(len, names)) < 130


def test_a_study_in_which_nothing_was_trained_leaves_no_folder(tmp_path):
    """So that the corrected command is not refused; what was trained stays."""
    for content, is_kept in ((None, False), ("cost.json", True)):
        folder = StudyFolder(tmp_path / "studies" / "s")
        folder.open({"kind": "own"})
        member = folder.path / "members" / "a"
        member.mkdir(parents=True)
        if content:
            (member / content).write_text("{}")
        folder.close()
        assert (tmp_path / "studies").exists() == is_kept


@pytest.mark.parametrize("content", ["", "a: [", "- 1", "\x00"])
def test_a_damaged_study_is_said(tmp_path, content):
    """The message names the file and what to do."""
    (tmp_path / "study.yaml").write_text(content)
    with pytest.raises(CheckpointError, match="study.yaml is damaged.* Delete"):
        StudyFolder(tmp_path).open({"kind": "own"})


def test_learning_rates_belong_to_methods_that_train(tmp_path):
    """One of another method would have no effect."""
    compare.check_rates({"lora": 1.0}, ("tag", "lora"))
    with pytest.raises(ConfigError, match="--lr lora: .* none of --methods"):
        compare.check_rates({"lora": 1.0}, ("tag", "linear-probe"))


@pytest.mark.parametrize(
    ("choices", "options", "reason"),
    [
        (["tag_length=1,"], {}, "a value between two commas is empty"),
        (["seed=1,2"], {}, "seed: a study takes its seeds by --seeds"),
        (["tag_length=1"], {"setting": ["seed=1"]}, "seed: a study takes its seeds by --seeds"),
        (["tag_length=1,2"], {"trials": 1}, "--trials 1: a grid runs all combinations"),
        (["tag_length=1"], {"sampler": "rand"}, "not rand. Did you mean 'random'"),
        (["nosuch=1"], {}, "nosuch=1: QED: unknown key 'nosuch'"),
        (["tag_length=1"], {"seeds": "1" * 30}, "seed must be a whole number from 0"),
        (["data.split.folds=3"], {"preset": "quik"}, "unknown preset 'quik'"),
    ],
)
def test_wrong_requests_of_a_sweep_are_said_at_once(
    tmp_path, monkeypatch, choices, options, reason
):
    """Before anything runs: also in a dry run, and no folder is left."""
    monkeypatch.chdir(tmp_path)
    for is_dry in (True, False):
        with pytest.raises(ConfigError, match=reason):
            sweep("QED", choices, dry_run=is_dry, **options)
    assert list(tmp_path.iterdir()) == []


RUN_FILE = """
task:
  name: T
  template: "{text} <T>"
  target: {kind: regression, columns: [y]}
data: {file: rows.csv}
"""


def test_tasks_that_no_study_takes_are_said(tmp_path, monkeypatch):
    """A table, several tasks, seeds of their own; and folds where others read one test split."""
    monkeypatch.chdir(tmp_path)
    one = "{task: {name: %s, template: '{text} <%s>', target: {kind: regression, columns: [y]}}}"
    (tmp_path / "two.yaml").write_text(f"tasks: [{one % ('A', 'A')}, {one % ('B', 'B')}]")
    (tmp_path / "seeds.yaml").write_text(RUN_FILE + "seeds: [0, 1]")
    (tmp_path / "folds.yaml").write_text(RUN_FILE.replace("csv}", "csv, split: {folds: 3}}"))
    for file, reason in (
        ("lab.csv", "`taglm init lab.csv --target COLUMN` writes a run file"),
        ("two.yaml", "a study takes one task"),
        ("seeds.yaml", "Remove the key 'seeds'"),
        ("folds.yaml", "other methods read one test split"),
    ):
        made = compare.compare_members(
            tmp_path / "s", file, None, {}, ("tag", "linear-probe"), [0], {}
        )
        with pytest.raises(ConfigError, match=reason):
            check_runs(made, StudyFolder(tmp_path / "s"))


def test_finished_members_of_other_data_are_refused(tmp_path, monkeypatch):
    """A table or a run file that has changed would be mixed with members of the old one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("text,y\na,1\n")
    (tmp_path / "t.yaml").write_text(RUN_FILE)
    member = trial_member("t.yaml", None, {}, {"stages.task.tag_length": 1}, 0)
    study = StudyFolder(tmp_path / "s")
    prepared = prepare_run(
        "t.yaml",
        out=study.folder_of(member),
        settings=[{**member.arguments["settings"], "seed": 0}],
    )
    prepared._open()
    prepared.folder.close()
    check_runs([member], study)
    (tmp_path / "rows.csv").write_text("text,y\na,2\n")
    with pytest.raises(CheckpointError, match="rows.csv has changed since\nGive another folder"):
        check_runs([member], study)
    (tmp_path / "t.yaml").write_text(RUN_FILE + "stages: {task: {epochs: 9}}")
    with pytest.raises(CheckpointError, match="stages.task.epochs: .* there, 9.0 now"):
        check_runs([member], study)


def test_a_search_that_was_killed_asks_for_what_an_unbroken_one_does(tmp_path):
    """Each trial has a seed of its own; one that fails does not stop the search."""
    pytest.importorskip("optuna")
    choices = {"a": list(range(10)), "b": list(range(10))}

    def searched(path, killed_at=()):
        path.mkdir()
        asked = []

        def run(trial):
            asked.append(dict(trial))
            if len(asked) in killed_at:
                raise KeyboardInterrupt
            return None if trial["a"] == 5 else trial["a"] + trial["b"]

        for _ in range(1 + len(killed_at)):
            try:
                found = search_by_tpe(StudyFolder(path), choices, 12, 0, run, lambda: False)
                return list(found)
            except KeyboardInterrupt:
                continue

    whole = searched(tmp_path / "whole")
    assert len(whole) == 12
    assert searched(tmp_path / "broken", killed_at=(3, 8)) == whole
    distinct = {tuple(trial.values()) for trial in whole[:5]}
    assert len(distinct) == 5
