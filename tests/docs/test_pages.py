"""Documentation is part of the code: pages match it, and what they show is run."""

import importlib.util
import inspect
import os
import re
import shlex
import sys
from pathlib import Path

import attrs
import pytest
from pagerunner import assert_shown, run_page, shortened, subprocess_of
from program import installed, run_program

import taglm_core as taglm
import taglm_core.plugins.hookspecs as hookspecs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def generator():
    """Import docs/generate.py."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATED = ["settings.md", "commands.md", "contract.md", "api.md", "messages.md"]


@pytest.mark.parametrize("page", GENERATED)
def test_generated_pages_are_up_to_date(page, monkeypatch):
    """Run `python docs/generate.py` when this fails."""
    monkeypatch.setenv("TAGLM_PLUGINS", "")
    made = generator().PAGES[page]()
    assert (DOCS / "reference" / page).read_text(encoding="utf-8") == made


def test_the_settings_page_lists_each_key_once(monkeypatch):
    """`tasks` is one line; its keys are those of `task` and `data`."""
    monkeypatch.setenv("TAGLM_PLUGINS", "")
    keys = re.findall(r"^\| `([\w.]+)` \|", generator().PAGES["settings.md"](), re.M)
    names = [key.rpartition(".")[2] for key in keys]
    assert len(keys) == len(set(keys))
    assert "tasks" in keys
    assert not [key for key in keys if key.startswith("tasks.")]
    assert names.count("on_error") == 1
    assert names.count("template") == 1


@pytest.mark.parametrize("name", ["TaskConfig", "DataConfig", "TaskStageConfig", "RunConfig"])
def test_a_setting_is_explained_in_two_lines(name):
    """A long explanation belongs on a page of its own."""
    from taglm_core.training import config

    notes = generator()._notes(getattr(config, name))
    assert len(notes) > 5
    assert not [key for key, note in notes.items() if len(note) > 190]


def hooks():
    """Return the names of all hooks."""
    return [n for n, f in vars(hookspecs).items() if getattr(f, "taglm_spec", None) is not None]


EVENTS = {
    "on_rows_loaded": "RowsLoaded",
    "on_stage_started": "StageStarted",
    "on_evaluated": "Evaluated",
    "on_run_finished": "RunFinished",
}


def test_there_are_hooks():
    """The walk below sees the hooks."""
    assert len(hooks()) == 18


@pytest.mark.parametrize("hook", hooks())
def test_every_hook_has_a_heading_with_its_signature_and_an_example(hook):
    """No hook without documentation."""
    text = (DOCS / "reference" / "hooks.md").read_text()
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    heading = f"## {hook}({arguments})"
    assert heading in text
    section = text.split(heading)[1].split("\n## ")[0]
    assert f"def {hook}(" in section
    for part in ("- **Arguments**:", "- **Return**:", "- **None**:"):
        assert part in section, f"{hook}: the page lacks {part}"
    if arguments:
        attributes = attrs.fields_dict(getattr(taglm, EVENTS[hook]))
        missing = [name for name in attributes if f"`{name}" not in section]
        assert not missing, f"{hook}: the page does not name {missing} of the event"


def test_the_hook_examples_run():
    """The examples of the hooks page make up one plugin that registers everything."""
    import types

    from taglm_core.plugins import load_registry

    text = (DOCS / "reference" / "hooks.md").read_text()
    module = types.ModuleType("documented")
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(compile(block, "hooks.md", "exec"), module.__dict__)
    registry = load_registry(only=(), extra=[("mydna", module)])
    assert registry.failures == []
    assert registry.tasks.get("GC").name == "mydna/GC"
    assert registry.backbones.get("mine").name == "mydna/mine"


def pages(kind):
    """Return the pages that hold a block of commands of a kind."""
    found = (
        p
        for p in DOCS.rglob("*.md")
        if f"```console {kind}" in p.read_text() and p.parent.name != "gallery"  # test_gallery.py
    )
    return sorted(p for p in found if p.stem != "first-plugin")  # e2e/test_new_plugin.py


def steps(page):
    """Yield ("file", (name, text)) and ("command", words) in the order of a page."""
    for line, body in re.findall(r"```(\w+ .*?)\n(.*?)```", page.read_text(), re.S):
        kind, _, option = line.partition(" ")
        if option.startswith("file="):
            yield "file", (option.removeprefix("file=").split()[0], body)
        elif kind == "console":
            for command in body.replace("\\\n", " ").splitlines():
                yield "command", shlex.split(command.removeprefix("$ "))


@pytest.mark.slow
@pytest.mark.parametrize("page", pages("plugin"), ids=lambda p: p.stem)
def test_the_plugin_of_a_page_installs_and_runs(page, tmp_path):
    """`pip install .` of the files shown, then every command, without a network."""
    site, work = tmp_path / "site", tmp_path / "work"
    site.mkdir()
    work.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    install += ["--no-build-isolation", "--target", str(site), "."]
    ran = 0
    for kind, content in steps(page):
        if kind == "file":
            (work / content[0]).write_text(content[1])
            continue
        if content[0] == "taglm":
            with installed(site):
                code, output = run_program(shortened(content, page)[1:], work)
            ran += 1
        elif content[0] == "python" or content[:3] == ["pip", "install", "."]:
            program = install if content[0] == "pip" else [sys.executable, *content[1:]]
            code, output = subprocess_of(program, work, dict(os.environ))
        else:
            raise AssertionError(f"{page}: a plugin page cannot run {content}")
        assert code == 0, f"{content}\n{output}"
    assert ran


@pytest.mark.slow
@pytest.mark.parametrize("page", pages("run"), ids=lambda p: p.stem)
def test_every_command_of_a_page_runs(page, tmp_path):
    """Every command succeeds and shows what the page shows; the files are those of the page."""
    run_page(page, tmp_path)


def test_the_comparison_of_shown_output_can_fail():
    """Numbers that are measured may differ, words and counts may not."""
    assert_shown(["a  1.5 x", "...", "two 3"], "noise\na 2.25 x\nmore\ntwo 3\n")
    for shown, real in (["59 passed"], "58 passed"), (["b", "a"], "a\nb"), (["x 1.5"], "y 1.5"):
        with pytest.raises(AssertionError, match="is not in"):
            assert_shown(shown, real)


def test_links_between_pages_lead_somewhere():
    """Relative links of all pages and the README exist."""
    links = [
        (page, link)
        for page in [ROOT / "README.md", *DOCS.rglob("*.md")]
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
        if "://" not in link
    ]
    assert len(links) > 50
    assert [f"{page}: {link}" for page, link in links if not (page.parent / link).exists()] == []


def test_the_readme_stays_short():
    """Under 120 lines."""
    assert len((ROOT / "README.md").read_text().splitlines()) < 120
