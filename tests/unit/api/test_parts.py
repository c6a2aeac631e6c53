"""Predicting in parts on an engine: the file that predicting here gives, and nothing twice."""

import csv
import json
import math
import os
from types import SimpleNamespace

import attrs
import pytest
import torch
from artifacts import kept_predictor, tag_artifact

import taglm_core as taglm
from taglm_core.api import loading, parts
from taglm_core.api.parts import PartsRequest, predict_in_parts
from taglm_core.api.partworker import PartWorker
from taglm_core.data.readers import read_table
from taglm_core.errors import CheckpointError, ConfigError, RowError, UnknownNameError
from taglm_core.inference.engines import check_needs_engine, find_engine, opened_engine
from taglm_core.inference.files import PartOptions
from taglm_core.inference.sharedspans import SpanFacts, take_spans
from taglm_core.inference.spanplan import CLUSTER, NODE, WORKER, Rates, Recurring, plan_spans
from taglm_core.model.prefix_cache.cached_rows import CachedRows
from taglm_core.plugins import load_registry
from taglm_core.specs import Engine
from taglm_core.store.tagstore import TagStore
from taglm_core.testing import tiny_backbone

LETTERS = ["abca" * 9, "bbbb" * 9, "cacac" * 9, "zz", "ab" * 20]
DIGITS = ["101" * 9, "1", "1110" * 5, "1011" * 9]
HOW = {"columns": {}, "fix": False, "on_error": "skip", "overwrite": False, "similarity": True}


class Lines:
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        """Keep a line."""
        self.said.append(text)

    def start(self, description, total):
        """Ignore."""

    advance = finish = lambda self, *arguments: None


class Nodes:
    """Workers in this process, one on each of two nodes; calls go to them in turn."""

    doing = ("start", "")

    def __init__(self, nodes=("a", "b"), stop_after=None, count=2):
        self.nodes, self.count, self.shared_bytes = nodes, count, 10**9
        self.called, self._stop_after = [], stop_after

    def start(self, factory, arguments):
        """Load a predictor for each node."""
        self.held = {node: PartWorker(**arguments) for node in self.nodes}

    def run(self, calls):
        """Run calls; the user stops after some parts."""
        for number, call in enumerate(calls):
            if call.method == "predict" and self.called.count("predict") == self._stop_after:
                raise KeyboardInterrupt
            node = call.node or self.nodes[number % len(self.nodes)]
            self.called.append(call.method)
            self.doing = call.method, node
            arguments = (*call.arguments, *call.shared(node))
            yield number, getattr(self.held[node], call.method)(*arguments)

    def close(self):
        """End."""


@pytest.fixture
def asked(tmp_path, toy_registry, toy_backbone, monkeypatch):
    """Return a function that makes the request of a grid of pairs."""
    monkeypatch.setattr(loading, "load_registry", lambda: toy_registry)
    folder = kept_predictor("pair", tmp_path / "sum")
    grid = tmp_path / "grid.csv"
    with grid.open("w", newline="") as file:
        rows = [(f"{i}{k}", a, b) for k, b in enumerate(DIGITS) for i, a in enumerate(LETTERS)]
        csv.writer(file).writerows([("id", "letters", "digits"), *rows])
    options = {"backbone": str(toy_backbone), "device": "cpu", "cache": "100MB"}

    def make(output="parts.csv", part_rows=3, **changes):
        return PartsRequest(
            run=folder,
            task=None,
            options=options,
            source=grid,
            output=tmp_path / output,
            how=PartOptions(**{**HOW, **changes}),
            part_rows=part_rows,
        )

    return make


def predicted_here(request, name):
    """Predict the same rows by the path that needs no engine; return the file."""
    path = request.output.with_name(name)
    predictor = loading.load(request.run, **request.options)
    how = {"on_error": request.how.on_error, "chunk_rows": request.part_rows}
    predictor.predict(str(request.source), path, **how, progress=False)
    return path


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_parts_in_this_process_give_the_same_file(asked, toy_registry, ending):
    """Rows in order, invalid ones with their numbers, and nothing is left beside the file."""
    request, lines = asked(f"parts.{ending}"), Lines()
    with opened_engine("local", toy_registry) as workers:
        written = predict_in_parts(workers, request, lines)
    expected = predicted_here(request, f"here.{ending}")
    assert request.output.read_bytes() == expected.read_bytes()
    assert (written.rows, written.failed) == (20, 4)
    assert written.first_error.startswith("row 4: letters: a z is not allowed")
    assert lines.said[0] == "7 parts of 3 rows on 1 worker"
    assert not [path for path in request.output.parent.iterdir() if ".parts" in path.name]


