"""Domain tags that several processes train side by side, one process after the other here."""

import pickle

import attrs
import pytest

from taglm_core.errors import DataError, TaglmError
from taglm_core.progress import Silent
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.training import domain_stages, fit, processes
from taglm_core.training.build import domain_plans, untrained_model
from taglm_core.training.domain_stages import divided_stages, run_domain_stages
from taglm_core.training.interrupts import Stopped
from taglm_core.training.plan import make_plans
from taglm_core.training.settings import run_config

TAGS = ["toy/Letters", "toy/Digits"]


class Exchanged(Exception):  # noqa: N818 - it is no error
    """Ends a process at the point where it waits for the others."""


class Said(Silent):
    """Keeps what is said."""

    def __init__(self):
        self.lines = []

    def say(self, message):
        """Keep a message."""
        self.lines.append(message)


@attrs.define
class Desk:
    """What is trained, and how."""

    config: object
    registry: object
    path: object
    monkeypatch: object

    def run(self, store, rank=None, parts=(), work="run"):
        """Train the tags; with a rank, as one of two processes that know the parts of the others.

        Returns records, model and folder; what was said comes last.
        """
        plans = make_plans(self.config, self.registry, TagStore(self.path / store))
        model = untrained_model(plans)
        folder = RunFolder(self.path / (work if not rank else "scratch"))
        folder.path.mkdir(exist_ok=True)
        said = Said()
        with self.monkeypatch.context() as patch:
            if rank is not None:
                self._join(patch, rank, list(parts))
            records = run_domain_stages(
                plans[0], domain_plans(plans), model, folder, TagStore(self.path / store), said
            )
        return records, model, folder, said.lines

    def part(self, store, rank):
        """Return what a process sends to the others."""
        with pytest.raises(Exchanged) as ended:
            self.run(store, rank)
        return pickle.loads(pickle.dumps(ended.value.args[0]))

    def _join(self, patch, rank, parts):
        def exchanged(value):
            if not parts:
                raise Exchanged(value)
            return [value, *parts]

        def decided(decide):
            value = decide()
            return str(self.path / "run") if isinstance(value, str) else value

        patch.setattr(processes, "_WORLD", processes._World(rank, 2))
        for name, made in (("exchanged", exchanged), ("decided", decided)):
            patch.setattr(processes, name, made)
        patch.setattr(processes, "any_of", lambda asked: asked)
        patch.setattr(processes, "known", lambda value: value)


@pytest.fixture
def desk(tmp_path, toy_registry, toy_backbone, monkeypatch):
    """Return the parts of a run on two domains."""
    rows = "".join(f"{'abc' * (1 + i % 3)}{'a' * i},{i:04d},{i}\n" for i in range(30))
    (tmp_path / "rows.csv").write_text("letters,digits,y\n" + rows)
    small = {"max_steps": 4, "num_evaluations": 2, "tag_length": 2, "batch_size": 8}
    task = {
        "name": "T",
        "template": "<Letters>{letters} with <Digits>{digits} gives <T>",
        "target": {"kind": "regression", "columns": ["y"]},
    }
    config = run_config(
        "test",
        {
            "task": task,
            "data": {"file": str(tmp_path / "rows.csv"), "split": {"method": "random"}},
            "backbone": str(toy_backbone),
            "stages": {"domain": {**small, "size": 30}},
            "checkpoint_seconds": 0,
        },
    )
    (tmp_path / "run").mkdir()
    return Desk(config, toy_registry, tmp_path, monkeypatch)


def log_of(folder):
    """Return the lines of the log of a run."""
    file = folder.path / "metrics.jsonl"
    return file.read_text().splitlines() if file.is_file() else []


