"""The engine on a local cluster of two workers, one of which is killed midway."""

import contextlib
import csv
import logging
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

import taglm_core as taglm
from taglm_core.api import loading, parts
from taglm_core.api.parts import PartsRequest, predict_in_parts
from taglm_core.data.readers import read_table
from taglm_core.errors import ConfigError, RowError, TaglmError
from taglm_core.inference.files import PartOptions
from taglm_core.inference.spanplan import Rates
from taglm_core.testing import tiny_backbone
from taglm_ray import cluster
from taglm_ray.cluster import open_ray
from taglm_studies.study.folder import Member, StudyFolder
from taglm_studies.study.members import run_members

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))  # predictors, and the toy plugin

pytestmark = pytest.mark.slow

LETTERS = [f"{'abc'[k % 3] * (k % 7 + 1)}{'ab' * (k % 5)}c" for k in range(12)]
DIGITS = ["101" * 9, "1", "1110" * 5, "1011" * 9, "10" * 7]
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


MEMBER = """
import os
from taglm_core.errors import DataError


def work(folder, fails):
    if fails:
        raise DataError("no such rows")
    return {"process": os.getpid()}
"""


@pytest.fixture(scope="module", autouse=True)
def own_cluster(tmp_path_factory):
    """Start one cluster for all tests; its processes find the toy plugin, this one does not."""
    import toy_plugin

    folder = tmp_path_factory.mktemp("site")
    info = folder / "taglm_toy-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: taglm-toy\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[taglm]\ntoy = toy_plugin\n")
    (folder / "ray_member.py").write_text(MEMBER)
    found = [str(folder), str(Path(toy_plugin.__file__).parent), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(found))
        patch.setenv("TAGLM_HOME", str(folder / "home"))
        patch.setattr(cluster, "usable_cores", lambda: 2)
        opened = open_ray(None, 2)
        yield
        opened.close()


@pytest.mark.taglm_plugin("ray")
def test_contract(plugin_check):
    """The reason of a failure says what to fix."""
    plugin_check()


