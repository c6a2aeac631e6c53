"""A run before it begins: its settings, read and checked, and what it does with them."""

import contextlib
import functools
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from taglm_core.api.members import Member, Shared, execute_members, members_of
from taglm_core.data.atomic import jsonable
from taglm_core.data.digests import path_digest
from taglm_core.data.inputs import recorded
from taglm_core.data.table import Table
from taglm_core.data.writers import TableWriter
from taglm_core.errors import ConfigError, TaglmError
from taglm_core.inference.loading import load_predictor
from taglm_core.inference.predictor import Predictor
from taglm_core.plugins import Registry
from taglm_core.progress import Progress, Silent, progress_bar, reporting
from taglm_core.specs import RunFinished
from taglm_core.specs.fields import seconds_of
from taglm_core.store.environment import ENVIRONMENT, environment
from taglm_core.store.fingerprint import fingerprint_of
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.training import processes
from taglm_core.training.budget import PLAN, TimeBudget
from taglm_core.training.config import RunConfig
from taglm_core.training.loggers import find_loggers, logging_to
from taglm_core.training.paths import BACKBONE, backbone_digest, named_inputs
from taglm_core.training.plan import Plan, make_plans
from taglm_core.training.recipe import Recipe, recipe_of
from taglm_core.training.run import execute, refit, resolved, train_only
from taglm_core.training.runfile import write_run_file

logger = logging.getLogger(__name__)

OnPlans = Callable[[Sequence[Plan]], None]


