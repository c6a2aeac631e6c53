"""Reading settings: presets, YAML and `--set`, with every mistake shown at once."""

import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import attrs
import cattrs
import numpy as np
from cattrs import AttributeValidationNote, ClassValidationError, IterableValidationNote

from taglm_core.data.textfiles import read_text
from taglm_core.errors import ConfigError, DataError, PluginError, UnknownNameError, nearest
from taglm_core.plugins import Registered, Registry
from taglm_core.specs import Task
from taglm_core.store.fingerprint import default_of, lean
from taglm_core.training.config import RunConfig, TaskStageConfig
from taglm_core.training.paths import anchored
from taglm_core.training.presets import PRESETS
from taglm_core.training.runyaml import kind_at, load_yaml


def read_run_file(path: str | Path) -> dict[str, Any]:
    """Read a run's YAML; files that it names are relative to its own folder.

    Raises:
        ConfigError: when there is no such file, it is no mapping, a key stands twice, or a word
            needs quotes.
    """
    try:
        loaded = load_yaml(read_text(path), str(path), RunConfig)
    except DataError as error:  # a missing file, another encoding
        raise ConfigError(str(error)) from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path}: a run file is a mapping that begins with 'task:'.")
    anchored(loaded, Path(path).parent)
    return loaded


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """Turn `a.b=value` words into a nested mapping; values are read as YAML.

    Of one key the last value counts, so that a command can be changed at its end.

    Raises:
        ConfigError: for a word without '=', or a key that another one holds with another value.
    """
    values: dict[str, tuple[str, Any]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {pair}: write it as key=value, such as seed=1.")
        kind = kind_at(RunConfig, key.strip().split("."))
        values[key.strip()] = pair, load_yaml(value, f"--set {pair}", kind, lines=False)
    found: dict[str, Any] = {}
    for key, (pair, value) in values.items():
        _put(found, key.split("."), value, f"--set {pair}")
    return found


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings whose keys may be dotted or hold double underscores as a nested mapping.

    Args:
        settings: Such as {"stages__task__epochs": 4}, {"stages.task.epochs": 4} or
            {"stages": {"task": {"epochs": 4}}}, which are the same.

    Raises:
        ConfigError: when two keys give one setting.
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        _put(found, key.replace("__", ".").split("."), _plain(value), key)
    return found


def _plain(value: Any) -> Any:
    """Return a setting as YAML would give it: no numpy numbers, no paths."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, PathLike):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def _put(target: dict[str, Any], path: Sequence[str], value: Any, shown: str) -> None:
    """Set a nested key; a mapping joins one that is there.

    Raises:
        ConfigError: when the key, or one above it, has a value already.
    """
    *above, last = path
    for split in above:
        target = target.setdefault(split, {})
        if not isinstance(target, dict):
            raise ConfigError(f"{shown}: '{split}' is set twice. Set it once.")
    if isinstance(value, dict):
        inner = target.setdefault(last, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{shown}: '{last}' is set twice. Set it once.")
        for key, below in value.items():
            _put(inner, [key], below, f"{shown}.{key}")
        return
    if last in target and target[last] != value:
        raise ConfigError(f"{shown}: '{last}' is set twice. Set it once.")
    target[last] = value


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; later layers win."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            held = merged.get(key)
            if isinstance(held, dict) and isinstance(value, Mapping):
                merged[key] = merge(held, value)
            else:
                merged[key] = merge(value) if isinstance(value, Mapping) else value
    return merged


def run_config(
    source: str, *layers: Mapping[str, Any], registry: Registry | None = None
) -> RunConfig:
    """Build the settings of a run from layers, the preset under them all.

    Args:
        source: File or command line, for messages.
        *layers: Nested mappings; later ones win.
        registry: Where the settings that a registered task brings are looked up; they lie under the
            preset and give way to a head that the layers name. None: nowhere.

    Raises:
        ConfigError: listing every unknown key and every wrong value.
    """
    given = merge(*layers)
    if isinstance(given.get("task"), str):
        given["task"] = {"name": given["task"]}
    if isinstance(given.get("tasks"), list | tuple):
        given["tasks"] = [_job(job, given.get("data")) for job in given["tasks"]]
    preset = given.get("preset", "default")
    if preset not in PRESETS:
        raise ConfigError(
            f"{source}: unknown preset {preset!r}.{nearest(str(preset), PRESETS)} Known: "
            f"{', '.join(PRESETS)}."
        )
    values = merge(PRESETS[preset], given)
    if registry is not None:
        values = merge({"stages": {"task": _brought(values, registry)}}, values)
    problems = _problems(values, RunConfig, "")
    if problems:
        raise ConfigError(f"{source}: " + "\n  ".join(problems))
    try:
        return _converter().structure(values, RunConfig)
    except Exception as error:  # cattrs nests what went wrong; every leaf is a mistake to show
        raise ConfigError(f"{source}: " + "\n  ".join(_leaves(error, "", ()))) from error


def brought_settings(task: Registered[Task]) -> Mapping[str, Any]:
    """Return the settings of `stages.task` that a registered task brings.

    Raises:
        PluginError: when there is no such setting, or not of this kind.
    """
    problems = _problems(task.spec.settings, TaskStageConfig, "")
    if problems:
        raise PluginError(f"task {task.name}, settings: " + "\n  ".join(problems))
    return task.spec.settings


def _brought(values: Mapping[str, Any], registry: Registry) -> Mapping[str, Any]:
    """Return the settings of `stages.task` that the only task of a run brings."""
    task = values.get("task")
    if not isinstance(task, Mapping) or task.get("target") is not None:
        return {}
    try:
        registered = registry.tasks.get(str(task.get("name")))
    except UnknownNameError:  # said where the task is resolved
        return {}
    brought = brought_settings(registered)
    stages = values.get("stages", {})
    own = stages.get("task", {}) if isinstance(stages, Mapping) else {}
    if not isinstance(own, Mapping) or "head" in own:
        return {}  # they belong together
    # who asks for epochs means them
    return {key: v for key, v in brought.items() if key != "max_steps" or "epochs" not in own}


def _job(given: Any, data: Any) -> Any:
    """Return one of several tasks with the run's data settings under its own."""
    if isinstance(given, str):
        given = {"task": {"name": given}}
    if not isinstance(given, Mapping):
        return given
    own = given.get("data", {})
    task = given.get("task")
    shared = data if isinstance(data, Mapping) else {}
    return {
        **given,
        **({"task": {"name": task}} if isinstance(task, str) else {}),
        "data": merge(shared, own) if isinstance(own, Mapping) else own,
    }


def _problems(values: Mapping[str, Any], cls: type, path: str) -> list[str]:
    """Return one line for each unknown or missing key and each value of the wrong kind."""
    problems: list[str] = []
    fields = {field.name: field for field in attrs.fields(cls)}
    for key in values:
        if key not in fields:
            known = ", ".join(fields)
            problems.append(
                f"unknown key '{path}{key}'.{nearest(str(key), fields)} Known here: {known}."
            )
    for name, field in fields.items():
        if field.default is attrs.NOTHING and name not in values:
            problems.append(f"the key '{path}{name}' is missing.")
        if name not in values:
            continue
        if values[name] is None:
            if field.type in _PLAIN:  # None is no value of it, such as `seed:` with nothing behind
                word = _PLAIN[field.type][1]
                problems.append(f"'{path}{name}' is empty; it must be {word}, or left out.")
            continue
        problems += _value_problems(values[name], field.type, f"{path}{name}")
    return problems


_PLAIN: dict[type, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "text"),
}
"""Types of single values -> what is accepted, and the word for it."""