def test_tags_trained_side_by_side_are_those_of_one_process(desk):
    """Records, tags and log; a tag that was made on another machine comes into the store."""
    alone, expected, _, _ = desk.run("alone", work="alone-run")
    part = desk.part("elsewhere", 1)
    assert list(part.made) == ["toy/Digits"]
    records, model, folder, said = desk.run("here", 0, [part])
    assert said == [
        "stage 1 in parallel: process 1 trains <toy/Letters>; process 2 trains <toy/Digits>"
    ]
    for tag in TAGS:
        assert model.tags[tag].equal(expected.tags[tag])
        assert records[tag]["history"] == alone[tag]["history"]
        assert "from_store" not in records[tag]
    assert {entry.name for entry in TagStore(desk.path / "here").entries()} == set(TAGS)
    assert len(log_of(folder)) == 2
    again, _, _, _ = desk.run("here")
    assert all(again[tag]["from_store"] for tag in TAGS)


def test_a_stage_that_is_stopped_goes_on_in_one_process(desk):
    """All stop, what was finished is kept, and the checkpoint of the other lies in the run."""
    expected, _, _, _ = desk.run("alone", work="alone-run")

    class AsksAtTwo(fit.StopAfterStep):
        def __init__(self):
            self.looked = 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        @property
        def is_asked(self):
            self.looked += 1
            return self.looked == 2

    with desk.monkeypatch.context() as patch:
        patch.setattr(fit, "StopAfterStep", AsksAtTwo)
        part = desk.part("here", 1)
    assert (part.failure.step, part.failure.steps) == (2, 4)
    with pytest.raises(Stopped, match="step 2 of 4"):
        desk.run("here", 0, [part])
    records, _, folder, said = desk.run("here")
    assert records["toy/Letters"]["from_store"]
    assert [line for line in said if "continuing" in line] == [
        "stage 1 <toy/Digits>: continuing at step 2"
    ]
    assert records["toy/Digits"]["history"] == expected["toy/Digits"]["history"]
    assert not (desk.path / "scratch" / "checkpoints").exists()


def test_a_fault_of_one_process_is_that_of_all(desk):
    """It is raised where the others wait, so that none waits for ever."""

    def fail(*_):
        raise DataError("digits.csv, row 3: no")

    with desk.monkeypatch.context() as patch:
        patch.setattr(domain_stages, "train_domain", fail)
        part = desk.part("here", 1)
    with pytest.raises(DataError, match="row 3"):
        desk.run("here", 0, [part])
    assert [entry.name for entry in TagStore(desk.path / "here").entries()] == ["toy/Letters"]


def test_an_error_that_cannot_be_sent_is_told_in_words():
    """A library's error may hold anything."""

    class OwnError(Exception):
        def __init__(self, code, where):
            super().__init__(f"{code} at {where}")

    sent = domain_stages._sendable(OwnError(5, "layer 2"))
    assert isinstance(sent, TaglmError)
    assert str(sent) == "OwnError: 5 at layer 2"
    stopped = Stopped(3, 9)
    assert domain_stages._sendable(stopped) is stopped


def test_stages_are_divided_when_there_is_one_for_each_process():
    """Fewer tags than processes, one process and a time limit leave the rows to be divided."""
    assert divided_stages(["a", "b", "c"], 2, False) == [["a", "c"], ["b"]]
    assert divided_stages(["a", "b"], 2, False) == [["a"], ["b"]]
    assert divided_stages(["a"], 2, False) == []
    assert divided_stages(["a", "b"], 1, False) == []
    assert divided_stages(["a", "b"], 2, True) == []


@pytest.mark.parametrize("count", [1, 2])
def test_the_plan_says_which_stages_run_side_by_side(desk, capsys, count):
    """`taglm run --dry-run --num-processes 2` shows it before anything is trained."""
    from taglm_core.cli.bars import BarProgress
    from taglm_core.cli.run import _show_stages

    plans = make_plans(desk.config, desk.registry, TagStore(desk.path / "here"))
    _show_stages(plans, BarProgress(False), count)
    said = "process 1 trains <toy/Letters>; process 2 trains <toy/Digits>"
    assert (said in " ".join(capsys.readouterr().err.split())) == (count == 2)
