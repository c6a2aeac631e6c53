"""Predicting a long file holds one piece of it at a time."""

import csv
import gc

import pytest
from allocations import LiveBytes

from taglm_core.data.readers import iter_tables
from taglm_core.inference.loading import load_predictor
from taglm_core.progress import Silent
from taglm_core.store.artifact import load_artifact
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.training.plan import make_plan
from taglm_core.training.run import execute, resolved
from taglm_core.training.settings import run_config

TASK = {
    "name": "Pair",
    "template": "String <toy/Letters>{letters} of {note} with <toy/Digits>{digits}. Is <Pair>",
    "target": {"kind": "regression", "columns": ["y"]},
}
PIECE = 8


def write(path, rows):
    """Write rows whose digits recur within a piece and whose letters and notes never do."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["letters", "digits", "note", "y"])
        for i in range(rows):
            letters = "".join("abc"[(i // 3**k) % 3] for k in range(7))
            digits = "10110" * 4 + f"{i // PIECE:05b}" + "01"[i % 2]
            writer.writerow([letters, digits, f"sample {i:04d}", i % 5])
    return path


@pytest.fixture
def predictor(tmp_path, toy_backbone, toy_registry):
    """Return a predictor of the pair task, barely trained."""
    config = run_config(
        "test",
        {
            "task": TASK,
            "backbone": str(toy_backbone),
            "data": {"file": str(write(tmp_path / "train.csv", 24)), "check": False},
            "stages": {"task": {"max_steps": 1, "num_evaluations": 1, "domain_tags": False}},
        },
    )
    folder, store = RunFolder(tmp_path / "run"), TagStore()
    folder.open(resolved(config))
    execute([make_plan(config, toy_registry, store)], folder, store, Silent())
    folder.close()
    return load_predictor(load_artifact(tmp_path / "run" / "predictor"), toy_registry, cache="1GB")


def test_memory_is_that_of_a_piece_whatever_the_file_holds(predictor, tmp_path):
    """Tensors of earlier pieces are gone, those kept for reuse included, and so are their rows."""
    live, peaks, kept = LiveBytes(), [], []
    for table in iter_tables(write(tmp_path / "long.csv", 9 * PIECE), PIECE):
        live.peak = live.now
        with live:
            found = predictor.predict_table(table)
        assert found.errors == [None] * PIECE
        del found, table
        gc.collect()
        peaks.append(live.peak)
        kept.append(live.now)
    assert len(peaks) == 9
    assert max(peaks[4:]) <= 1.02 * max(peaks[:4])
    assert max(kept[4:]) <= max(kept[:4])
    assert 0 < max(kept) < max(peaks)
