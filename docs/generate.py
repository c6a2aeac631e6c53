"""Write the reference pages that are made from the code: settings, commands, API, messages, ...

Run `python docs/generate.py`; a test fails when the pages differ from the code.
"""

import ast
import inspect
import itertools
import os
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import attrs

from taglm_core.specs.target import TARGETS

sys.path.insert(0, str(Path(__file__).parent))
from messages import messages_page

REFERENCE = Path(__file__).parent / "reference"
COMMANDS = ["run", "init", "predict", "evaluate", "sample", "condition", "identify", "plugins"]
COMMANDS += ["doctor"]
COMMANDS += ["runs", "runs list", "runs show", "runs rm"]
COMMANDS += ["backbone", "backbone list", "backbone show"]
COMMANDS += ["tags", "tags list", "tags show", "tags rm", "tags prune"]
COMMANDS += ["check-plugin", "new-plugin"]
PLUGIN_COMMANDS = {
    "serve": ["serve"],
    "studies": ["data", "data check", "data split", "report", "compare", "ablate", "sweep"],
    "translation": ["directions"],
}
"""Plugin -> its commands."""


def settings_page() -> str:
    """Return the page of settings, from the classes and their field comments."""
    from taglm_core.training import config, presets

    intro = "Keys of a run file, and of `--set KEY=VALUE`. Generated from the code."
    lines = ["# Settings", "", intro, ""]
    _add_settings(config.RunConfig, "", lines)
    lines += ["## Presets", "", "Defaults that `--preset NAME` replaces.", ""]
    for name, values in presets.PRESETS.items():
        lines.append(f"- `{name}`: `{values}`" if values else f"- `{name}`: the defaults above")
    return "\n".join(lines) + "\n"


TASKS = (
    "Several tasks instead of `task`: a list of {task, data} with the same keys as `task` and "
    "`data` below; a key missing in a task's `data` comes from the run's `data`. Tasks that "
    "name the same function tag train it together."
)


