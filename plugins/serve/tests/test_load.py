"""The load generator of benchmarks/serving.py counts what the service answered."""

import asyncio
import importlib.util
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("is_same", [True, False])
def test_the_ratio_is_that_of_its_times(serving, predictors, is_same):
    """One call for two predictors and a call each are both timed."""
    found = serving.mixed_ratio(predictors, ROWS, 2, is_same)
    assert found["ratio"] == pytest.approx(found["each_ms"] / found["one_call_ms"], rel=0.05)
