"""Stage 3 with and without reuse: the same curves, the same resumption, the same predictions."""

import csv
import re

import numpy as np
import pytest
from small_runs import saved_backbone

from taglm_core.data.readers import read_table
from taglm_core.inference.loading import load_predictor
from taglm_core.model.prefix_cache.storage import DiskFile
from taglm_core.progress import Silent
from taglm_core.store.artifact import load_artifact
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.training import fit as fit_module
from taglm_core.training.plan import make_plan
from taglm_core.training.run import execute, resolved
from taglm_core.training.settings import run_config

STAGES = {
    "domain": {"max_steps": 2, "num_evaluations": 1, "tag_length": 3, "batch_size": 8},
    "task": {
        "max_steps": 8,
        "num_evaluations": 4,
        "tag_length": 3,
        "batch_size": 8,
        "fit_rows": 50,
        "head_init": "mean_embedding",
    },
}
PAIR = {
    "name": "Pair",
    "template": "String <toy/Letters>{letters} with <toy/Digits>{digits}. Its value <Pair>",
    "target": {"kind": "regression", "columns": ["y"]},
}


class Listening(Silent):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        """Keep a line."""
        self.said.append(text)

    def detail(self, text):
        """Keep a technical line."""
        self.said.append(text)


@pytest.fixture
def pairs(tmp_path):
    """Write a table of pairs in which letters and digits recur."""
    rng = np.random.default_rng(0)
    letters = ["".join(rng.choice(list("abc"), size=n)) for n in (3, 5, 8, 13, 21, 34)]
    digits = ["".join(rng.choice(list("01"), size=n)) for n in (2, 9, 17, 40, 40)]
    path = tmp_path / "pairs.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["letters", "digits", "y"])
        for first in letters:
            for second in digits:
                writer.writerow([first, second, first.count("a") - second.count("1") / 2])
    return path


TOLERANCE = {"fp32": 2e-4, "bf16": 2e-2}
"""Of results with and without a cache, in units of the target, whose spread is about 6."""


@pytest.fixture(params=["fp32", "bf16"])
def precision(request):
    """Return each precision in turn."""
    return request.param


def go(pairs, backbone, registry, folder, store, cache, attention="auto", **more):
    """Run the pair task, in fp32 unless told, and return metrics and what was said."""
    stages = {**STAGES, "task": {**STAGES["task"], "cache": cache}}
    config = run_config(
        "test",
        {
            "task": PAIR,
            "backbone": str(backbone),
            "data": {"file": str(pairs)},
            "stages": stages,
            "attention": attention,
            "checkpoint_seconds": 0,
            **{"precision": "fp32", **more},
        },
    )
    plan = make_plan(config, registry, store)
    opened = RunFolder(folder)
    opened.open(resolved(config))
    heard = Listening()
    try:
        return execute([plan], opened, store, heard), heard.said
    finally:
        opened.close()


def curve(metrics):
    """Return the validation curve of the task stage."""
    return [record["rmse"] for record in metrics["tasks"]["Pair"]["stages"][-1]["history"]]


def test_validation_curves_are_equal_with_the_cache_on_and_off(
    pairs, toy_backbone, toy_registry, tmp_path, precision
):
    """The cache saves time and changes nothing else, whatever part of the segments fits."""
    found = {}
    for cache in ("auto", "off", "20kb"):
        store = TagStore(tmp_path / f"store-{cache}")
        out, more = tmp_path / cache, {"precision": precision}
        found[cache] = go(pairs, toy_backbone, toy_registry, out, store, cache, **more)
    assert len(set(curve(found["off"][0]))) > 2
    for cache in ("auto", "20kb"):
        expected, tolerance = curve(found["off"][0]), TOLERANCE[precision]
        np.testing.assert_allclose(curve(found[cache][0]), expected, atol=tolerance)
    stage = {c: m["tasks"]["Pair"]["stages"][-1] for c, (m, _) in found.items()}
    assert stage["auto"]["prefix_rows_kept"] == stage["auto"]["rows"]
    assert 0 < stage["20kb"]["prefix_bytes"] <= 20_000
    assert stage["off"]["prefix_bytes"] == 0
    plans = [line for line in found["auto"][1] if line.startswith("reuse: ")]
    assert len(plans) == 1
    assert "times less work" in plans[0]


def test_curves_are_equal_where_the_cache_decides_how_a_step_is_cut(
    pairs, toy_backbone, toy_registry, tmp_path, monkeypatch, precision
):
    """A head that is solved at every step is solved on all its rows, in one split or in ten."""
    monkeypatch.setitem(STAGES, "task", {**STAGES["task"], "head_init": "fit"})
    STAGES["task"]["batch_tokens"] = 100
    found = {}
    for cache in ("auto", "off"):
        store = TagStore(tmp_path / f"store-{cache}")
        out, more = tmp_path / cache, {"precision": precision}
        found[cache] = curve(go(pairs, toy_backbone, toy_registry, out, store, cache, **more)[0])
    assert len(set(found["off"])) > 2
    # a head that is solved on fewer rows than it has weights follows the rounding of bf16, so that
    # only the start is compared there
    known = {"fp32": slice(None), "bf16": slice(1)}[precision]
    np.testing.assert_allclose(
        found["auto"][known], found["off"][known], rtol=1e-3, atol=TOLERANCE[precision]
    )