def check_kinds(cls: type, path: str = "") -> None:
    """Check that every setting of a class has a type that a run file can give.

    Raises:
        TypeError: naming class, field and type; run when the settings are imported, so that it
            meets whoever adds the field.
    """
    for field in attrs.fields(cls):
        kind = _kind_of(field.type)
        inner = typing.get_args(kind)
        is_names = kind == tuple[str, ...]
        is_mapping = typing.get_origin(kind) is dict and inner[0] is str
        nested = kind
        if typing.get_origin(kind) is tuple and attrs.has(inner[0]) and inner[1:] == (...,):
            nested = inner[0]
        if attrs.has(nested):
            check_kinds(nested, f"{path}{field.name}.")
        elif not (is_names or is_mapping or kind in _PLAIN):
            raise TypeError(
                f"{cls.__name__}.{field.name} ({path}{field.name}): a setting of the type "
                f"{field.type} cannot be read. Use one of {', '.join(t.__name__ for t in _PLAIN)}, "
                "tuple[str, ...], dict[str, ...], a settings class or a tuple of one, each or None."
            )


def plain_defaults(cls: type = RunConfig, path: str = "") -> dict[str, Any]:
    """Return each single setting, such as `stages.task.epochs`, with the value left out as usual.

    Settings without a default, and those of one of several tasks, are not listed.
    """
    found: dict[str, Any] = {}
    for field in attrs.fields(cls):
        kind, default = _kind_of(field.type), default_of(field)
        if attrs.has(kind):
            found |= plain_defaults(kind, f"{path}{field.name}.")
        elif default is not attrs.NOTHING:
            found[f"{path}{field.name}"] = lean(default)
    return found


