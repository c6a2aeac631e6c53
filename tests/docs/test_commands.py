"""Every command that the README, a tutorial or a how-to page shows is run by a test.

Blocks of commands with a word behind `console` are run by tests/docs/test_pages.py and
tests/e2e/test_new_plugin.py as they are; the plain ones here, with a tiny backbone and few steps.
"""

import csv
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from gguf_files import wide_backbone, write_gguf
from program import run_program

from taglm_core.testing import tiny_backbone

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "tutorial").glob("*.md")),
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
]
ELSEWHERE = {"run", "fails", "plugin"}
"""Words behind `console` of blocks that other tests run."""

FEW = "--set data.size=60 --set stages.domain.size=60 --set stages.domain.max_steps=1 "
FEW += "--set stages.domain.tag_length=2 --set stages.task.max_steps=1 "
FEW += "--set stages.task.tag_length=2 --baselines mean"
LESS = {"run": FEW, "condition": "--rows 60 --max-steps 1 --bins 2", "sample": "-n 5"}
"""Command of taglm -> options that make it short; the last one of a kind counts."""

BEFORE = {
    "cluster": ["taglm run QED --out runs/qed"],
    "sample-and-identify": ["taglm run QED --out runs/qed"],
}
"""Page -> commands that the page has run before, in a block of another kind."""

RAY = "starts a Ray cluster; plugins/ray/tests/test_ray.py runs the engine"
NOT_RUN = {
    "taglm predict runs/qed library.csv -o scores.csv --engine ray": RAY,
    "taglm predict runs/qed library.csv -o scores.csv --engine ray --workers 16": RAY,
    "taglm sweep QED tag_length=1,5 --seeds 0,1 --preset quick --engine ray": RAY,
    "git clone <this repository> taglm && cd taglm": "the repository has no fixed address",
    "python -m pip install build twine": "downloads; the page says that it is not tested",
    "python -m build": "tests/e2e/test_wheels.py builds the distributions",
    "python -m twine upload dist/*": "publishes; the page says that it is not tested",
}
"""Command -> why no test runs it."""

with (ROOT / "plugins" / "chem" / "taglm_chem" / "drugs.csv").open() as file:
    DRUGS = [row["smiles"] for row in csv.DictReader(file) if len(row["smiles"]) < 45][:60]


def plain_commands(page):
    """Return the commands of a page's plain console blocks."""
    blocks = re.findall(r"^```console *(\S*)\n(.*?)^```", page.read_text(), re.M | re.S)
    assert {kind for kind, _ in blocks} <= ELSEWHERE | {""}, page
    lines = [body.replace("\\\n", " ").splitlines() for kind, body in blocks if not kind]
    return [line.removeprefix("$ ") for body in lines for line in body if line.startswith("$ ")]


WITH_COMMANDS = [page for page in PAGES if plain_commands(page)]


@pytest.fixture
def desk(tmp_path):
    """Write the files that the commands name: tables, a run file and backbones."""
    splits = ["train", "train", "train", "valid", "test"]
    heads = {"lab": "Structure,LogS (mol/L)", "molecules": "Structure,Dose", "esol": "Drug,Y"}
    for name, head in heads.items():
        rows = [f"{s},{i / 10 - 2},{splits[i % 5]}" for i, s in enumerate(DRUGS)]
        (tmp_path / f"{name}.csv").write_text("\n".join([f"{head},split", *rows]) + "\n")
    for name in ("new", "train", "test", "library"):
        (tmp_path / f"{name}.csv").write_text("\n".join(["Structure,smiles", "CCO,CCO", "CCN,CCN"]))
    (tmp_path / "esol.yaml").write_text((ROOT / "examples" / "esol.yaml").read_text())
    small = tiny_backbone("llama", max_position_embeddings=2048)
    for folder in ("tiny", "my-model", "Qwen/Qwen3-0.6B"):
        small.model.save_pretrained(tmp_path / folder)
        small.tokenizer.save_pretrained(tmp_path / folder)
    (tmp_path / "owner").mkdir()
    for file in ("SmolLM2-135M-Instruct.Q4_1.gguf", "owner/name:file.gguf"):
        write_gguf(tmp_path / file, wide_backbone())
    return tmp_path


FEWER = {"--seeds": "--seeds 0,1", "cv": "--folds 2", "--backbone": "--dry-run"}
FEWER["--num-processes"] = "--dry-run"
"""Word of a run -> options that make it shorter: a run on another backbone is only planned, and so
is one in several processes, which tests/e2e/test_processes.py starts."""


def shortened(words):
    """Return a command of taglm on the tiny backbone, with few rows and steps."""
    if words[0] not in LESS:
        return words
    beside = "" if "--backbone" in words else "--backbone tiny"
    fewer = [more for word, more in FEWER.items() if word in words and words[0] == "run"]
    return [*words, *shlex.split(" ".join([LESS[words[0]], beside, *fewer]))]


def call(command, folder):
    """Run a command, or what of it can be run without installing anything."""
    words = shlex.split(command)
    if words[0] == "make":
        done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
        return done.returncode, done.stderr
    if words[:2] == ["pip", "install"]:
        return pip_names(words[2:])
    assert words[0] == "taglm", f"{command}: run it here, or say in NOT_RUN why not"
    return run_program(shortened(words[1:]), folder)


def pip_names(words):
    """Return 0 if the packages of this repository that are installed exist; tests install them."""
    files = [ROOT / "pyproject.toml", *(ROOT / "plugins").glob("*/pyproject.toml")]
    projects = [tomllib.loads(file.read_text())["project"] for file in files]
    extras = {project["name"]: project.get("optional-dependencies", {}) for project in projects}
    known = {*extras, *(f"{name}[{extra}]" for name in extras for extra in extras[name])}
    own = {word for word in words if word.startswith("taglm")}
    return int(not own or not own <= known), f"{own} of {known}"


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.stem)
def test_every_plain_command_of_a_page_runs(page, desk):
    """In the order of the page, in one folder."""
    for command in [*BEFORE.get(page.stem, []), *plain_commands(page)]:
        if command not in NOT_RUN:
            code, output = call(command, desk)
            assert code == 0, f"{command}\n{output}"


def test_commands_are_found_and_each_that_is_not_run_is_shown():
    """The walk sees the commands, and the list of those that are not run does not grow old."""
    found = {command for page in PAGES for command in plain_commands(page)}
    assert 'taglm run lab.csv --target "LogS (mol/L)"' in found
    assert len(found) > 20
    assert set(NOT_RUN) <= found


def test_what_the_check_cannot_run_fails(desk):
    """A command that does not work is noticed."""
    assert call("taglm run nothing.csv", desk)[0] != 0
    assert call("make nothing", desk)[0] != 0
    assert call("pip install taglm-plugin-nothing", desk)[0] != 0
    assert call("pip install taglm[nothing]", desk)[0] != 0
    with pytest.raises(AssertionError, match="say in NOT_RUN why not"):
        call("rm nothing", desk)