def _add_settings(cls: type, path: str, lines: list[str]) -> None:
    from taglm_core.training import config

    title = path.rstrip(".") or "Run"
    rows, nested = [], []
    notes = _notes(cls)
    for field in attrs.fields(cls):
        options = [field.type, *getattr(field.type, "__args__", ())]
        inner = next((o for o in options if isinstance(o, type) and attrs.has(o)), None)
        if inner is config.JobConfig:  # its keys have their place under `task` and `data`
            rows.append(f"| `{path}{field.name}` | `[]` | {TASKS} |")
            continue
        if inner is not None:
            nested.append((inner, f"{path}{field.name}."))
            continue
        default = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = default.factory()
        shown = "required" if default is attrs.NOTHING else f"`{default!r}`"
        meaning = notes.get(field.name, "").replace("|", "\\|")
        rows.append(f"| `{path}{field.name}` | {shown} | {meaning} |")
    if rows:
        lines += [
            f"## {title}",
            "",
            "| key | default | meaning |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
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
            note = (
                "Names of the targets; None: the task's name, or the columns if there are several."
            )
        found[field.name] = f"({', '.join(kinds)}) {note}"
    return found


def commands_page() -> str:
    """Return the page of commands, from their help texts."""
    from typer.testing import CliRunner

    from taglm_core.cli.main import build_app

    intro = "The help texts of the program and of the plugins in this repository."
    lines = ["# Commands", "", f"{intro} Generated from the code.", ""]
    places = [("", command) for command in ["", *COMMANDS]]
    places += [(plugin, command) for plugin, held in PLUGIN_COMMANDS.items() for command in held]
    for plugin, command in places:
        words = [*command.split(), "--help"]
        argv = mock.patch.object(sys, "argv", ["taglm", *words])  # tells which command is imported
        with argv, mock.patch.dict(os.environ, {"TAGLM_PLUGINS": plugin}):
            app = build_app()
        shown = CliRunner().invoke(app, words, prog_name="taglm", env={"COLUMNS": "100"})
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
What every object that a plugin registers must fulfill, checked by `taglm check-plugin NAME` and by
the fixture `plugin_check` of the pytest plugin that comes with taglm
([first plugin](../tutorial/first-plugin.md)). From Python, `taglm_core.testing.check_plugin(name)`
returns one outcome for each check: `kind`, `object`, `check`, `outcome` (passed, failed or
skipped) and `reason`, which says what to fix. The checks take their rows from the corpus of the
domain, else from a dataset of the plugin that holds its field, else from random symbols. A check of
an optional function, such as `draw`, runs only if the function is given. To run one check:
`pytest -k "encoder and round_trip"`. Generated from the code."""

API_INTRO = """\
Everything that `import taglm` gives. Importing it takes well under a second and loads neither torch
nor a plugin; names are imported on first use. The commands of `taglm` call the same functions.
Generated from the docstrings."""

API = {
    "Train and load": [
        "run",
        "train",
        "load",
        "load_together",
        "Run",
        "Predictor",
        "Predictors",
        "Written",
    ],
    "Evaluate": ["evaluate", "Evaluation"],
    "Domain tags": ["sample", "Sample", "condition", "identify", "Identification"],
    "Backbones": ["backbones.list", "backbones.show"],
    "Tag store": ["tags.list", "tags.show", "tags.get"],
    "Plugins": ["plugins"],
    "scikit-learn": ["TagRegressor", "TagClassifier"],
}


def api_page() -> str:
    """Return the page of the Python API, from its docstrings."""
    import taglm
    from taglm_core.inference.files import Written

    lines = ["# Python API", "", API_INTRO, ""]
    for title, names in API.items():
        lines += [f"## {title}", ""]
        for name in names:
            shown = Written if name == "Written" else _public(taglm, name)
            lines += _documented(shown, f"taglm.{name}" if name != "Written" else name, "###")
            if inspect.isclass(shown):
                for method, value in _members(shown):
                    lines += _documented(value, f"{name}.{method}", "####")
    specs = ", ".join(f"`taglm.{name}`" for name in sorted(taglm_core_names()))
    return "\n".join([*lines, "## For plugins", "", specs, "", "See [hooks](hooks.md).", ""])


def taglm_core_names() -> list[str]:
    """Return what plugins declare."""
    import taglm_core

    return list(taglm_core.__all__)


def _public(module: object, name: str) -> object:
    for part in name.split("."):
        module = getattr(module, part)
    return module


_OF_CORE = dict.fromkeys(["predict_table", "tag_columns"])
"""Methods that the core calls; a caller has no table of its kind."""


def _members(cls: type) -> list[tuple[str, object]]:
    """Return public attributes, properties and methods of a class in the order of its source."""
    fields = attrs.fields_dict(cls) if attrs.has(cls) else {}
    found: list[tuple[str, object]] = []
    for base in _own_classes(cls):
        for name, value in vars(base).items():
            is_public = not name.startswith("_") and name not in fields | _OF_CORE
            if is_public and (inspect.isfunction(value) or isinstance(value, property)):
                found.append((name, value))
    return list(dict(found).items())


def _own_classes(cls: type) -> list[type]:
    """Return a class and those of the same package that it extends."""
    package = cls.__module__.partition(".")[0]
    return [base for base in cls.__mro__ if base.__module__.partition(".")[0] == package]


def _documented(shown: object, name: str, level: str) -> list[str]:
    """Return heading, signature and docstring of a function, a class or a property."""
    lines = [f"{level} {name}", ""]
    if inspect.isclass(shown) and attrs.has(shown):
        notes = {name: note for base in _own_classes(shown) for name, note in _notes(base).items()}
        held = [f.name for f in attrs.fields(shown) if f.name in notes]
        fields = [f"- `{field}`: {notes[field]}" for field in held]
        return [*lines, *_sections(inspect.getdoc(shown) or ""), "", *fields, ""]
    if callable(shown):  # a property is not
        lines += ["```python", _signature(shown, name), "```", ""]
    return [*lines, *_sections(inspect.getdoc(shown) or ""), ""]


def _signature(shown: Callable[..., Any], name: str) -> str:
    """Return a signature, without self and modules; a long one with one parameter a line."""
    signature = inspect.signature(shown)
    given = [p for p in signature.parameters.values() if p.name != "self"]
    words = [_parameter(p) for p in given]
    named = [i for i, p in enumerate(given) if p.kind is p.KEYWORD_ONLY]
    if named:
        words.insert(named[0], "*")
    result = signature.return_annotation
    end = ")" if result is inspect.Signature.empty else f") -> {_annotation(result)}"
    short = f"{name}({', '.join(words)}{end}"
    if len(short) <= 90:
        return short
    return "\n    ".join([f"{name}(", *[f"{word}," for word in words]]) + f"\n{end}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = f"{stars}{parameter.name}"
    if parameter.annotation is not parameter.empty:
        text += f": {_annotation(parameter.annotation)}"
    return text if parameter.default is parameter.empty else f"{text} = {parameter.default!r}"


def _annotation(kind: Any) -> str:
    text = kind if isinstance(kind, str) else inspect.formatannotation(kind)
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)


def _sections(doc: str) -> list[str]:
    """Return a Google docstring as Markdown."""
    lines: list[str] = []
    section = ""
    for line in doc.splitlines():
        head = re.fullmatch(r"(Args|Returns|Raises|Example|Attributes):", line)
        if head is not None:
            lines += ["```"] if section == "Example" else []
            section = head.group(1)
            lines += [f"**{section}**", ""] + (["```python"] if section == "Example" else [])
        elif not section:
            lines.append(line)
        elif section == "Example":
            lines.append(line.removeprefix("    "))
        elif section != "Returns" and (item := re.fullmatch(r"    (\*{0,2}\w+): (.*)", line)):
            lines.append(f"- `{item.group(1)}`: {item.group(2)}")
        else:
            indent = "" if section == "Returns" or not line.strip() else "  "
            lines.append(indent + line.strip())
    return [*lines, "```"] if section == "Example" else lines


PAGES = {"settings.md": settings_page, "commands.md": commands_page, "contract.md": contract_page}
PAGES |= {"api.md": api_page, "messages.md": messages_page}


def main() -> None:
    """Write the pages."""
    os.environ["TAGLM_PLUGINS"] = ""  # the pages show the core alone
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
