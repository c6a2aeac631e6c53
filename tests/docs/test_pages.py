"""Documentation is part of the code: pages match it, and what they show is run."""

import importlib.util
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import taglm_core.plugins.hookspecs as hookspecs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def generator():
    """Import docs/generate.py."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["settings.md", "commands.md"])
def test_generated_pages_are_up_to_date(page, monkeypatch):
    """Run `python docs/generate.py` when this fails."""
    monkeypatch.setenv("TAGLM_PLUGINS", "")
    made = generator().PAGES[page]()
    assert (DOCS / "reference" / page).read_text(encoding="utf-8") == made


def hooks():
    """Return the names of all hooks."""
    return [n for n, f in vars(hookspecs).items() if getattr(f, "taglm_spec", None) is not None]


def test_there_are_hooks():
    """The walk below sees the hooks."""
    assert len(hooks()) == 13


@pytest.mark.parametrize("hook", hooks())
def test_every_hook_has_a_heading_with_its_signature_and_an_example(hook):
    """No hook without documentation."""
    text = (DOCS / "reference" / "hooks.md").read_text()
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    heading = f"## {hook}({arguments})"
    assert heading in text
    section = text.split(heading)[1].split("\n## ")[0]
    assert f"def {hook}(" in section


def test_the_hook_examples_run():
    """The examples of the hooks page make up one plugin that registers everything."""
    import types

    from taglm_core.plugins import load_registry

    text = (DOCS / "reference" / "hooks.md").read_text()
    module = types.ModuleType("documented")
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(compile(block, "hooks.md", "exec"), module.__dict__)
    registry = load_registry(only=(), extra=[("dna", module)])
    assert registry.failures == []
    assert registry.tasks.get("GC").name == "dna/GC"
    assert registry.backbones.get("mine").name == "dna/mine"


PAGES = sorted(p for p in DOCS.rglob("*.md") if "```console run" in p.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_command_of_a_page_runs(page, tmp_path):
    """Files shown are written, commands shown are run in order, in an empty folder."""
    for line, body in re.findall(r"```(\w+ .*?)\n(.*?)```", page.read_text(), re.S):
        kind, _, option = line.partition(" ")
        if option.startswith("file="):
            (tmp_path / option.removeprefix("file=")).write_text(body)
        elif line == "console run":
            for command in body.splitlines():
                words = shlex.split(command.removeprefix("$ "))
                assert words[0] == "taglm"
                program = [sys.executable, "-m", "taglm_core.cli.main", *words[1:]]
                done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
                assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_links_between_pages_lead_somewhere():
    """Relative links of all pages and the README exist."""
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page}: {link}"


def test_the_readme_stays_short():
    """Under 120 lines."""
    assert len((ROOT / "README.md").read_text().splitlines()) < 120
