"""The load generator of benchmarks/serving.py counts what the service answered."""

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

import taglm

ROWS = {
    "Share": [{"letters": f"abc{'a' * k}"} for k in range(8)],
    "Third": [{"letters": f"cab{'b' * k}"} for k in range(8)],
}


@pytest.fixture(scope="module")
def serving():
    """Import the script."""
    path = Path(__file__).parents[3] / "benchmarks" / "serving.py"
    spec = importlib.util.spec_from_file_location("serving", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_load_is_counted(serving, run):
    """Rows, statuses and times are those of the requests."""
    address, _, _ = run()
    found = asyncio.run(serving.send(address, ROWS, clients=3, request_rows=2, seconds=0.3))
    assert found["statuses"] == {"200": found["requests"]}
    assert found["requests"] >= 3
    assert 0 < found["p50_ms"] <= found["p99_ms"]


def test_predictors_may_have_names(serving, monkeypatch, capsys, tmp_path):
    """Both parts of the script read `NAME=FOLDER`, as the service does."""
    asked = []
    monkeypatch.setattr(taglm, "load_together", lambda runs, cache: asked.append(runs) or {})
    monkeypatch.setattr(serving, "mixed_ratio", lambda *_: {})
    words = ["serving.py", "A=runs/A", "B=runs/B", "--rows", str(tmp_path), "--seconds", "0"]
    monkeypatch.setattr(sys, "argv", words)
    serving.main()
    assert asked == [{"A": "runs/A", "B": "runs/B"}]
    assert capsys.readouterr().out.count("rows each") == 4


@pytest.mark.parametrize("is_same", [True, False])
def test_the_ratio_is_that_of_its_times(serving, predictors, is_same):
    """One call for two predictors and a call each are both timed."""
    found = serving.mixed_ratio(predictors, ROWS, 2, is_same)
    assert found["ratio"] == pytest.approx(found["each_ms"] / found["one_call_ms"], rel=0.05)
