"""Writing a run file: the settings that a command amounts to, with comments."""

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from taglm_core.data.atomic import check_writable, write_text
from taglm_core.errors import ConfigError
from taglm_core.training.paths import portable

_COMMENTS = {
    "task": "What is predicted. A name alone, such as QED, is a registered task.",
    "task.template": "The prompt: <Tag>{field} are data of a domain; the last tag is the function "
    "tag,\nwhich is trained.",
    "task.target": "kind: regression for numbers, classification for classes.",
    "task.censored_below": 'A value of at most this, such as <-5, means "at most this".',
    "data": "Source of the rows; paths of files are relative to this file.",
    "data.columns": "Field of the template: column of the file.",
    "data.split": "How rows are assigned to train, valid and test. Default: the splitter of\n"
    "the domain, which keeps similar rows in one split.",
    "data.on_error": "skip: invalid rows are skipped and listed in rejected.csv; raise: the first\n"
    "one stops the run.",
}
"""Dotted setting -> what is written above it."""

_MORE = """
# More settings; docs/reference/settings.md lists all of them.
# preset: quick                   # small and fast, to try things
# seed: 1
# baselines: mean,ridge,boosting  # those to fit
# stages: {task: {epochs: 10}}    # train longer
"""


def run_file_text(settings: Mapping[str, Any], remarks: Sequence[str] = ()) -> str:
    """Return a run file with comments.

    Args:
        settings: Nested settings.
        remarks: What was decided for the user; they stand at the top.
    """
    lines = [f"# {remark}" for remark in remarks] + ([""] if remarks else [])
    for key, value in settings.items():
        lines += _lines(key, value, "", 0)
    return "\n".join(lines) + "\n" + _MORE


def _lines(key: str, value: Any, above: str, depth: int) -> list[str]:
    """Return the lines of a setting; mappings that hold no mapping stand on one line."""
    path, indent = f"{above}{key}", "  " * depth
    lines = [f"{indent}# {line}" for line in _COMMENTS.get(path, "").splitlines()]
    is_section = isinstance(value, Mapping) and (
        depth == 0 or any(isinstance(inner, Mapping) for inner in value.values())
    )
    if not is_section or not isinstance(value, Mapping):
        return [*lines, f"{indent}{_value(key)}: {_value(value)}"]
    lines.append(f"{indent}{_value(key)}:")
    for inner, held in value.items():
        lines += _lines(inner, held, f"{path}.", depth + 1)
    return lines


def _value(value: Any) -> str:
    """Return a value as YAML on one line."""
    text: str = yaml.safe_dump(
        _plain(value), default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6
    )
    return text.removesuffix("...\n").rstrip("\n")


def _plain(value: Any) -> Any:
    """Return a value without tuples, which YAML writes in a way of its own."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def check_run_file(path: Path) -> None:
    """Check that a run file can be put at `path`, before any work is done for it.

    Raises:
        ConfigError: when its name does not end in .yaml.
        DataError: when its folder does not exist, or something else than a file is there.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{path}: a run file's name must end in .yaml, such as {path.stem}.yaml.")
    check_writable(path)


def write_run_file(path: Path, settings: Mapping[str, Any], remarks: Sequence[str] = ()) -> None:
    """Write a run file; running it from anywhere is the run of these settings.

    Args:
        path: The file, which may exist only with the same content.
        settings: Nested settings, paths from the working folder.
        remarks: As for `run_file_text`.

    Raises:
        ConfigError: when another file is in the way, or its name does not end in .yaml.
        DataError: when its folder does not exist.
    """
    check_run_file(path)
    plain = copy.deepcopy(_plain(settings))
    portable(plain, Path(os.path.abspath(path)).parent)
    text = run_file_text(plain, remarks)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ConfigError(f"{path} exists and was not changed. Name another, or remove it first.")
    write_text(path, text)