def test_what_has_finished_is_not_predicted_again(asked):
    """After a stop nothing is at the output; the same request predicts the other parts only."""
    request, lines = asked(), Lines()
    with pytest.raises(KeyboardInterrupt):
        predict_in_parts(Nodes(stop_after=3), request, lines)
    assert not request.output.exists()
    assert lines.said[-1].startswith("3 of 7 parts are stored in ")
    again, lines = Nodes(), Lines()
    predict_in_parts(again, request, lines)
    assert again.called.count("predict") == 4
    assert lines.said[0] == "7 parts of 3 rows on 2 workers of 2 nodes; 3 finished before"
    rows = read_table(request.output).columns
    assert rows["id"] == read_table(request.source).columns["id"]


def test_parts_of_another_request_are_dropped_and_said(asked):
    """A changed setting begins anew, since its parts would be other ones."""
    with pytest.raises(KeyboardInterrupt):
        predict_in_parts(Nodes(stop_after=3), asked(), Lines())
    again, lines = Nodes(), Lines()
    predict_in_parts(again, asked(similarity=False), lines)
    assert again.called.count("predict") == 7
    assert lines.said[0].endswith("parts of another request (how differ) are dropped")


def packaged_tags():
    """Return the folder of a plugin's trained tags."""
    return os.environ["TOY_TAGS"]


def store_tag(folder, name, number):
    """Put a tag whose numbers are all alike into a store."""
    backbone = tiny_backbone("llama")
    artifact = tag_artifact(backbone, **{name: torch.full((2, backbone.hidden_size), number)})
    TagStore(folder).save("key", name, "1a2b", artifact, "")


@pytest.mark.parametrize("place", ["home", "package"])
def test_another_tag_of_the_same_name_is_another_request(asked, tmp_path, monkeypatch, place):
    """In the store or in a plugin's package: parts with the earlier one are not continued."""
    folder = taglm.TagFolder(name="own", path=f"{__name__}:packaged_tags")
    plugin = SimpleNamespace(register_tag_folders=taglm.hookimpl(lambda: [folder]))
    registry = load_registry(only=(), extra=[("own", plugin)])
    monkeypatch.setattr(parts, "load_registry", lambda: registry)
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOY_TAGS", str(tmp_path / "package" / "tags"))
    request = asked()
    packed = parts.packed_run(request.run, None)

    def stored(*tags):
        options = {**request.options, "tags": tags}
        return attrs.evolve(request, options=options).identity(packed)["stored_tags"]

    store_tag(tmp_path / place, "toy/Letters", 1.0)
    before = stored("Letters")
    assert list(before) == ["key/toy/Letters"]
    assert stored("toy/Letters") == before
    assert stored() == {}
    store_tag(tmp_path / place, "toy/Digits", 1.0)
    assert stored("Letters") == before
    store_tag(tmp_path / place, "toy/Letters", 2.0)
    assert stored("Letters").keys() == before.keys()
    assert stored("Letters") != before


def test_a_damaged_part_is_named(asked, monkeypatch):
    """A file that lacks a key does not become a half-empty table."""
    request = asked()
    with pytest.raises(KeyboardInterrupt):
        predict_in_parts(Nodes(stop_after=6), request, Lines())
    (folder,) = [path for path in request.output.parent.iterdir() if ".parts" in path.name]
    file = folder / "part-000000.json"
    file.write_text(json.dumps({"failed": 0}))
    with pytest.raises(CheckpointError, match=r"part-000000\.json is damaged"):
        predict_in_parts(Nodes(), request, Lines())
    assert not request.output.exists()


def test_an_invalid_row_stops_as_it_does_here(asked, toy_registry):
    """The message of the first invalid part, and no folder where no part has finished."""
    request = asked(on_error="raise", part_rows=5)
    with pytest.raises(RowError) as here:
        predicted_here(request, "here.csv")
    with pytest.raises(RowError) as there, opened_engine("local", toy_registry) as workers:
        predict_in_parts(workers, request, Lines())
    assert str(there.value) == str(here.value)
    assert not [path for path in request.output.parent.iterdir() if ".parts" in path.name]


@pytest.mark.parametrize(
    ("nodes", "sending", "times", "said"),
    [
        (("a",), 1e9, 1, "computed once, "),
        (("a", "b"), 1e9, 1, "computed once in the cluster: "),
        (("a", "b"), 1, 2, "computed once on each node: "),
    ],
)
def test_spans_of_several_parts_are_computed_once(asked, monkeypatch, nodes, sending, times, said):
    """In the cluster, or on each node where sending takes longer; workers then compute none."""
    computed = []
    compute = CachedRows._compute

    def noted(self, slot, numbers):
        computed.extend((*workers.doing, self.segments.keys[number]) for number in numbers)
        return compute(self, slot, numbers)

    monkeypatch.setattr(CachedRows, "_compute", noted)
    monkeypatch.setattr(CachedRows, "_bytes_per_token", lambda self, number: 1000)
    rates = Rates(reading=1e12, sending=sending)
    monkeypatch.setattr(parts, "measured_rates", lambda workers: rates)
    monkeypatch.setattr(parts, "_BUNDLE_ROWS", 2)
    request, workers, lines = asked(part_rows=5), Nodes(nodes, count=2), Lines()
    predict_in_parts(workers, request, lines)
    assert said in lines.said[1]
    shared = [(node, key) for method, node, key in computed if method == "spans"]
    keys = {key for _, key in shared}
    assert len(keys) == 4  # one string is invalid
    assert len(shared) == len(keys) * times
    assert not [key for method, _, key in computed if method == "predict" and key in keys]
    here = read_table(predicted_here(request, "here.csv")).columns
    found = read_table(request.output).columns
    for one, other in zip(found["Sum"], here["Sum"], strict=True):
        assert (one == other == "") or float(one) == pytest.approx(float(other), rel=1e-4)
    assert {k: v for k, v in found.items() if k != "Sum"} == {
        k: v for k, v in here.items() if k != "Sum"
    }


