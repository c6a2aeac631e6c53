"""The report that a run ends with: written, complete, and opened in a browser."""

import html
import json
import re
import shutil
import subprocess

import pytest
from small_runs import saved_backbone

import taglm as library

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)

MOLECULES = [
    "C" * i + end for end in ("", "O", "N", "c1ccccc1", "C(=O)O", "Cl") for i in range(1, 8)
]
SETTINGS = {"max_steps": 4, "tag_length": 3, "num_evaluations": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train a predictor of molecules for some steps on a tiny random backbone."""
    folder = tmp_path_factory.mktemp("report")
    saved_backbone(folder / "tiny", "llama")
    lines = [f"{smiles},{len(smiles) / 10}" for smiles in MOLECULES]
    (folder / "molecules.csv").write_text("Drug,Y\n" + "\n".join(lines) + "\n")
    task = {
        "name": "Sol",
        "template": "The SMILES of the molecule is <SMILES>{smiles}. Its solubility is <Sol>",
        "target": {"kind": "regression", "columns": ["Y"], "unit": "log10 mol/L"},
        "metrics": ["rmse", "mae", "r2"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGLM_HOME", str(folder / "home"))
        return library.run(
            task,
            str(folder / "molecules.csv"),
            backbone=str(folder / "tiny"),
            out=folder / "run",
            baselines=["mean", "nearest"],
            data__split__method="random",
            stages={"domain": {**SETTINGS, "size": 60}, "task": SETTINGS},
        )


@pytest.fixture(scope="module")
def page(run):
    """Return the text of the report."""
    return (run.folder / "report.html").read_text()


def test_the_report_shows_what_the_run_found(run, page):
    """Sentence, metrics, learning curves, errors, molecules with attention, tags, versions."""
    for title in (
        *("Results", "Test predictions", "Training", "Where the errors are"),
        *("Best and worst test rows", "Tags", "Data", "Cost", "To repeat it"),
    ):
        assert f">{title}</h3>" in page
    text = html.unescape(re.sub("<[^>]+>", " ", page))
    assert "Sol: taglm rmse" in text
    assert "similarity of smiles to the nearest training row" in text
    assert "shaded by attention" in page
    assert page.count("atom-0") >= 2  # molecules drawn by their plugin
    assert "nearest vocabulary words" in text
    assert "molecules.csv" in text
    assert f"taglm {library.__version__}" in text
    assert len(page) < 3e6


def test_the_files_of_the_run_hold_what_the_report_needs(run):
    """Attention, similarity and the predictions of baselines, for each test row."""
    details = json.loads((run.folder / "details.json").read_text())
    rows = run.predictions.query("split == 'test'").row.tolist()
    assert details["rows"]["row"] == rows
    assert all(0 <= s <= 1 for s in details["rows"]["fields"]["smiles"]["similarity"])
    assert details["attention"]
    table = (run.folder / "predictions" / "test.baselines.csv").read_text().splitlines()
    assert table[0] == "row,mean,nearest"
    assert [int(line.split(",")[0]) for line in table[1:]] == rows
    environment = json.loads((run.folder / "environment.json").read_text())
    assert environment["command"] is None  # it was run from Python
    assert {"python", "libraries", "plugins"} <= set(environment)


def test_the_command_writes_the_report_again(run, page, taglm, tmp_path):
    """From the files alone, with the same words, or of several runs side by side."""
    found = taglm("report", run.folder, "--out", tmp_path / "again.html")
    assert found.code == 0
    assert str(tmp_path / "again.html") in found.out
    assert (tmp_path / "again.html").read_text() == page
    other = shutil.copytree(run.folder, tmp_path / "other")
    found = taglm("report", run.folder, other, "--out", tmp_path / "both.html")
    assert found.code == 0
    assert "Side by side" in (tmp_path / "both.html").read_text()
    found = taglm("report", run.folder, run.folder, "--out", tmp_path / "twice.html")
    assert found.code == 1
    assert "twice" in found.err, found.err
    found = taglm("report", tmp_path)
    assert found.code == 1
    assert "is not a run folder" in found.err


FRAME = """<!DOCTYPE html><iframe id="f" width="390" height="800" srcdoc="{page}"></iframe>
<script>document.getElementById("f").onload = function () {{
  var root = this.contentDocument.documentElement;
  document.title = "width " + root.scrollWidth + " figures " + root.querySelectorAll("svg").length;
}};</script>"""


def browser(folder, *arguments):
    """Run Chromium without a window and return what it says."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
    command += ["--disable-sync", f"--user-data-dir={folder / 'profile'}", "--hide-scrollbars"]
    command += ["--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, timeout=120)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_shows_the_report_without_complaint(run, page, tmp_path):
    """At 390 pixels nothing sticks out, the console is silent, and it prints."""
    file = tmp_path / "frame.html"
    file.write_text(FRAME.format(page=html.escape(page, quote=True)))
    said = browser(tmp_path, "--virtual-time-budget=5000", "--dump-dom", f"file://{file}")
    width, count = re.search(r"<title>width (\d+) figures (\d+)", said.stdout.decode()).groups()
    assert int(width) <= 390
    assert int(count) == page.count("<svg")
    report = run.folder / "report.html"
    said = browser(tmp_path, f"--print-to-pdf={tmp_path / 'report.pdf'}", f"file://{report}")
    assert "CONSOLE" not in said.stderr.decode()
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