@attrs.frozen(kw_only=True)
class PreparedRun:
    """Settings of a run, read and checked, before any data are read."""

    config: RunConfig
    registry: Registry
    folder: RunFolder
    store: TagStore = attrs.field(
        default=attrs.Factory(lambda self: TagStore.of(self.registry), takes_self=True)
    )
    table: Table | None = None
    """Rows that were given in memory; None: the settings name their file."""
    given: Mapping[str, Any] = attrs.field(factory=dict)
    """The settings that were given, as the content of a run file."""
    remarks: tuple[str, ...] = ()
    """What a table was taken for; nothing for a task."""
    shared: Shared | None = None
    """Of a member of a run over folds or seeds: what it shares with the others."""
    log_to: tuple[str, ...] = ()
    """Names of loggers that hear of each step."""

    def save_config(self, path: Path) -> None:
        """Write the run file that this run amounts to.

        Args:
            path: The file, relative to the working folder.
        """
        write_run_file(path, self.given, self.remarks)

    def plans(self, progress: Progress, is_sketch: bool = False) -> list[Plan]:
        """Read data and backbone, check them, and say how many rows there are.

        Args:
            progress: Receives progress.
            is_sketch: Whether the plans are only looked at, as in a dry run.
        """
        began = time.monotonic()
        if is_sketch:
            self.folder.check_place()
        for remark in self.remarks:
            progress.say(remark)
        if self.table is not None:
            self._write_table(self.table)
        bar = progress_bar("reading data and backbone")
        with recorded() as read, self._named(), reporting(progress), bar:
            beside = self.shared.plan if self.shared is not None else None
            plans = self._in_turn(
                lambda config: make_plans(
                    config, self.registry, self.store, beside, is_sketch=is_sketch
                )
            )
        if self.shared is not None:
            self.shared.plan = self.shared.plan or plans[0]
            for plan in plans:
                plan.caches = self.shared.caches
        self._give_time(plans, began)
        self._remember(read)
        for plan in plans:
            _say_rows(plan, progress)
        for line in dict.fromkeys(d.said for p in plans for d in p.domains.values() if d.said):
            progress.say(line)
        return plans

    def _in_turn(self, plan: Callable[[RunConfig], list[Plan]]) -> list[Plan]:
        """Plan in the first process, then in the others, with the precision that it chose.

        Args:
            plan: Reads data and backbone by the settings.
        """
        if processes.is_first():
            plans = plan(self.config)
            processes.decided(lambda: plans[0].precision)
            return plans
        return plan(attrs.evolve(self.config, precision=processes.decided(str)))

    def _give_time(self, plans: Sequence[Plan], began: float) -> None:
        """Let the plans know the time of the run; half of it is kept for a refit."""
        seconds = seconds_of(self.config.time)
        if seconds is None:
            return
        budget = TimeBudget(
            seconds=seconds / 2 if self.config.refit else seconds,
            file=self.folder.path / PLAN,
            began=began,
        )
        for plan in plans:
            plan.budget = budget

    def execute(self, progress: Progress, on_plans: OnPlans | None = None) -> dict[str, Any]:
        """Train and evaluate, unless the folder holds the finished run of these settings.

        Args:
            progress: Receives progress.
            on_plans: Is shown the plans before anything is trained.

        Returns:
            The contents of metrics.json.
        """
        with processes.joined():
            if processes.is_first():
                return self._lead(progress, on_plans)
            return self._take_part()

    def _lead(self, progress: Progress, on_plans: OnPlans | None) -> dict[str, Any]:
        """Do what `execute` says, as the only process or as the first of several."""
        folder = self.folder
        existed, num_failures = folder.path.exists(), len(self.registry.failures)
        metrics = None
        self._open()
        try:
            metrics = folder.metrics
            steps = processes.decided(lambda: self._missing(metrics))
            with reporting(progress):
                if metrics is None:
                    metrics = self._train_and_evaluate(progress, on_plans)
                if "refit" in steps:
                    metrics = self._refit(metrics, progress)
                if not steps:
                    progress.say(f"{folder.path} holds the finished run of these settings")
            assert metrics is not None, "it has been trained"
            results = processes.decided(lambda: metrics)
        finally:
            is_new = metrics is None and not existed
            if is_new:
                self._drop_table()
            folder.close(discard=is_new)
        for failure in self.registry.failures[num_failures:]:  # of event hooks during the run
            logger.warning("%s", failure)
        return results

    def _missing(self, metrics: Mapping[str, Any] | None) -> tuple[str, ...]:
        """Return what the folder lacks: `train`, `refit`."""
        is_refit = metrics is not None and all("refit" in t for t in metrics["tasks"].values())
        lacks = ("train",) if metrics is None else ()
        return (*lacks, "refit") if self.config.refit and not is_refit else lacks

    def _take_part(self) -> dict[str, Any]:
        """Train beside the first process, and write nothing that stays.

        Returns:
            The contents of metrics.json, as the first process has them.
        """
        with tempfile.TemporaryDirectory(prefix="taglm-") as scratch:
            folder = RunFolder(Path(scratch))
            own = attrs.evolve(self, folder=folder, table=None, remarks=(), log_to=())
            steps: tuple[str, ...] = processes.decided(tuple)
            progress = Silent()
            members = members_of(self.config)
            if "train" in steps and members:
                shared = Shared()
                for member in members:
                    attrs.evolve(own, config=member.config, shared=shared)._take_part()
            elif "train" in steps:
                train_only(own.plans(progress), own.folder, self.store, progress)
            if "refit" in steps:
                train_only(own._refit_plans({}), own.folder, self.store, progress)
        return processes.decided(dict)

    def _train_and_evaluate(self, progress: Progress, on_plans: OnPlans | None) -> dict[str, Any]:
        loggers = find_loggers(self.log_to, self.registry)
        self._write_environment()
        members = members_of(self.config)
        if members:
            for remark in self.remarks:
                progress.say(remark)
            if self.table is not None:
                self._write_table(self.table)
            run = functools.partial(self._run_member, progress)
            metrics = execute_members(run, self.folder, members, progress, on_plans)
            self._tell_end(metrics)
            return metrics
        plans = self.plans(progress)
        if on_plans is not None:
            on_plans(plans)
        with logging_to(loggers, self.folder.path, self.config) as results:
            metrics = execute(plans, self.folder, self.store, progress)
            results.update(metrics)
        return metrics

    def _run_member(
        self,
        progress: Progress,
        member: Member,
        folder: RunFolder,
        shared: Shared,
        on_plans: OnPlans | None,
    ) -> dict[str, Any]:
        own = attrs.evolve(self, config=member.config, folder=folder, shared=shared)
        own = attrs.evolve(own, table=None, remarks=())  # said and written by the whole run
        return own.execute(progress, on_plans)

    def _refit(self, metrics: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Train the predictor that is kept; add to metrics.json which rows it has seen.

        It is trained as the one that was scored, or as that of the first of several runs.
        """
        progress.say("training the final predictor on all rows")
        plans = self._refit_plans(metrics)
        counts = refit(plans, self.folder, self.store, metrics, progress)
        tasks = {name: {**task, "refit": counts[name]} for name, task in metrics["tasks"].items()}
        metrics = {**metrics, "tasks": tasks}
        self.folder.write_json("metrics.json", metrics)
        self._tell_end(metrics)
        return metrics

    def _refit_plans(self, metrics: Mapping[str, Any]) -> list[Plan]:
        """Plan the training on all rows; only the first of several processes knows the metrics."""
        began = time.monotonic()
        recipes = processes.decided(lambda: self._recipes(metrics))
        seed = int(self.config.seeds[0]) if self.config.seeds else self.config.seed
        own = attrs.evolve(self, config=attrs.evolve(self.config, seeds=(), seed=seed))
        plans = own._in_turn(
            lambda config: make_plans(config, self.registry, self.store, recipes=recipes)
        )
        self._give_time(plans, began)
        return plans

    def _recipes(self, metrics: Mapping[str, Any]) -> dict[str, Recipe]:
        members = metrics.get("members")
        scored = metrics
        if members:
            scored = RunFolder(self.folder.path / members[0]["folder"]).metrics or {}
        return {name: recipe_of(task["stages"][-1]) for name, task in scored["tasks"].items()}

    def _tell_end(self, metrics: dict[str, Any]) -> None:
        event = RunFinished(folder=self.folder.path, metrics=metrics)
        self.registry.send("on_run_finished", event)

    def _write_environment(self) -> None:
        plugins = {
            loaded.source.name: f"{loaded.source.distribution} {loaded.source.version}"
            for loaded in self.registry.plugins
        }
        self.folder.write_json(ENVIRONMENT, environment(plugins))

    def train(self, progress: Progress) -> Predictor:
        """Train without evaluating; leave nothing but the tags in the store."""
        if members_of(self.config):
            raise ConfigError(
                "taglm.train trains one predictor: leave folds and seeds to taglm.run."
            )
        self._open()
        try:
            with reporting(progress):
                (artifact,) = train_only(self.plans(progress), self.folder, self.store, progress)
        finally:
            self.folder.close()
        return load_predictor(artifact, self.registry, device=self.config.device)

    def changes(self) -> list[str]:
        """Return what the run in the folder has otherwise: settings, files, the backbone.

        Returns:
            A line for each; none where the folder holds no run.

        Raises:
            TaglmError: when the backbone is none.
        """
        differences = self.folder.other_settings(self._resolved(), RunConfig)
        if differences or not self.folder.inputs:  # files are hashed only to be compared
            return differences
        return self.folder.changed_inputs(named_inputs(self.config, self.registry))

    def _open(self) -> None:
        inputs = named_inputs(self.config, self.registry)
        self.folder.open(self._resolved(), RunConfig, inputs)

    def _resolved(self) -> dict[str, Any]:
        return resolved(self.config, self.folder.path)

    def _remember(self, read: Iterable[str]) -> None:
        """Note what loaders have read beside the files that the settings name."""
        if not self.folder.path.is_dir():  # nothing is kept, as with --dry-run
            return
        own = self.folder.path.resolve()
        others = [name for name in read if own not in Path(name).resolve().parents]
        known = self.folder.inputs
        inputs = {name: path_digest(name) for name in others if name not in known}
        inputs[BACKBONE] = backbone_digest(self.config.backbone, self.registry)
        self.folder.add_inputs(inputs)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Name rows that were given in memory as such, not by the file that holds them."""
        try:
            yield
        except TaglmError as error:
            if self.table is None:
                raise
            file = data_file(self.folder, self.table)
            raise error.renamed(file, self.table.source) from error

    def _drop_table(self) -> None:
        """Remove rows that were given in memory when nothing else has been written."""
        if {path.name for path in self.folder.path.iterdir()} <= {"run.yaml", ".lock", "data"}:
            shutil.rmtree(self.folder.path / "data", ignore_errors=True)

    def _write_table(self, table: Table) -> None:
        file = Path(data_file(self.folder, table))
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            with TableWriter(file) as writer:
                writer.write({name: _one_kind(cells) for name, cells in table.columns.items()})


def _content(table: Table) -> str:
    return fingerprint_of(jsonable(table.columns))


def data_file(folder: RunFolder, table: Table) -> str:
    """Return where rows given in memory are kept: in the run folder, named by their content."""
    return str(folder.path / "data" / f"{_content(table)}.parquet")


def _one_kind(cells: Sequence[Any]) -> list[Any]:
    """Return cells that a parquet column holds: values of several kinds as text."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if len(kinds) < 2 or kinds == {int, float}:
        return list(cells)
    return [None if cell is None else str(cell) for cell in cells]


def _say_rows(plan: Plan, progress: Progress) -> None:
    counts = {split: plan.rows.splits.count(split) for split in ("train", "valid", "test")}
    shown = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    skipped = f", {len(plan.rows.rejected)} skipped" if plan.rows.rejected else ""
    progress.say(f"{plan.rows.source}: {shown} rows (split: {plan.rows.rule}){skipped}")
    for remark in plan.labels.remarks:
        progress.say(f"note: {remark}")
    most = plan.config.stages.task.rows
    if most is not None and most < counts["train"]:
        progress.say(
            f"{most:,} of the {counts['train']:,} training rows will be used; --set "
            "stages.task.rows=null uses all"
        )
