"""Broken backbones, commands, baselines, events, and plugins that do not register."""

import types

import numpy as np
import typer

import taglm_core as taglm
from contract_cases import Case, heavy, plugin, slow


def empty_folder():
    """Return a folder without a model."""
    return "/nowhere"


def needs_more():
    """Raise while help is shown."""
    raise RuntimeError("no database")


broken_app = typer.Typer()


def backbone(check, match, path, licence="MIT"):
    """Return a case of a backbone."""
    made = taglm.Backbone(name="own", path=path, description="Tiny.", licence=licence)
    return Case(kind="backbone", check=check, match=match, plugin=plugin(backbones=[made]))


def command(check, match, name="own", help="Do it.", app=f"{__name__}:needs_more"):
    """Return a case of a command."""
    made = taglm.Command(name=name, help=help, app=app)
    return Case(kind="command", check=check, match=match, plugin=plugin(commands=[made]))


def event(check, match, answer):
    """Return a case of a plugin that answers an evaluation."""

    def on_evaluated(event):
        return answer(event)

    made = types.SimpleNamespace(on_evaluated=taglm.hookimpl(on_evaluated))
    return Case(kind="event", check=check, match=match, plugin=made)


def needs_unit(event):
    """Divide by what classes do not have."""
    event.target.unit / 2


def baseline(check, match, function, **changes):
    """Return a case of a baseline whose function is named in this module."""
    made = taglm.Baseline(name="own", function=f"{__name__}:{function}", **changes)
    return Case(kind="baseline", check=check, match=match, plugin=plugin(baselines=[made]))


def flat(data):
    """Forget the axis of the targets."""
    return taglm.BaselineResult({s: h.truth[:, 0] for s, h in data.splits.items()})


def train_only(data):
    """Predict what nobody asks for."""
    return taglm.BaselineResult({"train": np.zeros_like(data.splits["train"].truth)})


def no_probabilities(data):
    """Give class indices."""
    return taglm.BaselineResult({s: h.truth for s, h in data.splits.items()})


def unseeded(data):
    """Draw from nobody's seed."""
    draw = np.random.default_rng().normal
    return taglm.BaselineResult({s: draw(size=h.truth.shape) for s, h in data.splits.items()})


def cheats(data):
    """Predict the truth of every split."""
    return taglm.BaselineResult({s: h.truth for s, h in data.splits.items()})


def whole_mapping(data):
    """Forget the class of the answer."""
    return {s: h.truth for s, h in data.splits.items()}


def whole(match, made):
    """Return a case of a plugin that registers with failures."""
    return Case(kind="plugin", check="registers", match=match, plugin=made)


misspelt = types.SimpleNamespace(register_tusks=taglm.hookimpl(lambda: []))
misspelt.register_tusks.__name__ = "register_tusks"
not_a_task = plugin(tasks=["QED"])

CASES = [
    backbone("source", "/nowhere holds no config.json", f"{__name__}:empty_folder"),
    backbone("source", "give a Hub id such as 'owner/name'", "https://example.org/model"),
    backbone("described", "`licence` is empty", "owner/name", licence=""),
    command("word_free", "`taglm run` is a command of the core", name="run"),
    command("help_shown", "`help` is empty", help=" "),
    command(
        "help_shown", "is no usable program: Could not get a command", app=f"{__name__}:broken_app"
    ),
    event("hears_regression", r"returns \[7\]; return None", lambda event: 7),
    event("hears_classes", "raised AttributeError", needs_unit),
    baseline("predicts_regression", r"has the shape \(40,\), expected \(40, 1\)", "flat"),
    baseline("predicts_regression", r"splits \['train'\] are predicted", "train_only"),
    baseline("predicts_regression", "return a taglm.BaselineResult", "whole_mapping"),
    baseline(
        "predicts_classes",
        r"expected \(40, 2\)",
        "no_probabilities",
        kinds="classification",
    ),
    baseline("repeatable", "draw random numbers from `data.seed`", "unseeded"),
    baseline("ignores_test", "predictions of test change with the truth of test", "cheats"),
    whole("register_tusks: unknown hook", misspelt),
    whole("register_tasks: item 1: gave 'QED' of type str, expected Task", not_a_task),
    Case(
        kind="plugin",
        check="imports_nothing_heavy",
        match="registering imports numpy",
        plugin=heavy,
    ),
    Case(
        kind="plugin",
        check="registers_fast",
        match="of processor time, 0.2 s are allowed",
        plugin=slow,
    ),
]
