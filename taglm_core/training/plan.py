"""The plan of a run: which stages a task needs, what each trains, and what the store holds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch

from taglm_core.data.mapping import check_columns
from taglm_core.data.measured import with_labels
from taglm_core.data.rows import TaskRows, load_task_rows
from taglm_core.data.textfiles import check_exists
from taglm_core.errors import ConfigError
from taglm_core.inference.columns import check_names
from taglm_core.inference.groups import signatures
from taglm_core.inference.outline import PlannedBackbone, plan_backbone
from taglm_core.model.backbone import Backbone
from taglm_core.model.backbone_loading import locate
from taglm_core.model.fingerprint import Fingerprint
from taglm_core.model.heads import make_head
from taglm_core.model.prefix_cache import PrefixCache
from taglm_core.model.tag_forms import ADAPTER
from taglm_core.model.tagged import Pooling
from taglm_core.model.targets import num_outputs
from taglm_core.model.taskmodel import written_tags
from taglm_core.plugins import Registry
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.store.artifact import Artifact
from taglm_core.store.fingerprint import fingerprint_of, lean
from taglm_core.store.tagstore import TagStore
from taglm_core.training.baselines import BaselineScores, choose_baselines
from taglm_core.training.budget import TimeBudget
from taglm_core.training.config import RunConfig
from taglm_core.training.declared import configured_task
from taglm_core.training.domain_plan import DomainPlan, check_domain_files, plan_domain
from taglm_core.training.function_tag import (
    FunctionTag,
    given_tag,
    with_form,
)
from taglm_core.training.head_settings import CHOSEN_LATER, check_ensemble, check_head
from taglm_core.training.labelcheck import LabelCheck, check_labels, small_splits
from taglm_core.training.recipe import Recipe
from taglm_core.training.task_settings import check_task_settings

TRAINING_VERSION = 5
"""Part of the key under which the tag store keeps function tags with their heads. Raise it whenever
a change of the code gives another tag or head for the same settings, rows and seed: what the store
holds of earlier versions is then trained again."""


@attrs.define(kw_only=True)
class Plan:
    """Everything that a run needs, loaded and checked, before anything is trained."""

    config: RunConfig
    registry: Registry
    task: ResolvedTask
    planned: PlannedBackbone
    rows: TaskRows
    labels: LabelCheck
    """What was found in the targets of the splits."""
    domains: dict[str, DomainPlan]
    """Tag as written -> its plan."""
    is_isolated: bool
    task_fingerprint: str = ""
    """Of everything that the trained function tag depends on."""
    stored_task: Artifact | None = None
    recipe: Recipe | None = None
    """How the predictor that is kept is trained on all rows; None: on the train split."""
    budget: TimeBudget | None = None
    """The time that steps are planned by; None: there is no limit."""
    baselines: BaselineScores | None = None
    """What the baselines reach, once they are fitted."""
    baseline_note: str = ""
    """The best baseline on the validation split, shown beside training."""
    baseline_scores: dict[str, float] = attrs.field(factory=dict)
    """Its score under the name that loggers show; empty without one."""
    caches: dict[str, PrefixCache] = attrs.field(factory=dict)
    """Caches of prompt segments that runs with the same domain tags share, by these tags."""
    given_function_tag: FunctionTag | None = None
    """A function tag that stays frozen; None: it is trained."""

    @property
    def train_rows(self) -> np.ndarray:
        """Indices of the rows that are trained on: the train split's, or all with a recipe."""
        if self.recipe is not None:
            return np.arange(len(self.rows))
        return self.rows.of_split("train")

    @property
    def selects_by_loss(self) -> bool:
        """Whether the first metric is undefined on the validation split, so the loss decides."""
        return self.labels.selects_by_loss

    @property
    def backbone(self) -> Backbone:
        """The backbone, which is opened when it is first asked for."""
        return self.planned.open()

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the backbone."""
        return self.planned.outline.fingerprint

    @property
    def precision(self) -> str:
        """What the linear layers of the backbone are computed or kept in, such as fp32."""
        return self.planned.precision

    @property
    def num_outputs(self) -> int:
        """Outputs of the head, 0 for text."""
        return num_outputs(self.task.spec.target, self.rows.classes)

    @property
    def tag_form(self) -> str:
        """Where the function tag acts: input or adapter."""
        given = self.given_function_tag
        return self.config.stages.task.tag if given is None else given.form

    @property
    def pooling(self) -> Pooling:
        """States of the function tag that the head reads."""
        given, settings = self.given_function_tag, self.config.stages.task
        length = settings.tag_length if given is None else len(given.rows)
        return Pooling.of(settings.pooling, length)

    def make_head(self, num_features: int = 0) -> torch.nn.Module:
        """Return the untrained head of a task that has one.

        Args:
            num_features: Columns that it reads beside the states.
        """
        task, settings = self.task, self.config.stages.task
        name = "linear" if settings.head in CHOSEN_LATER else settings.head
        registered = self.registry.heads.get(name, task.plugin, f"task {task.name}")
        width = self.pooling.num_states * self.planned.outline.hidden_size
        options = settings.head_options
        return make_head(registered, width, self.num_outputs, options, num_features)

    def seeded_head(self, num_features: int = 0) -> torch.nn.Module:
        """Return the untrained head by the seed, without a draw from torch's generator."""
        with torch.random.fork_rng():
            torch.manual_seed(self.config.seed)
            return self.make_head(num_features)

    def head_parameters(self) -> int:
        """Return how many numbers the head has, without a draw from torch's generator."""
        with torch.random.fork_rng():
            return sum(parameter.numel() for parameter in self.make_head().parameters())

    @property
    def stage_number(self) -> int:
        """2 for tasks of one domain, 3 across domains (Tag-LLM section 3.2)."""
        return 3 if self.task.is_cross_domain else 2

    def share_tags_of(self, other: "Plan") -> None:
        """Take the domain tags of another plan of the run for one's own of the same name.

        Raises:
            ConfigError: when the two would be trained differently.
        """
        theirs = {item.tag: item for item in other.domains.values()}
        for written, own in self.domains.items():
            item = theirs.get(own.tag, own)
            if item.fingerprint != own.fingerprint:
                raise ConfigError(
                    f"tasks {other.task.name} and {self.task.name}: the domain tag <{own.tag}> "
                    "would be trained on different data. Give data.domain once, for the whole run."
                )
            self.domains[written] = item