def test_curves_and_predictions_are_equal_from_every_place(
    pairs, toy_backbone, toy_registry, tmp_path, monkeypatch
):
    """Segments read from disk are those in memory, bit by bit; the plan says where they lie."""
    monkeypatch.setattr(DiskFile, "read_rate", lambda self: 1e15)
    found, values = {}, {}
    for cache in ("auto", "20kb+disk:1gb", "off+disk:1gb"):
        folder = tmp_path / cache.replace(":", "-")
        store = TagStore(tmp_path / f"store-{folder.name}")
        found[cache] = go(pairs, toy_backbone, toy_registry, folder, store, cache)
        predictor = load_predictor(load_artifact(folder / "predictor"), toy_registry, cache=cache)
        values[cache] = predictor.predict_table(read_table(pairs)).columns["Pair"]
    stages = [metrics["tasks"]["Pair"]["stages"][-1] for metrics, _ in found.values()]
    assert all(stage["prefix_rows_kept"] == stage["rows"] for stage in stages)
    assert len({tuple(curve(metrics)) for metrics, _ in found.values()}) == 1
    assert len({tuple(held) for held in values.values()}) == 1
    mixed = next(line for line in found["20kb+disk:1gb"][1] if line.startswith("reuse: "))
    assert re.search(r"\d+ % cached on cpu \(up to 20 kB\), \d+ % cached on disk", mixed)
    alone = next(line for line in found["off+disk:1gb"][1] if line.startswith("reuse: "))
    assert "all cached on disk (up to 1 GB)" in alone


def test_rows_beyond_a_sliding_window_use_the_library_s_caches(pairs, toy_registry, tmp_path):
    """Segments know nothing of windows; what is kept instead changes no result either."""
    folder = tmp_path / "windowed"
    saved_backbone(folder, "mistral", sliding_window=24)
    found = {}
    for cache in ("auto", "off"):
        store = TagStore(tmp_path / f"store-{cache}")
        out = tmp_path / cache
        found[cache], said = go(pairs, folder, toy_registry, out, store, cache, "causal")
        assert not any("times less work" in line for line in said)
    assert found["auto"]["tasks"]["Pair"]["stages"][-1]["prefix_rows_kept"] > 0
    np.testing.assert_allclose(curve(found["auto"]), curve(found["off"]), atol=2e-4)


def test_absolute_positions_are_said_and_change_nothing(pairs, toy_registry, tmp_path):
    """GPT-2 trains on whole kept prefixes, and one line says why."""
    folder = tmp_path / "absolute"
    saved_backbone(folder, "gpt2")
    found = {}
    for cache in ("auto", "off"):
        store = TagStore(tmp_path / f"store-{cache}")
        found[cache], said = go(pairs, folder, toy_registry, tmp_path / cache, store, cache)
        why = [line for line in said if line.startswith("spans are not shared between rows")]
        assert len(why) == (cache == "auto")
        assert all(line.endswith("its positions are not rotary") for line in why)
    np.testing.assert_allclose(curve(found["auto"]), curve(found["off"]), atol=2e-4)


def test_a_run_with_layers_run_again_is_the_same_run(pairs, toy_backbone, toy_registry, tmp_path):
    """Gradient checkpointing changes what a step keeps, in stage 1 and in the task's stage."""
    found = {}
    for setting in (False, True):  # as YAML reads off and on
        out, store = tmp_path / str(setting), TagStore(tmp_path / f"store-{setting}")
        more = {"checkpointing": setting}
        found[setting], _ = go(pairs, toy_backbone, toy_registry, out, store, "off", **more)
    first, second = ([s["history"] for s in m["tasks"]["Pair"]["stages"]] for m in found.values())
    assert len(first) == 3
    assert first == second


def test_a_killed_stage_three_ends_with_the_same_numbers(
    pairs, toy_backbone, toy_registry, tmp_path, monkeypatch
):
    """A cache is built again after a kill; the numbers are those of an unbroken run."""
    whole, _ = go(
        pairs, toy_backbone, toy_registry, tmp_path / "a", TagStore(tmp_path / "s1"), "auto"
    )
    step, taken = fit_module._take_step, []

    def killed(*args):
        if len(taken) == 9:  # two steps of each domain tag, five of the task
            raise KeyboardInterrupt
        taken.append(1)
        step(*args)

    store = TagStore(tmp_path / "s2")
    monkeypatch.setattr(fit_module, "_take_step", killed)
    with pytest.raises(KeyboardInterrupt):
        go(pairs, toy_backbone, toy_registry, tmp_path / "b", store, "auto")
    monkeypatch.setattr(fit_module, "_take_step", step)
    resumed, _ = go(pairs, toy_backbone, toy_registry, tmp_path / "b", store, "auto")
    assert resumed["tasks"]["Pair"]["splits"] == whole["tasks"]["Pair"]["splits"]
    assert curve(resumed) == curve(whole)


def test_predictions_are_equal_with_the_cache_on_and_off(
    pairs, toy_backbone, toy_registry, tmp_path, precision
):
    """Screening a grid on kept spans writes what whole rows give."""
    out, more = tmp_path / "run", {"precision": precision}
    go(pairs, toy_backbone, toy_registry, out, TagStore(), "auto", **more)
    artifact = load_artifact(out / "predictor")
    values, said = {}, []
    for cache in ("auto", "off"):
        predictor = load_predictor(artifact, toy_registry, cache=cache)
        if predictor.task_model.prefix_cache is not None:
            predictor.task_model.prefix_cache.on_plan = said.append
        values[cache] = predictor.predict_table(read_table(pairs)).columns["Pair"]
    np.testing.assert_allclose(values["auto"], values["off"], rtol=1e-4, atol=TOLERANCE[precision])
    assert len(set(values["off"])) > 10
    assert len(said) == 1
    assert "times less work" in said[0]
