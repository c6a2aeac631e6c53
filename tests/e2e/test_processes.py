"""Several processes train one run: the results of one process, one writer, and an end for all."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from program import run_program
from small_runs import saved_backbone

import taglm
from taglm_core.cli.launch import without_option
from taglm_core.store.artifact import find_artifact, load_artifact

pytestmark = pytest.mark.slow

SMALL = {"max_steps": 4, "num_evaluations": 2, "tag_length": 3, "batch_size": 8}
PLAIN = "The molecule is <SMILES>{smiles}. It gives <T>"
CASES = {
    "numbers": {"kind": "regression", "columns": ["y"]},
    "classes": {"kind": "classification", "columns": ["kind"]},
    "text": {"kind": "text", "max_new_tokens": 2},
    "untrained": {"kind": "regression", "columns": ["y"]},
}
PAIRS = "The molecule is <SMILES>{smiles}. The protein is <Protein>{protein}. It gives <T>"
SETTINGS = {
    "numbers": {"refit": True, "stages": {"task": {"features": "on"}}},
    "classes": {
        "stages": {
            "task": {"head": "mlp", "fit_epochs": 3},
            "domain": {"seed": 1},  # else the store holds the tag
        }
    },
    "text": {"stages": {"task": {"cache": "off"}}},
    "untrained": {},  # descriptors say it all, in every process
}
CHILD = """
import json, os, sys, taglm
from taglm_core.training import domain_stages
train = domain_stages.train_domain

def train_and_say(plan, item, *others):
    said = "rank {} trains {} of {}\\n"
    sys.stdout.write(said.format(os.environ["RANK"], item.tag, len(plan.domains)))
    return train(plan, item, *others)

