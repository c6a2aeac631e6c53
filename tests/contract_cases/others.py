"""Broken backbones, commands, baselines, events, and plugins that do not register."""

import contextlib
import types

import numpy as np
import typer

import taglm_core as taglm
import taglm_core.errors as taglm_errors
from contract_cases import Case, heavy, plugin, slow
from taglm_core.plugin import import_object, open_text


def empty_folder():
    """Return a folder without a model."""
    return "/nowhere"


def needs_more():
    """Raise while help is shown."""
    raise RuntimeError("no database")


broken_app = typer.Typer()


def backbone(check, match, path, license="MIT"):
    """Return a case of a backbone."""
    made = taglm.Backbone(name="own", path=path, description="Tiny.", license=license)
    return Case(kind="backbone", check=check, match=match, plugin=plugin(backbones=[made]))


def tag_folder(check, match, path):
    """Return a case of a folder of trained tags."""
    made = taglm.TagFolder(name="own", path=path, description="None.")
    return Case(kind="tag_folder", check=check, match=match, plugin=plugin(tag_folders=[made]))


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


def reader(check, match, function="good_batches", example="a\nb\n", **changes):
    """Return a case of a reader whose function is named in this module."""
    given = {"name": "own", "read_batches": f"{__name__}:{function}", "example": example}
    made = taglm.Reader(**{**given, **changes})
    return Case(kind="reader", check=check, match=match, plugin=plugin(readers=[made]))


def logger(check, match, function="Deaf", description="nowhere"):
    """Return a case of a logger whose factory is named in this module."""
    made = taglm.Logger(name="own", open=f"{__name__}:{function}", description=description)
    return Case(kind="logger", check=check, match=match, plugin=plugin(loggers=[made]))


class Deaf:
    """Forget to end."""

    def __init__(self, folder, settings):
        self.settings = settings

    def log(self, stage, step, values):
        """Hear nothing."""


def engine(check, match, function="Forgets", description="nowhere"):
    """Return a case of an engine whose workers are named in this module."""
    made = taglm.Engine(name="own", open=f"{__name__}:{function}", description=description)
    return Case(kind="engine", check=check, match=match, plugin=plugin(engines=[made]))


class Forgets:
    """Answer the first call only."""

    nodes, count, shared_bytes = ("here",), 1, 0

    def __init__(self, address, workers):
        self.made = None

    def start(self, factory, arguments):
        """Make the object."""
        self.made = import_object(factory, "engine")(**arguments)

    def run(self, calls):
        """Forget the rest."""
        call = next(iter(calls))
        yield 0, getattr(self.made, call.method)(*call.arguments)

    def close(self):
        """End."""


class Swallows(Forgets):
    """Say nothing of an error."""

    def run(self, calls):
        """Go on."""
        for number, call in enumerate(calls):
            with contextlib.suppress(taglm_errors.DataError):
                arguments = (*call.arguments, *call.shared("here"))
                yield number, getattr(self.made, call.method)(*arguments)


def lines_of(path):
    """Return the lines of a text file."""
    with open_text(path) as file:
        return [line.rstrip("\n") for line in file]


def good_batches(path, batch_size):
    """Give one row for each line."""
    lines = lines_of(path)
    for start in range(0, len(lines), batch_size):
        yield {"line": lines[start : start + batch_size]}


def all_at_once(path, batch_size):
    """Forget the size of a batch."""
    yield {"line": lines_of(path)}


def numbered_again(path, batch_size):
    """Count from the beginning in each batch."""
    for batch in good_batches(path, batch_size):
        yield {**batch, "number": list(range(len(batch["line"])))}


def without_names(path, batch_size):
    """Forget the name of the column."""
    yield {"": lines_of(path)}


def plain_only(path, batch_size):
    """Open the file without a look at its compression."""
    yield {"line": path.read_bytes().split()}


def ascii_only(path, batch_size):
    """Fail on any other character."""
    yield {"line": [line.encode("ascii") for line in lines_of(path)]}


def whole(match, made):
    """Return a case of a plugin that registers with failures."""
    return Case(kind="plugin", check="registers", match=match, plugin=made)


misspelt = types.SimpleNamespace(register_tusks=taglm.hookimpl(lambda: []))
misspelt.register_tusks.__name__ = "register_tusks"
not_a_task = plugin(tasks=["QED"])

CASES = [
    backbone("source", "/nowhere holds no config.json", f"{__name__}:empty_folder"),
    tag_folder("tags_load", "/nowhere holds no BACKBONE_KEY", f"{__name__}:empty_folder"),
    backbone("source", "give a Hub id such as 'owner/name'", "https://example.org/model"),
    backbone("described", "`license` is empty", "owner/name", license=""),
    command("word_free", "`taglm run` is a command of the core", name="run"),
    command("help_shown", "`help` is empty", help=" "),
    command(
        "help_shown",
        "cannot be used as a program: Could not get a command",
        app=f"{__name__}:broken_app",
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
    reader("extensions_free", r"the core reads \['tab'\] itself", extensions="tab"),
    reader("example_read", "holds 1 row; give two or more", example="a\n"),
    reader("example_read", "are not all named", "without_names"),
    reader("batches_agree", "more rows than `batch_size`", "all_at_once"),
    reader("batches_agree", "other columns or cells", "numbered_again"),
    reader("compressed_read", "the compressed example gives other cells", "plain_only"),
    engine("described", "`description` is empty", description=" "),
    engine("calls_answered", r"expected \(number, result\)"),
    engine("calls_answered", "does not raise what a call raised", "Swallows"),
    logger("described", "`description` is empty", description=" "),
    logger("steps_taken", "which has no method `close`"),
    reader("odd_files", "failed on .*UnicodeEncodeError", "ascii_only"),
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
