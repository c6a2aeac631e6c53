"""The benchmark scripts run at toy size, so that they cannot rot between releases."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
KEYS = {
    "stage3_davis",
    "stage3_kiba",
    "screen_grid",
    "screen_one_vs_many",
    "stage2_qed",
    "stage1_floor",
    "stage2_floor",
    "stage3_floor",
    "stage3_memory",
    "symbol_encoding",
    "symbol_encoding_protein",
    "padding",
    "preparation",
}


def run(script, *arguments):
    """Run a script as a user does, without real data; return what it printed."""
    outside = {k: v for k, v in os.environ.items() if k != "TAGLM_DATA"}
    done = subprocess.run(
        [sys.executable, FOLDER / script, *map(str, arguments), "--size", "toy", "--threads", "1"],
        capture_output=True,
        text=True,
        env={**outside, "OMP_NUM_THREADS": "1"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def run_here(monkeypatch, capsys):
    """Return a function that does the same in this process."""

    def call(script, *arguments):
        monkeypatch.delenv("TAGLM_DATA", raising=False)
        monkeypatch.syspath_prepend(str(FOLDER))
        words = [script, *arguments, "--size", "toy", "--threads", "1"]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        before, threads = set(sys.modules), torch.get_num_threads()
        try:
            runpy.run_path(str(FOLDER / script), run_name="__main__")
        finally:
            torch.set_num_threads(threads)
            for name in set(sys.modules) - before:
                if Path(getattr(sys.modules[name], "__file__", None) or "").parent == FOLDER:
                    del sys.modules[name]
        return capsys.readouterr().out

    return call


@pytest.mark.slow
def test_every_benchmark_measures_and_writes_its_keys(tmp_path):
    """The JSON holds exactly the agreed keys, with figures that follow from each other."""
    path = tmp_path / "speed.json"
    printed = run("run.py", "--json", path, "--backbone", "nano", "--batch", 2)
    held = json.loads(path.read_text())
    assert held["machine"]["backbone"] == "nano"
    assert set(held) == KEYS | {"machine"}
    for key in KEYS:
        found = held[key]
        assert {"ours", "rival", "ratio", "bound", "unit"} <= set(found)
        assert f"\n{key} " in printed
        if found["ours"] is None:  # memory is known on Linux only
            assert key == "stage3_memory"
            continue
        if key.startswith(("screen", "symbol")):
            expected = found["ours"] / found["rival"]
        elif key.endswith("floor"):
            expected = found["ours"] / found["rival"]
        else:
            least = {"stage3_memory": 0.1, "padding": 0.01}.get(key, 0)
            expected = found["rival"] / max(found["ours"], least)
        if found["ours"] > 1:  # the figures themselves are rounded
            assert found["ratio"] == pytest.approx(expected, rel=0.05)
    assert "generated" in held["stage3_davis"]["data"]
    assert max(held["padding"]["shares"].values()) < 5
    for key in ("stage2_floor", "stage3_floor"):
        library = held[key]["ours"] / held[key]["library_floor"]
        assert held[key]["ratio_library"] == pytest.approx(library, rel=0.05)


@pytest.mark.slow
def test_growth_is_drawn(tmp_path, run_here):
    """Every sweep becomes a plot and a record."""
    run_here("growth.py", "--out", tmp_path)
    held = json.loads((tmp_path / "growth.json").read_text())
    for name in ("length", "tags", "backbone", "pairs"):
        assert (tmp_path / f"{name}.svg").stat().st_size > 2000
        curves = held[name]["curves"].values()
        assert {len(curve) for curve in curves} == {len(held[name]["values"])}


@pytest.mark.slow
def test_curves_are_equal_whatever_is_kept(run_here):
    """Whole runs of the library with and without a cache have one validation curve."""
    printed = run_here("curves.py")
    found = json.loads(printed[printed.index("{") :])
    assert len(found["curves"]["off"]) > 1
    assert max(found["differ"].values()) < 1e-2, found["differ"]