domain_stages.train_domain = train_and_say
for name, settings in json.load(open(sys.argv[1])).items():
    run = taglm.run(**settings)
    sys.stdout.write("scored {} {}\\n".format(name, len(run.metrics["tasks"]["T"]["splits"])))
    sys.stdout.flush()
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Return a folder with a table and a tiny backbone."""
    folder = tmp_path_factory.mktemp("desk")
    saved_backbone(folder / "tiny")
    rng = np.random.default_rng(0)
    pieces = ["O", "N", "C(C)", "C(=O)", "c1ccccc1"]
    rows = {"C" * n + "".join(rng.choice(pieces, size=k)) for n in range(1, 9) for k in range(1, 9)}
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["smiles", "y", "kind", "reply", "protein"])
        for row in sorted(rows):
            much = "much" if row.count("O") > 1 else "little"
            protein = "MKV" + "LAG" * (1 + len(row) % 4) + "W" * row.count("O")
            writer.writerow([row, row.count("O") + 0.1 * len(row), much, much, protein])
    return folder


def settings_of(name, desk, out):
    """Return the arguments of `taglm.run` of a case."""
    task = {"name": "T", "template": PLAIN, "target": CASES[name]}
    if name == "text":
        task["template"] = PLAIN + "{reply}"
    if name == "numbers":
        task["template"] = PAIRS
    own = SETTINGS[name]
    stages = {
        "domain": {**SMALL, "size": 40, **own.get("stages", {}).get("domain", {})},
        "task": {**SMALL, **own.get("stages", {}).get("task", {})},
    }
    return {
        "task": {
            "task": task,
            "data": {"file": str(desk / "rows.csv"), "split": {"method": "random"}},
        },
        "backbone": str(desk / "tiny"),
        "out": str(out / name),
        "baselines": ["none"],
        "stages": stages,
        "refit": own.get("refit", False),
        "precision": "fp32",
    }


@pytest.fixture(scope="module")
def both(desk, tmp_path_factory):
    """Run each case in one process, and all of them in two."""
    alone, together = (tmp_path_factory.mktemp(name) for name in ("alone", "together"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGLM_HOME", str(alone / "home"))
        for name in CASES:
            taglm.run(**settings_of(name, desk, alone))
    cases = {name: settings_of(name, desk, together) for name in CASES}
    (together / "cases.json").write_text(json.dumps(cases))
    (together / "child.py").write_text(CHILD)
    # on a machine without GPUs too this is how accelerate starts several processes
    words = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--dynamo_backend", "no"]
    words += ["--mixed_precision", "no", "--main_process_port", "0"]
    launch = [sys.executable, "-m", "accelerate.commands.launch", *words]
    done = subprocess.run(
        [*launch, str(together / "child.py"), str(together / "cases.json")],
        env={**os.environ, "TAGLM_HOME": str(together / "home"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("scored numbers 3\n") == 2
    (together / "said.txt").write_text(done.stdout)
    return alone, together


def histories(folder):
    """Return the scores of every evaluation of both stages, as one row of numbers."""
    metrics = json.loads((folder / "metrics.json").read_text())
    stages = metrics["tasks"]["T"]["stages"]
    assert len(stages) == (3 if folder.name == "numbers" else 2)
    return [
        value
        for stage in stages
        for record in stage["history"]
        for name, value in record.items()
        if name != "spearman"
    ]


@pytest.mark.parametrize("name", CASES)
def test_two_processes_give_the_results_of_one(both, name):
    """Curves and predictor agree to the rounding of sums."""
    alone, together = (folder / name for folder in both)
    np.testing.assert_allclose(histories(together), histories(alone), rtol=2e-4, atol=2e-4)
    ours, theirs = (load_artifact(find_artifact(folder)) for folder in (together, alone))
    assert set(ours.tags) == set(theirs.tags)
    for key, value in theirs.tags.items():
        np.testing.assert_allclose(ours.tags[key], value, atol=1e-3)
    for folder in (alone, together):
        stage = json.loads((folder / "metrics.json").read_text())["tasks"]["T"]["stages"][-1]
        assert (stage["steps"] == 0) == (name == "untrained")


def test_tags_of_two_domains_are_trained_side_by_side(both):
    """Each by one process, with the curve of a run alone to the last digit; one tag by both."""
    alone, together = both
    said = (together / "said.txt").read_text().splitlines()
    assert sorted(line for line in said if " trains " in line) == [
        "rank 0 trains chem/SMILES of 1",
        "rank 0 trains chem/SMILES of 2",
        "rank 1 trains chem/SMILES of 1",
        "rank 1 trains protein/Protein of 2",
    ]
    records = [
        json.loads((folder / "numbers" / "metrics.json").read_text())["tasks"]["T"]["stages"][:2]
        for folder in both
    ]
    for ours, theirs in zip(*records, strict=True):
        assert ours["tag"] == theirs["tag"]
        assert ours["history"] == theirs["history"]
        assert "from_store" not in ours


def test_one_process_writes(both):
    """Each stage is logged once, and the folders hold the same files."""
    alone, together = both
    for name in CASES:
        lines = (together / name / "metrics.jsonl").read_text().splitlines()
        assert len(lines) == len((alone / name / "metrics.jsonl").read_text().splitlines())
        held = {path.relative_to(together / name) for path in (together / name).rglob("*")}
        assert held == {path.relative_to(alone / name) for path in (alone / name).rglob("*")}


def program(desk, home, *words):
    """Start `taglm` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "taglm_core", *words],
        cwd=desk,
        env={**os.environ, "TAGLM_HOME": str(home), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_an_interrupted_run_goes_on_in_one_process(desk, tmp_path):
    """Ctrl-C stops both after the same step; the checkpoint serves any number of processes."""
    words = ["run", "rows.csv", "--target", "y", "--split", "random", "--backbone", "tiny"]
    words += [
        "--baselines",
        "none",
        "--set",
        "stages.domain.max_steps=2",
        "--set",
        "precision=fp32",
        "--set",
        "stages.task.features=on",
    ]
    words += ["--set", "stages.domain.size=40", "--set", "stages.task.max_steps=60"]
    words += ["--set", "checkpoint_seconds=0", "--out", str(tmp_path / "run")]
    started = program(desk, tmp_path / "home", *words, "--num-processes", "2")
    checkpoints = tmp_path / "run" / "checkpoints"
    last = time.monotonic() + 240
    while not list(checkpoints.glob("task-*/state.json")):
        assert time.monotonic() < last
        assert started.poll() is None, started.communicate()[1][-2000:]
        time.sleep(0.1)
    os.killpg(started.pid, signal.SIGINT)
    _, said = started.communicate(timeout=120)
    assert started.returncode == 130, said
    assert said.count("Run the same command to continue.") == 1
    assert "Traceback" not in said
    (state,) = checkpoints.glob("task-*/state.json")
    step = json.loads(state.read_text())["step"]
    assert f"Stopped at step {step} of " in said
    code, said = run_program(words, desk, TAGLM_HOME=tmp_path / "home")
    assert code == 0, said
    assert f"at step {step}" in said


def test_an_error_is_said_once_and_ends_all(desk, tmp_path):
    """The others do not wait for a process that has given up."""
    words = ["run", "rows.csv", "--target", "nothing", "--out", str(tmp_path / "run")]
    started = program(desk, tmp_path / "home", *words, "--num-processes=2")
    _, said = started.communicate(timeout=120)
    assert started.returncode == 1
    assert said.count("error:") == 1
    assert "Traceback" not in said


def test_the_option_is_left_out_of_the_command_of_each():
    """In both spellings, and nothing else is."""
    words = ["run", "QED", "--num-processes", "2", "--seed", "2", "--num-processes=3"]
    assert without_option(words) == ["run", "QED", "--seed", "2"]