@pytest.fixture(scope="module")
def workers(own_cluster):
    """Connect to the cluster, with two workers."""
    opened = open_ray(None, 2)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write a predictor of pairs, its backbone, and a grid with invalid rows."""
    from artifacts import give_intervals, kept_predictor

    place = tmp_path_factory.mktemp("pairs")
    give_intervals(kept_predictor("pair", place / "sum"))
    backbone = tiny_backbone("llama")
    backbone.model.save_pretrained(place / "tiny")
    backbone.tokenizer.save_pretrained(place / "tiny")
    rows = [(i, a, b) for b in DIGITS for i, a in enumerate([*LETTERS, "zz"])]
    with (place / "grid.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "letters", "digits"), *rows])
    return place


def asked(folder, output, cache="off", **changes):
    """Return a request in parts of two rows."""
    how = {"columns": {}, "fix": False, "on_error": "skip", "overwrite": False, "similarity": True}
    return PartsRequest(
        run=folder / "sum",
        task=None,
        options={"backbone": str(folder / "tiny"), "device": "cpu", "cache": cache},
        source=folder / "grid.csv",
        output=output,
        how=PartOptions(**{**how, **changes}),
        part_rows=2,
    )


def predicted_here(request, path, monkeypatch):
    """Predict the same rows without an engine."""
    import toy_plugin

    from taglm_core.plugins import load_registry

    registry = load_registry(only=(), extra=[("toy", toy_plugin)])
    monkeypatch.setattr(loading, "load_registry", lambda: registry)
    predictor = loading.load(request.run, **request.options)
    how = {"on_error": request.how.on_error, "interval": request.how.interval}
    how |= {"chunk_rows": request.part_rows, "progress": False}
    predictor.predict(str(request.source), path, **how)
    return path


class Lines:
    """Keeps what is said, and acts once when the first part has finished."""

    def __init__(self, act=lambda: None):
        self.said, self._act, self._titles = [], act, []

    def say(self, text):
        """Keep a line."""
        self.said.append(text)

    def start(self, description, total):
        """Note which bar it is."""
        self._titles.append(description)

    def advance(self, done, note=""):
        """Act at the first part."""
        if done and self._titles[-1] == "predicting":
            act, self._act = self._act, lambda: None
            act()

    def finish(self):
        """End a bar."""
        self._titles.pop()


def stop():
    """Stop as Ctrl-C does."""
    raise KeyboardInterrupt


def test_a_worker_that_is_killed_midway_costs_nothing(
    workers, folder, tmp_path, monkeypatch, caplog
):
    """The file is the one that predicting here gives: no row is lost, doubled or out of order."""
    request, killed = asked(folder, tmp_path / "ray.csv", interval=0.9), []

    def kill():
        killed.append(workers.pids[0])
        os.kill(killed[0], signal.SIGKILL)

    with caplog.at_level(logging.WARNING, "taglm_ray"):
        written = predict_in_parts(workers, request, Lines(kill))
    assert len(killed) == 1
    assert "a worker of the Ray cluster was lost; its work is run again" in caplog.messages
    assert (written.rows, written.failed) == (65, 5)
    here = predicted_here(request, tmp_path / "here.csv", monkeypatch)
    assert request.output.read_bytes() == here.read_bytes()
    found = read_table(here).columns
    assert float(found["Sum_low"][0]) < float(found["Sum"][0]) < float(found["Sum_high"][0])
    assert [path.name for path in tmp_path.iterdir() if ".parts" in path.name] == []


def test_a_prediction_that_was_stopped_goes_on(workers, folder, tmp_path, monkeypatch):
    """Parts with their intervals are kept; the file is the one that predicting here gives."""
    request, lines = asked(folder, tmp_path / "ray.csv", interval=0.8), Lines(stop)
    with pytest.raises(KeyboardInterrupt):
        predict_in_parts(workers, request, lines)
    assert not request.output.exists()
    assert "parts are stored in" in lines.said[-1]
    kept = int(lines.said[-1].split()[0])
    again = Lines()
    predict_in_parts(workers, request, again)
    assert f"; {kept} finished before" in again.said[0]
    here = predicted_here(request, tmp_path / "here.csv", monkeypatch)
    assert request.output.read_bytes() == here.read_bytes()


def test_an_invalid_row_stops_as_it_does_here(workers, folder, tmp_path, monkeypatch):
    """What a worker raises is said once, the earliest part first."""
    request = asked(folder, tmp_path / "ray.csv", on_error="raise")
    with pytest.raises(RowError) as there:
        predict_in_parts(workers, request, Lines())
    with pytest.raises(RowError) as here:
        predicted_here(request, tmp_path / "here.csv", monkeypatch)
    assert str(there.value) == str(here.value)
    assert not request.output.exists()


def test_spans_reach_the_workers_through_the_object_store(workers, folder, tmp_path, monkeypatch):
    """They are computed once, and parquet holds the values of the file that is written here."""
    rates = Rates(reading=1e12, sending=1e12)
    monkeypatch.setattr(parts, "measured_rates", lambda workers: rates)
    request, lines = asked(folder, tmp_path / "ray.parquet", cache="100MB"), Lines()
    predict_in_parts(workers, request, lines)
    assert "are each computed once" in lines.said[1]
    here = read_table(predicted_here(request, tmp_path / "here.parquet", monkeypatch)).columns
    found = read_table(request.output).columns
    for one, other in zip(found.pop("Sum"), here.pop("Sum"), strict=True):
        assert one == (None if other is None else pytest.approx(other, rel=1e-4))
    assert found == here


def test_members_of_a_study_run_in_the_workers(workers, tmp_path):
    """One that fails does not stop the others, and its reason is said in one line."""
    study = StudyFolder(tmp_path / "study")
    study.open({"kind": "own"})
    made = [
        Member(group=f"m{k}", seed=0, function="ray_member:work", arguments={"fails": k == 1})
        for k in range(3)
    ]
    said = []
    failed = run_members(made, study, said.append, workers=workers)
    study.close()
    assert failed == {"m1-seed-0": "no such rows"}
    assert {study.cost_of(made[k])["process"] for k in (0, 2)} <= set(workers.pids)
    assert sorted(said)[1] == "m1-seed-0 failed: no such rows"


def test_everything_listens_on_the_loopback_only(workers):
    """A cluster of one's own cannot be reached from another machine."""
    mine = [psutil.Process(), *psutil.Process().children(recursive=True)]
    addresses = set()
    for process in mine:
        with contextlib.suppress(psutil.NoSuchProcess):  # one that another test has ended
            found = process.net_connections("tcp")
            addresses |= {each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN}
    assert addresses
    assert addresses <= LOOPBACK


def test_a_call_that_kills_every_worker_ends_the_run(workers):
    """After three times it is the fault of the call, and one line says what to do."""
    workers.start("importlib:import_module", {"name": "os"})
    with pytest.raises(TaglmError, match="lost 3 times at the same work .* smaller parts"):
        list(workers.run([taglm.Call(method="_exit", arguments=(1,))]))


def test_an_address_without_a_cluster_is_one_line(monkeypatch):
    """The message says how to start one."""
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(**options):
        raise ConnectionError("Could not find any running\nRay instance.")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(
        ConfigError, match=r"--address auto: no Ray cluster answers there: Could not"
    ):
        open_ray("auto", None)
