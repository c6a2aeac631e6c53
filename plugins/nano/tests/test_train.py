"""The training script: it runs to the end, learns, repeats itself, and says what it read."""

import json
import lzma
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

TRAIN = Path(__file__).parents[1] / "train" / "train.py"
HIDDEN = 128


@pytest.fixture
def work(tmp_path, weights, bilingual_arrays):
    """A work folder with the made-up corpus and a tokenizer."""
    buffer = BytesIO()
    np.savez(buffer, **bilingual_arrays)
    (tmp_path / "arrays.npz.xz").write_bytes(lzma.compress(buffer.getvalue()))
    (tmp_path / "tokenizer").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "tokenizer" / name).write_bytes((weights / name).read_bytes())
    return tmp_path


def train(work, name, *more):
    """Train a few steps on the CPU; return the report and the model's tensors."""
    torch = pytest.importorskip("torch")
    load_file = pytest.importorskip("safetensors.torch").load_file
    out = work / name
    command = [sys.executable, TRAIN, "--work", work, "--out", out, "--mix", "translation"]
    command += ["--device", "cpu", "--dtype", "float32", "--tokens", "192", "--no-compile"]
    command += ["--hidden", str(HIDDEN)]
    done = subprocess.run(
        [*map(str, command), "--micro-batches", "2", "--log-seconds", "0", *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    tensors = load_file(out / "model.safetensors")
    assert all(torch.isfinite(tensor.float()).all() for tensor in tensors.values())
    # not the width of the shipped model: another one trains with the same code
    assert (900, HIDDEN) == tuple(tensors["model.embed_tokens.weight"].shape)
    return json.loads(out.with_suffix(".json").read_text()), tensors


def test_it_learns_and_repeats_itself(work):
    """The loss falls from chance; the same steps give the same weights."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    report, tensors = train(work, "one", "--steps", "12", "--ranks", "1")
    assert 12 == report["steps"]
    first, last = report["log"][0], report["log"][-2]
    assert first["pairs"] > 6.0
    assert last["pairs"] < first["pairs"] - 1.0
    assert sum(report["tokens"].values()) > 300
    _, again = train(work, "two", "--steps", "12", "--ranks", "1")
    for name, tensor in tensors.items():
        torch.testing.assert_close(tensor, again[name])


def test_ranks_share_a_step(work):
    """Two processes take the micro-batches of one step in turn, and none is lost."""
    pytest.importorskip("transformers")
    alone, _ = train(work, "alone", "--steps", "4", "--ranks", "1")
    both, _ = train(work, "both", "--steps", "4", "--ranks", "2")
    assert 4 == both["steps"]
    tokens = [sum(report["tokens"].values()) for report in (alone, both)]
    assert tokens[1] == pytest.approx(tokens[0], rel=0.3)
    assert both["log"][-2]["pairs"] < both["log"][0]["pairs"]


def test_an_interrupted_run_goes_on(work):
    """Checkpoint, then the rest of the steps: the report counts all of them once."""
    pytest.importorskip("transformers")
    saving = ("--ranks", "1", "--snapshot-seconds", "0")
    stopped = """
import ranks
step = ranks.Team.step
count = 0
def counted(self):
    global count
    count += 1
    if count > 5:
        raise KeyboardInterrupt
    step(self)
ranks.Team.step = counted
import train
train.main()
"""
    out = work / "one"
    command = ["--work", work, "--out", out, "--mix", "translation", "--device", "cpu"]
    command += ["--tokens", "192", "--no-compile", "--log-seconds", "0", "--steps", "9"]
    command += ["--hidden", str(HIDDEN), *saving]
    done = subprocess.run(
        [sys.executable, "-c", stopped, *map(str, command)],
        cwd=TRAIN.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "KeyboardInterrupt" in done.stderr
    assert (work / "one.checkpoint.pt").exists()
    report, _ = train(work, "one", "--steps", "9", *saving)
    assert 9 == report["steps"]
    assert [*range(1, 10), 9] == [line["step"] for line in report["log"]]
    assert not (work / "one.checkpoint.pt").exists()
