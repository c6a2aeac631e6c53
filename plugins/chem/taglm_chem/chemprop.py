"""The baseline chemprop: a message-passing network of its own package, run in its own process.

Chemprop 2 is called by its command line, which its documentation keeps stable. Nothing of it is
imported here, so that it can neither slow nor break a run that does not ask for it.
"""

import csv
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from taglm_chem.molecules import canonical
from taglm_core import BaselineResult, Classification, TaskData
from taglm_core.errors import DataError
from taglm_core.plugin import noted_peak

_STATUS = "/proc/self/status"
_NOTED = "status.txt"
# the process notes its own peak: what its parent is told includes the memory of the parent itself
_PROGRAM = f"""
import atexit, os, shutil
if os.path.exists("{_STATUS}"):
    atexit.register(shutil.copyfile, "{_STATUS}", "{_NOTED}")
from chemprop.cli.main import main
main()
"""
_SPLITS = {"train": "train", "valid": "val", "test": "test"}
_LOOKED_AT = 50
_LAST_LINES = 5


def chemprop(data: TaskData) -> BaselineResult | None:
    """Train chemprop with its default settings on the train split; valid chooses the epoch.

    Returns:
        Predictions, with the peak memory of its processes; None when a field holds no molecules,
        a text varies, or a split lacks rows.
    """
    if set(data.splits) != set(_SPLITS) or not _is_of_molecules(data):
        return None
    truth = {split: _columns(data, split) for split in data.splits}
    with tempfile.TemporaryDirectory(prefix="taglm-chemprop-") as name:
        folder = Path(name)
        columns = _write_rows(folder / "rows.csv", data, truth)
        shared = ["--smiles-columns", *columns, "--num-workers", "0", "--accelerator", "cpu"]
        kind = "classification" if isinstance(data.target, Classification) else "regression"
        train = ["train", "--data-path", "rows.csv", "--splits-column", "split", *shared]
        train += ["--target-columns", *_names(truth["train"].shape[1]), "--task-type", kind]
        train += ["--output-dir", "model", "--pytorch-seed", str(data.seed)]
        predict = ["predict", "--test-path", "rows.csv", "--model-path", "model", *shared]
        peaks = [_run(folder, train), _run(folder, [*predict, "--preds-path", "preds.csv"])]
        values = _read(folder / "preds.csv", truth["train"].shape[1])
    known = [peak for peak in peaks if peak is not None]
    predictions, start = {}, 0
    for split, rows in truth.items():
        predictions[split] = _finished(values[start : start + len(rows)], data)
        start += len(rows)
    return BaselineResult(predictions, peak_bytes=max(known, default=None))


def _is_of_molecules(data: TaskData) -> bool:
    """Return whether molecules are all that the rows differ in."""
    rows = [split.fields for split in data.splits.values()]
    texts = [split.texts for split in data.splits.values()]
    if any(len({str(v) for t in texts for v in t[name]}) > 1 for name in texts[0]):
        return False
    fields = {name: [v for each in rows for v in list(each[name])[:_LOOKED_AT]] for name in rows[0]}
    checked = [canonical([str(value) for value in values]) for values in fields.values()]
    return bool(fields) and not any(any(each.errors) for each in checked)


def _columns(data: TaskData, split: str) -> np.ndarray:
    """Return targets as columns: numbers, labels, a class as 1, or one column for each class."""
    truth = np.asarray(data.splits[split].truth)
    if not isinstance(data.target, Classification) or data.target.multi_label:
        return truth
    count = len(data.target.classes or ())
    return truth[:, None] if count == 2 else np.eye(count)[truth]


def _finished(values: np.ndarray, data: TaskData) -> np.ndarray:
    """Return predictions in the shape of the task: of classes a probability for each."""
    if not isinstance(data.target, Classification) or data.target.multi_label:
        return values
    shares = np.concatenate([1 - values, values], axis=1) if values.shape[1] == 1 else values
    probabilities: np.ndarray = shares / shares.sum(axis=1, keepdims=True).clip(1e-12)
    return probabilities


def _names(count: int) -> list[str]:
    return [f"y{number}" for number in range(count)]


def _write_rows(path: Path, data: TaskData, truth: Mapping[str, np.ndarray]) -> list[str]:
    """Write the rows of all splits one after the other; return the columns of molecules."""
    fields = list(next(iter(data.splits.values())).fields)
    columns = [f"smiles{number}" for number in range(len(fields))]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        count = next(iter(truth.values())).shape[1]
        writer.writerow([*columns, *_names(count), "split"])
        for split, values in truth.items():
            molecules = zip(*(data.splits[split].fields[name] for name in fields), strict=True)
            for row, numbers in zip(molecules, values.tolist(), strict=True):
                writer.writerow([*row, *numbers, _SPLITS[split]])
    return columns


def _read(path: Path, count: int) -> np.ndarray:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(row[name]) for name in _names(count)] for row in rows], dtype=float)


def _run(folder: Path, arguments: Sequence[str]) -> int | None:
    """Run chemprop in a folder; return its peak memory in bytes, None where none is told.

    Raises:
        DataError: with the last lines it wrote, when it fails.
    """
    log = folder / "log.txt"
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise DataError(f"chemprop {arguments[0]} failed: {' | '.join(lines[-_LAST_LINES:])}")
    return noted_peak(folder / _NOTED)
