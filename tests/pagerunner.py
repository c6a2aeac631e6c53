"""What a page of the documentation shows is run: its files written, its commands called."""

import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from program import installed, run_program
from venvs import make_environment, pip_install

DOCS = Path(__file__).parents[1] / "docs"

# The same commands as on the page, and less of each: settings that a test adds to every run.
SMALL_CORPUS = "stages.domain.size=60 stages.domain.max_steps=2"
FEW = f"data.size=60 {SMALL_CORPUS} stages.task.max_steps=2"
SHORTER = {
    "first-run": FEW,  # with every baseline
    "proteins": f"{FEW} baselines=[mean,ridge]",
    "sample-and-identify": f"{FEW} baselines=[mean]",
    "several-tasks": f"{FEW} baselines=[mean]",
    "stage-one-data": f"{FEW} baselines=[mean]",
    "translation": f"{SMALL_CORPUS} stages.task.epochs=1 decode.max_new_tokens=6",
    "intervals": f"{FEW} data.size=120 baselines=[mean]",  # a level needs validation rows
    "own-head": f"{FEW} baselines=[mean]",
    "own-backbone": f"{FEW} baselines=[mean]",
    "own-property": f"{SMALL_CORPUS} stages.task.epochs=2",
    "pairs": f"{SMALL_CORPUS} stages.task.max_steps=2",
    "cross-domain": f"{SMALL_CORPUS} stages.task.max_steps=2",
    "add-a-task": f"{FEW} baselines=[mean]",
}


def shortened(words, page):
    """Return a command with the settings that shorten its run."""
    values = SHORTER.get(page.stem, "").split() if words[:2] == ["taglm", "run"] else []
    return [*words, *(word for value in values for word in ("--set", value))]


def run_page(page, folder):
    """Write the files that a page shows and run its commands in order, in an empty folder.

    Output shown below a command must be in the real output, in order; `...` stands for what is
    left out, and in a line with a decimal number any number may differ.

    Returns:
        The shell in which the commands ran.
    """
    shell = Shell(folder, page)
    for line, body in re.findall(r"```(\w+ .*?)\n(.*?)```", page.read_text(), re.S):
        kind, _, option = line.partition(" ")
        if option.startswith("file="):
            (shell.folder / option.removeprefix("file=")).write_text(body)
        elif line in ("console run", "console fails"):
            for part in body.replace("\\\n", " ").removeprefix("$ ").split("\n$ "):
                command, *shown = part.strip("\n").split("\n")
                code, output = shell.call(shlex.split(command))
                assert (code != 0) == (option == "fails"), f"{command}\n{output}"
                assert_shown(shown, output)
    return shell


class Shell:
    """Runs the commands of a page, in an environment of its own if something is installed."""

    def __init__(self, folder, page):
        self.folder = folder / "page"
        self.folder.mkdir()
        self.python, self.variables, self.sites = sys.executable, {}, []
        self.page = page
        if "$ pip install -e" in page.read_text():
            self.python = make_environment(folder / "environment")
            # the plugins of the page's first line, and the one that it makes
            self.variables = {"TAGLM_PLUGINS": "nano,studies,demo"}

    def call(self, words):
        """Run one command; return its exit code and its output."""
        if words[0] == "cd":
            self.folder = self.folder / words[1]
            return 0, ""
        if words[:2] == ["pip", "install"]:
            done = pip_install(self.python, *words[2:], cwd=self.folder)
            self.sites = [*(self.folder.parents[1]).glob("environment/lib/python*/site-packages")]
            self.sites.append(self.folder)
            return done.returncode, done.stdout
        words = shortened(words, self.page)
        if words[0] == "taglm" and words[1] != "plugins":
            with ExitStack() as seen:
                for site in self.sites:
                    seen.enter_context(installed(site))
                return run_program(words[1:], self.folder, **self.variables)
        program = {"taglm": "taglm_core.cli.main", "pytest": "pytest"}[words[0]]
        environment = {**os.environ, **self.variables}
        return subprocess_of([self.python, "-m", program, *words[1:]], self.folder, environment)


def subprocess_of(program, folder, environment):
    """Run a program in a process of its own; return its exit code and its output."""
    done = subprocess.run(
        program,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def assert_shown(shown, output):
    """Demand the lines that a page shows in the real output, in order."""
    lines = iter(output.splitlines())
    for line in shown:
        if line.strip() not in ("", "..."):
            assert any(_alike(line, real) for real in lines), f"{line!r} is not in\n{output}"


def _alike(shown, real):
    is_measured = re.search(r"\d\.\d", shown) is not None
    first, second = (
        " ".join((re.sub(r"\d[\d.,]*", "#", text) if is_measured else text).split())
        for text in (shown, real)
    )
    return first == second
