"""The example plugins installed as strangers install them: their suites, runs and cost."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from program import call_here

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"
NAMES = sorted(file.parent.name for file in EXAMPLES.glob("*/pyproject.toml"))
SMALL = (
    "data.size=200",
    "stages.domain.size=200",
    "stages.domain.max_steps=3",
    "stages.task.max_steps=3",
    "baselines=[mean,boosting]",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Install every example from a built wheel into a folder of its own, without a network."""
    root = tmp_path_factory.mktemp("examples")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    for name in NAMES:
        copy = shutil.copytree(EXAMPLES / name, root / name)
        options = ["--no-deps", "--no-index", "--no-build-isolation", "--target", root / "site"]
        subprocess.run([*pip, "install", *options, copy], check=True)
    return root / "site"


def test_there_is_a_sequence_and_something_else():
    """One example has a string for a row, the other a record of several columns."""
    assert NAMES == ["dna", "weather"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_its_own_suite_passes(name, site, tmp_path):
    """Tests and contract run against the installed package, not against the folder."""
    tests = shutil.copytree(EXAMPLES / name / "tests", tmp_path / "tests")
    shutil.copy(EXAMPLES / name / "pyproject.toml", tmp_path)
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests]
    environment = {**os.environ, "PYTHONPATH": str(site), "TAGLM_PLUGINS": f"{name},nano"}
    done = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_contract_from_the_command_line(name, site, tmp_path):
    """`taglm check-plugin` needs no test file."""
    out = call_here("check-plugin", name, folders=[site], TAGLM_HOME=tmp_path)
    assert out


def run_task(task, site, place, *settings):
    """Train a task in a small way; give its record of metrics.json."""
    words = [word for value in (*SMALL, *settings) for word in ("--set", value)]
    call_here(
        *("run", task, "--preset", "quick", *words, "--out", place / task),
        folders=[site],
        TAGLM_HOME=place / "home",
    )
    return json.loads((place / task / "metrics.json").read_text())["tasks"][task]


@pytest.mark.slow
def test_dna_learns_from_letters(site, tmp_path):
    """A closed-form head on a backbone that never saw DNA beats the mean by far."""
    found = run_task("GC", site, tmp_path, "stages.task.augment=1")
    test = found["splits"]["test"]
    assert found["split"] == "dna/strand"
    assert test["metrics"]["mae"] < 0.6 * test["baselines"]["mean"]["mae"]
    (tmp_path / "in.csv").write_text("seq\nacgtacgtacgt\nACGU\n")
    out = tmp_path / "out.csv"
    call_here("predict", tmp_path / "GC", "-i", tmp_path / "in.csv", "-o", out, folders=[site])
    good, bad = csv.DictReader(out.open())
    assert 0 < float(good["GC"]) < 1
    assert "write T for U" in bad["error"]


@pytest.mark.slow
def test_records_of_several_columns_are_learned(site, tmp_path):
    """Three numbers make a row from the dataset to the prediction file."""
    found = run_task("DewPoint", site, tmp_path)
    test = found["splits"]["test"]
    assert found["split"] == "weather/state"
    assert test["metrics"]["mae"] < test["baselines"]["mean"]["mae"]
    assert test["baselines"]["boosting"]["mae"] < test["baselines"]["mean"]["mae"]
    rows = list(csv.DictReader((tmp_path / "DewPoint" / "predictions" / "test.csv").open()))
    assert {"temperature", "humidity", "pressure", "dew_point.computed"} <= set(rows[0])
    assert -40 <= float(rows[0]["temperature"]) <= 60


@pytest.mark.slow
def test_records_are_predicted_row_by_row(site, tmp_path):
    """Other column names by --column; empty and impossible records carry their reason."""
    run_task("Deposit", site, tmp_path)
    lines = ["T,humidity,pressure", "25,60,1010", ",,", "20,,1000", "-15.2,80,995", "warm,1,900"]
    (tmp_path / "in.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out.csv"
    call_here(
        *("predict", tmp_path / "Deposit", "-i", tmp_path / "in.csv", "-o", out),
        *("--column", "temperature=T"),
        folders=[site],
    )
    rows = list(csv.DictReader(out.open()))
    assert [bool(row["error"]) for row in rows] == [False, True, True, False, True]
    assert rows[1]["error"] == "air: empty"
    assert "humidity '' is not a number" in rows[2]["error"]
    assert "temperature 'warm' is not a number" in rows[4]["error"]
    assert {rows[0]["Deposit"], rows[3]["Deposit"]} <= {"dew", "frost"}
    assert float(rows[0]["Deposit.dew"]) == pytest.approx(1 - float(rows[0]["Deposit.frost"]))


LIBRARIES = ("torch", "transformers", "datasets", "rdkit", "sklearn", "Bio", "sacrebleu", "numpy")


def test_help_with_every_plugin_imports_no_library(site):
    """`taglm --help` costs what typer costs, however many plugins there are."""
    code = f"""
import sys
sys.argv = ['taglm', '--help']
from taglm_core.cli.main import main
try:
    main()
except SystemExit:
    pass
print('LOADED', [name for name in {LIBRARIES!r} if name in sys.modules])
print('PLUGINS', [name for name in {tuple(f"taglm_{n}" for n in NAMES)!r} if name in sys.modules])
"""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    program = [sys.executable, "-c", code]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout, done.stdout
    assert f"PLUGINS {[f'taglm_{name}' for name in NAMES]}" in done.stdout