def make_plans(
    config: RunConfig,
    registry: Registry,
    store: TagStore,
    beside: Plan | None = None,
    recipes: Mapping[str, Recipe] | None = None,
    is_sketch: bool = False,
) -> list[Plan]:
    """Load and check everything that a run needs, a plan for each of its tasks.

    Backbone and domain tags are shared. Tasks that name one function tag train it together, so
    each one's fingerprint covers them all.

    Args:
        config: Settings of the run.
        registry: Where names are looked up.
        store: Where trained tags are.
        beside: A plan of another run on the same backbone, which is not opened again.
        recipes: Task -> how it is trained on all rows, see `Plan.recipe`; None: on the train split.
        is_sketch: Whether the plans are only looked at; see `plan_domain`.

    Raises:
        TaglmError: naming what is wrong and how to fix it.
    """
    # unknown names are found before rows are read, which may take minutes
    choose_baselines(config.baselines, registry)
    for job in config.jobs():
        for file in map(Path, job.data.domain.values()):
            if not file.exists():
                check_exists(file)
    if beside is None:
        locate(config.backbone, registry)
    plans: list[Plan] = []
    for job in config.jobs():
        made = make_plan(job, registry, store, plans[0] if plans else beside, recipes, is_sketch)
        for plan in plans:
            made.share_tags_of(plan)
        plans.append(made)
    for group in by_function_tag(plans):
        if len(group) > 1:
            _join(group, store)
    check_columns(config.jobs(), [plan.task for plan in plans], registry)
    check_domain_files(config, {d.domain.spec.tag for p in plans for d in p.domains.values()})
    return plans


def by_function_tag(plans: Sequence[Plan]) -> list[list[Plan]]:
    """Return the plans in groups that train one function tag together."""
    groups: dict[str, list[Plan]] = {}
    for plan in plans:
        groups.setdefault(plan.task.function_tag, []).append(plan)
    return list(groups.values())


def _join(group: Sequence[Plan], store: TagStore) -> None:
    names = ", ".join(plan.task.name for plan in group)
    tag = group[0].task.function_tag
    if any(plan.config.stages.task.enrich for plan in group):
        raise ConfigError(
            f"stages.task.enrich: the tasks {names} train <{tag}> together; a domain tag is "
            "enriched by one task alone. Set stages.task.enrich=false."
        )
    if any(not plan.task.is_numeric for plan in group):
        raise ConfigError(
            f"the tasks {names} train <{tag}> together, but one of them writes text: tasks with a "
            "head and tasks that write text cannot share a function tag. Name two function tags."
        )
    if any(plan.config.stages.task.ensemble > 1 for plan in group):
        raise ConfigError(
            f"stages.task.ensemble: the tasks {names} train <{tag}> together, and an ensemble has "
            "tags of its own for one task. Set stages.task.ensemble=1, or name two function tags."
        )
    together = fingerprint_of(sorted(plan.task_fingerprint for plan in group))
    for plan in group:
        plan.task_fingerprint = fingerprint_of([together, plan.task.name])
        plan.stored_task = store.find(plan.fingerprint.key, tag, plan.task_fingerprint)
    if any(plan.stored_task is None for plan in group):
        for plan in group:
            plan.stored_task = None


