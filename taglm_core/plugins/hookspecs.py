"""The hooks that a plugin may implement. Each `register_` hook returns a list, or None."""

from typing import Any

import pluggy

from taglm_core.specs import (
    Backbone,
    Baseline,
    Command,
    Dataset,
    Domain,
    Engine,
    Evaluated,
    Head,
    Logger,
    Metric,
    Reader,
    RowsLoaded,
    RunFinished,
    Splitter,
    StageStarted,
    TagFolder,
    Task,
    Template,
)

hookspec = pluggy.HookspecMarker("taglm")
hookimpl = pluggy.HookimplMarker("taglm")


@hookspec
def register_domains() -> list[Domain] | None:
    """Return the domains that the plugin provides."""


@hookspec
def register_tasks() -> list[Task] | None:
    """Return the tasks that the plugin provides."""


@hookspec
def register_templates() -> list[Template] | None:
    """Return further prompts of tasks, the plugin's own or another's."""


@hookspec
def register_datasets() -> list[Dataset] | None:
    """Return the datasets that the plugin makes or fetches."""


@hookspec
def register_metrics() -> list[Metric] | None:
    """Return the metrics that the plugin provides."""


@hookspec
def register_heads() -> list[Head] | None:
    """Return the heads that the plugin provides."""


@hookspec
def register_splitters() -> list[Splitter] | None:
    """Return the splits that the plugin provides."""


@hookspec
def register_backbones() -> list[Backbone] | None:
    """Return the backbones that the plugin knows by a short name."""


@hookspec
def register_commands() -> list[Command] | None:
    """Return further commands of the `taglm` program."""


@hookspec
def register_baselines() -> list[Baseline] | None:
    """Return the baselines that the plugin provides."""


@hookspec
def register_readers() -> list[Reader] | None:
    """Return the file formats that the plugin reads as tables."""


@hookspec
def register_loggers() -> list[Logger] | None:
    """Return the loggers that the plugin provides."""


@hookspec
def register_engines() -> list[Engine] | None:
    """Return the engines that the plugin provides."""


@hookspec
def register_tag_folders() -> list[TagFolder] | None:
    """Return the folders of trained domain tags that travel with the plugin."""


@hookspec
def on_rows_loaded(event: RowsLoaded) -> dict[str, Any] | None:
    """Hear that a task's rows have been read and split, before anything is trained.

    Return `{"summary": [line], "report": {...}}` to say what was found; None says nothing.
    """


@hookspec
def on_stage_started(event: StageStarted) -> None:
    """Hear that a stage is about to train."""


@hookspec
def on_evaluated(event: Evaluated) -> None:
    """Hear that a task with numbers or classes was evaluated, and its baselines with it."""


@hookspec
def on_run_finished(event: RunFinished) -> None:
    """Hear that a run has ended and everything is written."""
