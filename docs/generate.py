"""Write the reference pages that are made from the code: commands and settings.

Run `python docs/generate.py`; a test fails when the pages differ from the code.
"""

import ast
import inspect
import itertools
import textwrap
from pathlib import Path

import attrs

from taglm_core.specs.target import TARGETS

REFERENCE = Path(__file__).parent / "reference"
COMMANDS = ["run", "predict", "evaluate", "sample", "identify", "plugins", "doctor", "tags"]
COMMANDS += ["tags list", "tags show", "check-plugin", "new-plugin"]


def settings_page() -> str:
    """Return the page of settings, from the classes and their field comments."""
    from taglm_core.training import config

    intro = "Keys of a run file, and of `--set KEY=VALUE`. Made from the code."
    lines = ["# Settings", "", intro, ""]
    _add_settings(config.RunConfig, "", lines)
    lines += ["## Presets", "", "Values that the settings start from.", ""]
    for name, values in config.PRESETS.items():
        lines.append(f"- `{name}`: `{values}`" if values else f"- `{name}`: the defaults above")
    return "\n".join(lines) + "\n"


def _add_settings(cls: type, path: str, lines: list[str]) -> None:
    title = path.rstrip(".") or "Run"
    lines += [f"## {title}", "", "| key | default | meaning |", "| --- | --- | --- |"]
    nested = []
    notes = _notes(cls)
    for field in attrs.fields(cls):
        options = [field.type, *getattr(field.type, "__args__", ())]
        inner = next((option for option in options if attrs.has(option)), None)
        if inner is not None:
            nested.append((inner, f"{path}{field.name}."))
            continue
        default = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = default.factory()
        shown = "required" if default is attrs.NOTHING else f"`{default!r}`"
        meaning = notes.get(field.name, "").replace("|", "\\|")
        lines.append(f"| `{path}{field.name}` | {shown} | {meaning} |")
    lines.append("")
    for inner, below in nested:
        _add_settings(inner, below, lines)


def _notes(cls: type) -> dict[str, str]:
    """Return the string under each field of a class."""
    if cls.__name__ == "TargetConfig":  # made of the fields of every kind of target
        return _target_notes(cls)
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, note in itertools.pairwise(body.body):
        if isinstance(field, ast.AnnAssign) and isinstance(note, ast.Expr):
            assert isinstance(field.target, ast.Name)
            found[field.target.id] = " ".join(ast.literal_eval(note.value).split())
    return found


def _target_notes(cls: type) -> dict[str, str]:
    """Return what each setting of a declared target means, and of which kinds it is one."""
    found = {"kind": f"One of {', '.join(TARGETS)}."}
    for field in attrs.fields(cls)[1:]:
        kinds = [
            kind for kind, target in TARGETS.items() if field.name in attrs.fields_dict(target)
        ]
        note = _notes(TARGETS[kinds[0]])[field.name]
        if field.name == "names":
            note = "Names of the targets; None: the task's name, or the columns when several."
        found[field.name] = f"({', '.join(kinds)}) {note}"
    return found


def commands_page() -> str:
    """Return the page of commands, from their help texts."""
    from typer.testing import CliRunner

    from taglm_core.cli.main import build_app

    lines = ["# Commands", "", "The help texts of the program. Made from the code.", ""]
    for command in ["", *COMMANDS]:
        runner = CliRunner()
        shown = runner.invoke(
            build_app(), [*command.split(), "--help"], prog_name="taglm", env={"COLUMNS": "100"}
        )
        text = "\n".join(line.rstrip() for line in shown.output.strip().splitlines())
        lines += [f"## taglm {command}".rstrip(), "", "```text", text, "```", ""]
    return "\n".join(lines)


def contract_page() -> str:
    """Return the page of contract checks, from their docstrings."""
    from taglm_core.testing.contract.suite import RULES

    lines = ["# Contract", "", CONTRACT_INTRO, ""]
    for kind, rules in RULES.items():
        lines += [f"## {kind}", "", "| check | what must hold |", "| --- | --- |"]
        lines += [f"| `{rule.name}` | {rule.summary} |" for rule in rules]
        lines.append("")
    return "\n".join(lines)


CONTRACT_INTRO = """\
What every object that a plugin registers must keep, checked by `taglm check-plugin NAME` and by
the fixture `plugin_check` of the pytest plugin that comes with taglm
([first plugin](../tutorial/first-plugin.md)). From Python, `taglm_core.testing.check_plugin(name)`
returns one outcome for each check: `kind`, `object`, `check`, `outcome` (passed, failed or
skipped) and `reason`, which says what to mend. Rows to try an object with come from the corpus of
its domain, else from a dataset of the plugin that holds its field, else from random symbols. Checks
of optional parts, such as `draw`, are made where the part is there. One check alone:
`pytest -k "encoder and round_trip"`. Made from the code."""

PAGES = {"settings.md": settings_page, "commands.md": commands_page, "contract.md": contract_page}


def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
