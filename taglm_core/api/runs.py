"""`taglm.run`: train what a task needs, evaluate it, write the run folder."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import attrs

from taglm_core.api.loading import load
from taglm_core.api.request import prepare_run
from taglm_core.errors import ConfigError, no_results
from taglm_core.inference.predictor import Predictor
from taglm_core.inference.report import html_report, html_results
from taglm_core.inference.truth import CENSORED
from taglm_core.progress import Progress, chosen_progress
from taglm_core.store.artifact import nearest_run
from taglm_core.store.runfolder import RunFolder
from taglm_core.training.settings import nested

logger = logging.getLogger(__name__)


@attrs.frozen(repr=False)
class Run:
    """A finished run: its results and its predictor.

    `taglm.run` gives it; `taglm.Run("runs/QED")` opens one that is on disk.
    """

    folder: Path = attrs.field(converter=Path)
    """The run folder."""
    task: str | None = None
    """Which task of a run with several; None: the run's only one, or all of them."""
    _loaded: dict[str, Predictor] = attrs.field(factory=dict, eq=False, init=False)

    def __reduce__(self) -> tuple[type["Run"], tuple[Path, str | None]]:
        return Run, (self.folder, self.task)  # a predictor that was loaded stays behind

    @property
    def metrics(self) -> dict[str, Any]:
        """Contents of metrics.json.

        Raises:
            ConfigError: when the run has not finished.
        """
        metrics = RunFolder(self.folder).metrics
        if metrics is None and not self.folder.is_dir():
            raise ConfigError(f"{self.folder}: no such run.{nearest_run(self.folder)}")
        if metrics is None:
            raise ConfigError(no_results(self.folder))
        if self.task is not None:
            metrics["tasks"] = {self.task: metrics["tasks"][self.task]}
        return metrics

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks."""
        return list(self.metrics["tasks"])

    def of_task(self, name: str) -> "Run":
        """Return one of several tasks as a run of its own.

        Raises:
            ConfigError: when the run has no such task.
        """
        if name not in self.tasks:
            raise ConfigError(f"{self.folder}: no task '{name}'; it has {', '.join(self.tasks)}.")
        return Run(self.folder, name)

    @property
    def predictor(self) -> Predictor:
        """The predictor, loaded on first use.

        Raises:
            ConfigError: when the run has several tasks: `run.of_task(name).predictor`.
        """
        if "predictor" not in self._loaded:
            self._only_task()
            self._loaded["predictor"] = load(self.folder, task=self.task)
        return self._loaded["predictor"]

    @property
    def predictions(self) -> Any:
        """Predictions of the validation and test split: a DataFrame with the column `split`.

        Raises:
            ConfigError: when the run has several tasks: `run.of_task(name).predictions`.
        """
        import pandas

        name = self._only_task()
        inside = self.folder / "tasks" / name
        folder = (inside if inside.is_dir() else self.folder) / "predictions"
        frames = []
        for split in ("valid", "test"):
            file = folder / f"{split}.csv"
            if split == "valid" and not file.is_file():  # of several runs the test rows alone
                continue
            frame = pandas.read_csv(file, keep_default_na=False, na_values=[""], dtype=str)
            if "split" not in frame:  # a run of an older version
                frame.insert(0, "split", split)
            frames.append(frame)
        target = self.metrics["tasks"][name]["target"]
        return _with_numbers(pandas.concat(frames, ignore_index=True), target)

    def _only_task(self) -> str:
        if len(self.tasks) > 1:
            raise ConfigError(
                f"{self.folder} holds the tasks {', '.join(self.tasks)}: choose one by "
                f"run.of_task({self.tasks[0]!r})."
            )
        return self.tasks[0]

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        metrics = self.metrics
        facts = {
            "folder": self.folder,
            "backbone": metrics.get("backbone", {}).get("name"),
            "seed": metrics.get("seed"),
            "seconds": metrics.get("seconds"),
        }
        return html_report(
            f"Run of {', '.join(metrics['tasks'])}", facts, html_results(metrics["tasks"])
        )


def _with_numbers(frame: Any, target: Mapping[str, Any]) -> Any:
    """Turn the columns of numbers into numbers; those of the input and classes stay text."""
    import pandas

    names = list(frame.columns)
    word = target.get("labels", "measured")
    first = f"{next(iter(target.get('names', ())), '')}.{word}"
    numeric = [name for name in names if name in ("row", "line")]
    if target.get("classes") and first not in names:  # probabilities behind two words
        numeric += names[len(names) - names[::-1].index(word) + 1 :]
    elif target.get("names"):
        numeric += names[names.index(first) :]
    for name in [name for name in numeric if not name.endswith(CENSORED)]:
        frame[name] = pandas.to_numeric(frame[name])
    return frame


def run(
    task: Any,
    data: Any = None,
    *,
    target: "str | Sequence[str] | None" = None,
    backbone: str | None = None,
    out: "str | PathLike[str] | None" = None,
    progress: Progress | bool | None = None,
    log_to: "str | Sequence[str]" = (),
    **settings: Any,
) -> Run:
    """Train what a task needs, evaluate it, and write the run folder, as `taglm run` does.

    The same arguments return the finished run, or continue one that was interrupted.

    Args:
        task: A registered task, such as "QED"; several of them in a list; the path of a run file
            (YAML); or a mapping: the keys of `task` of a run file, or a whole run file. Or a
            table, as a path such as "lab.csv" or a DataFrame: its columns and their contents then
            decide the task, and what was decided is said.
        data: Rows: a DataFrame, a dict of columns, a `datasets.Dataset`, or the path of a table;
            None: the task's own dataset. Rows in memory are kept in the run folder, in a file named
            by their content, so that changed rows count as changed settings.
        target: Column to predict, or several, when `task` is a table, such as "LogS (mol/L)".
        backbone: Registered name, folder, GGUF file or Hub id; None: "nano", or what the run file
            says.
        out: Run folder; None: runs/TASK.
        progress: True or False: with or without bars; None: bars in notebooks and terminals; or an
            object that receives progress.
        log_to: Logger that receives losses and scores while the run trains, such as "tensorboard",
            or several; it has no effect on results.
        **settings: Any setting, as after `--set`: nested (`stages={"task": {"epochs": 4}}`), with
            double underscores (`stages__task__epochs=4`) or dotted in a dict
            (`**{"stages.task.epochs": 4}`).

    Raises:
        ConfigError: listing every unknown key and every wrong value.
        CheckpointError: when the folder holds a run of other settings or data.
        DataError: when rows cannot be used.

    Examples:
        taglm.run("QED", preset="quick", out="runs/quick").metrics
        taglm.run("lab.csv", target="LogS (mol/L)").predictor
    """
    prepared = prepare_run(
        task,
        data,
        target=target,
        out=out,
        settings=_layers(backbone, settings),
        log_to=(log_to,) if isinstance(log_to, str) else log_to,
    )
    for failure in prepared.registry.failures:
        logger.warning("%s", failure)
    metrics = prepared.execute(chosen_progress(progress))
    for warning in metrics.get("warnings", []):
        logger.warning("%s", warning)
    return Run(prepared.folder.path)


def train(
    task: Any,
    data: Any = None,
    *,
    target: "str | Sequence[str] | None" = None,
    backbone: str | None = None,
    progress: Progress | bool | None = None,
    **settings: Any,
) -> Predictor:
    """Train what a task needs and return its predictor, without evaluation or run folder.

    Domain tags come from the tag store, or are trained once and stored there. The data need the
    three splits all the same; test rows are not predicted.

    Args:
        task: As for `run`, one task.
        data: As for `run`.
        target: As for `run`.
        backbone: As for `run`.
        progress: As for `run`.
        **settings: As for `run`.

    Raises:
        TaglmError: as `run` does.

    Example:
        taglm.train("QED", preset="quick").predict(["CCO"])
    """
    with tempfile.TemporaryDirectory(prefix="taglm-") as folder:
        prepared = prepare_run(
            task,
            data,
            target=target,
            out=Path(folder) / "run",
            settings=_layers(backbone, settings),
            source="taglm.train",
        )
        if len(prepared.config.jobs()) > 1:
            raise ConfigError("taglm.train takes one task; taglm.run takes several.")
        return prepared.train(chosen_progress(progress))


def _layers(backbone: str | None, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"backbone": backbone} if backbone is not None else {}, nested(settings)]