FACTS = SpanFacts(
    columns={"drug": ("d",), "target": ("t",)},
    tokens={"drug": 50.0, "target": 500.0},
    token_bytes=1000,
    token_seconds=1e-3,
)
GRID = {"drug": {(f"d{i}",): 4 for i in range(20)}, "target": {("t0",): 2}}


@pytest.mark.parametrize(
    ("nodes", "rates", "limit", "where", "said"),
    [
        (1, Rates(reading=1e9, sending=1e9), 1e9, CLUSTER, "computed once, 1.5 s, and read from"),
        (3, Rates(reading=1e9, sending=1e8), 1e9, CLUSTER, "a second, less than computing there"),
        (3, Rates(reading=1e9, sending=1e5), 1e9, NODE, "at 100 kB a second, more than computing"),
        (1, Rates(reading=1e4, sending=1e4), 1e9, WORKER, "takes longer than computing them again"),
        (1, Rates(reading=1e9, sending=1e9), 1e3, WORKER, "not one span fits into 1 kB"),
        (1, Rates(reading=1e9, sending=1e9), 5e5, CLUSTER, "11 more spans would not fit"),
    ],
)
def test_the_plan_says_where_spans_are_computed_and_why(nodes, rates, limit, where, said):
    """Bytes and seconds decide, and stand in the sentence."""
    plan = plan_spans(FACTS, GRID, nodes, 4, rates, int(limit))
    assert plan.where == where
    assert said in plan.reason


def test_nothing_is_shared_where_nothing_recurs():
    """The plan says what is missing."""
    rates = Rates(reading=math.inf, sending=math.inf)
    assert "recurs in several parts" in plan_spans(FACTS, {}, 1, 2, rates, 10**9).reason


def test_values_are_counted_by_the_parts_that_hold_them(tmp_path):
    """A target of consecutive rows lies in few parts, a molecule of each target in all."""
    file = tmp_path / "grid.csv"
    rows = [f"m{i},t{k}" for k in range(3) for i in range(4)]
    file.write_text("\n".join(["m,t", *rows]) + "\n")
    seen = Recurring({"drug": ("m",), "target": ("t",)})
    seen.add(read_table(file))
    found = seen.in_parts(4)
    assert found["drug"] == {(f"m{i}",): 3 for i in range(4)}
    assert found["target"] == {}
    assert seen.in_parts(3)["target"] == {(f"t{k}",): 2 for k in range(3)}


def test_an_engine_that_is_not_there_is_named_with_its_installation(toy_registry):
    """One line with the command that installs it, and options of an engine need one."""
    with pytest.raises(UnknownNameError, match=r"`pip install taglm-plugin-ray` provides 'ray'"):
        find_engine("ray", toy_registry)
    engine = Engine(name="far", open="far:open", needs_package="nowhere_at_all", install="far[x]")
    assert engine.why_not() == "it needs the package nowhere_at_all: pip install 'far[x]'"
    with pytest.raises(ConfigError, match="--address auto: name the engine too"):
        check_needs_engine(None, "auto", None)
    for words in ((("h:1"), None), (None, 2)):
        with (
            pytest.raises(ConfigError, match="--engine local"),
            opened_engine("local", toy_registry, *words),
        ):
            raise AssertionError("not opened")


def test_spans_of_another_layout_are_not_read(asked, tmp_path):
    """Keys are made of ids, and equal ids mean other tags where these were laid out otherwise."""
    request = asked()
    packed = parts.packed_run(request.run, None)
    worker = PartWorker(packed, request.options, request.how, 1)
    bundle = worker.spans(read_table(request.source), ["letters"])
    cache = worker._predictor.task_model.prefix_cache
    for layout, number in ((bundle.layout, len(bundle.keys)), ("other", 0)):
        take_spans(worker._predictor, [attrs.evolve(bundle, layout=layout)])
        assert len(cache.offered) == number
    assert len(bundle.keys) == 4