def _kind_of(kind: Any) -> Any:
    """Return the only type of `T | None`; a union of several stays as it is."""
    if not isinstance(kind, types.UnionType):
        return kind
    options = [option for option in typing.get_args(kind) if option is not types.NoneType]
    return options[0] if len(options) == 1 else kind


def _value_problems(value: Any, kind: Any, path: str) -> list[str]:
    wanted = _kind_of(kind)
    if attrs.has(wanted):
        if not isinstance(value, Mapping):
            return [f"'{path}' must be a mapping, not {value!r}."]
        return _problems(value, wanted, f"{path}.")
    origin = typing.get_origin(wanted)
    if origin is tuple and attrs.has(typing.get_args(wanted)[0]):
        if not isinstance(value, list | tuple):
            return [f"'{path}' must be a list, not {value!r}."]
        kind = typing.get_args(wanted)[0]
        return [p for i, v in enumerate(value) for p in _value_problems(v, kind, f"{path}.{i}")]
    if origin is tuple:
        values = value if isinstance(value, list | tuple) else [value]
        # YAML reads a name such as 1 as a number
        good = all(isinstance(v, str | int | float) and not isinstance(v, bool) for v in values)
        return [] if good else [f"'{path}' must be a list of names, not {value!r}."]
    if origin is dict:
        return [] if isinstance(value, Mapping) else [f"'{path}' must be a mapping."]
    types_, word = _PLAIN[wanted]
    is_wrong = not isinstance(value, types_) or (wanted is not bool and isinstance(value, bool))
    if is_wrong and wanted is str and isinstance(value, int | float):
        return []  # a name such as 1k may be read as a number by YAML
    return [f"'{path}' must be {word}, not {value!r}."] if is_wrong else []


check_kinds(RunConfig)


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    names = (tuple[str, ...], tuple[str, ...] | None)
    converter.register_structure_hook_func(lambda kind: kind in names, _as_names)
    return converter


def _as_names(value: Any, kind: Any) -> "tuple[str, ...] | None":
    if value is None:
        return None
    return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)


def _leaves(error: BaseException, path: str, names: Iterable[str]) -> list[str]:
    """Return what is wrong, a line each; a message that begins with a setting gets its full key.

    Args:
        error: As cattrs nests them.
        path: Key of the settings class that it is about, with a dot behind it.
        names: Settings of this class.
    """
    if isinstance(error, ClassValidationError):
        names = attrs.fields_dict(error.cl)
    if isinstance(error, BaseExceptionGroup):
        return [
            line for inner in error.exceptions for line in _leaves(inner, path + _key(inner), names)
        ]
    text = str(error).split(" @ ")[0]
    return [path + text if text.split(maxsplit=1)[0] in names else text]


def _key(error: BaseException) -> str:
    """Return the key or the place in a list below which an error lies."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return f"{note.name}."
        if isinstance(note, IterableValidationNote):
            return f"{note.index}."
    return ""