def make_plan(
    config: RunConfig,
    registry: Registry,
    store: TagStore,
    beside: Plan | None = None,
    recipes: Mapping[str, Recipe] | None = None,
    is_sketch: bool = False,
) -> Plan:
    """Load and check everything that one task needs.

    Args:
        config: Settings of this task alone.
        registry: Where names are looked up.
        store: Where trained tags are.
        beside: Another plan of the run, whose backbone and domain tags are shared.
        recipes: See `make_plans`.
        is_sketch: See `plan_domain`.

    Raises:
        TaglmError: naming what is wrong and how to fix it.
    """
    assert config.task is not None, "several tasks have a plan each"
    task = with_labels(configured_task(config.task, registry), config.data.labels)
    check_names(task)
    signatures(task)  # a metric that lacks something says so before anything is trained
    settings = config.stages.task
    check_task_settings(config, task)
    if config.data.split.method is not None:
        registry.splitters.get(config.data.split.method, task.plugin)
    if settings.head not in CHOSEN_LATER:
        registry.heads.get(settings.head, task.plugin, f"task {task.name}")
    rows = load_task_rows(task, registry, config.data, config.seed)
    labels = check_labels(task, rows)
    labels = attrs.evolve(labels, remarks=(*labels.remarks, *small_splits(rows)))
    planned = _planned(config, registry, beside)
    fingerprint = planned.outline.fingerprint
    settings = with_form(settings, task.is_numeric, planned.outline)
    config = attrs.evolve(config, stages=attrs.evolve(config.stages, task=settings))
    is_isolated = config.attention == "isolated" or (config.attention == "auto" and task.is_numeric)
    domains = {
        tag: plan_domain(
            tag, task, config, registry, fingerprint, planned.precision, store, is_sketch
        )
        for tag in dict.fromkeys([*written_tags(task, rows.fields), *_further_tags(config, task)])
    }
    plan = Plan(
        config=config,
        registry=registry,
        task=task,
        planned=planned,
        rows=rows,
        labels=labels,
        domains=domains,
        is_isolated=is_isolated,
        given_function_tag=given_tag(settings, fingerprint),
        recipe=recipes[task.name] if recipes is not None else None,
    )
    plan.task_fingerprint = _task_fingerprint(plan)
    plan.stored_task = store.find(fingerprint.key, task.function_tag, plan.task_fingerprint)
    check_head(task.name, settings, task.spec.target)
    check_ensemble(task.name, settings, task.spec.target)
    if settings.tag == ADAPTER:
        planned.outline.check_layers()
    if plan.num_outputs:
        plan.head_parameters()  # options that the head refuses come out before anything is trained
    return plan


def _task_fingerprint(plan: Plan) -> str:
    """Return the hash of everything that the trained function tag depends on."""
    config, task, rows = plan.config, plan.task, plan.rows
    content: dict[str, Any] = {
        "training": TRAINING_VERSION,
        "task": [task.prompt.text, task.function_tag, lean(task.spec.target), task.symmetric],
        "rows": [rows.fields, _plain_targets(rows.targets), rows.splits],
        "settings": lean(config.stages.task),
        "tags": {tag: item.fingerprint for tag, item in plan.domains.items()},
        "metric": task.metrics[0].name,
        "backbone": plan.fingerprint.key,
        "precision": plan.precision,
        "isolated": plan.is_isolated,
        "seed": config.seed,
    }
    if rows.weights is not None:
        content["weights"] = rows.weights.tolist()
    if config.time is not None:
        content["time"] = config.time
    if plan.recipe is not None:
        content["recipe"] = attrs.asdict(plan.recipe)
    if plan.given_function_tag is not None:
        content["settings"]["function_tag_from"] = plan.given_function_tag.fingerprint
    return fingerprint_of(content)


def _planned(config: RunConfig, registry: Registry, beside: Plan | None) -> PlannedBackbone:
    """Look up the backbone, or take that of another plan.

    It is opened now only where its outline is not known, or where a setting may not work on it.
    """
    if beside is not None:
        return beside.planned

    def prepare(backbone: Backbone) -> None:
        backbone.checkpoints.set(config.checkpointing)
        if config.compile == "on":
            backbone.compile()

    planned = plan_backbone(config.backbone, registry, config.device, config.precision, prepare)
    if "on" in (config.checkpointing, config.compile):
        planned.open()
    return planned


def _further_tags(config: RunConfig, task: ResolvedTask) -> tuple[str, ...]:
    """Return the tags that the settings add to those of the rows.

    Raises:
        ConfigError: when no column of the task names a tag.
    """
    assert config.task is not None, "several tasks have a plan each"
    if config.task.tags and not task.prompt.tag_columns:
        raise ConfigError(
            f"task.tags: in the template of {task.name} no column names a tag, so additional "
            "tags cannot be used. Leave task.tags out."
        )
    return config.task.tags


def _plain_targets(targets: Any) -> Any:
    return targets.tolist() if isinstance(targets, np.ndarray) else targets
