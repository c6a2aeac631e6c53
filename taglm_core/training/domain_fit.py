"""Stage 1: what is trained of a domain tag, with what rate, and what came of it."""

import attrs
from torch import Tensor

from taglm_core.data.splits import hold_out
from taglm_core.model.tagged import TaggedModel
from taglm_core.progress import Progress, progress_bar
from taglm_core.specs import StageStarted
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.schema import DomainLineage
from taglm_core.training.budget import STAGE_ONE
from taglm_core.training.domain_plan import DomainPlan
from taglm_core.training.estimate import domain_estimate
from taglm_core.training.fit import Group
from taglm_core.training.objectives import DomainObjective
from taglm_core.training.plan import Plan
from taglm_core.training.schedule import fit_settings, in_time, num_steps
from taglm_core.training.stage_fit import checkpoint_folder, fit_stage

_SHORTER = "--preset quick, --time 10m, or --set stages.domain.max_steps=60"


def train_domain(
    plan: Plan,
    item: DomainPlan,
    model: TaggedModel,
    folder: RunFolder,
    work: RunFolder,
    progress: Progress,
) -> tuple[DomainLineage, Tensor | None]:
    """Train a domain tag on its corpus.

    Args:
        plan: Of the run.
        item: The tag.
        model: Holds the tag.
        folder: Of the run, for listeners.
        work: Holds the checkpoint.
        progress: Hears about steps.

    Returns:
        What metrics.json and the artifact say of it, and the offsets of its symbols.
    """
    settings = plan.config.stages.domain
    assert item.corpus is not None, "a tag that is trained has a corpus"
    objective, num_rows, num_held_out = _objective(plan, item, model)
    groups = _groups(plan, item, model)
    counts = {group.name: sum(p.numel() for p in group.parameters) for group in groups}
    name = f"stage 1 <{item.tag}>"
    event = StageStarted(stage=name, trained=counts, folder=folder.path)
    plan.registry.send("on_stage_started", event)
    steps = num_steps(num_rows, settings.epochs, settings.batch_size, settings.max_steps)
    checkpoint = checkpoint_folder(work, plan, f"domain-{item.tag.replace('/', '-')}")
    fitting = attrs.evolve(
        fit_settings(settings, steps, plan.config),
        seed=plan.config.domain_seed,
        series=item.domain.short,
    )
    if plan.budget is None:
        domain_estimate(name, plan.backbone, objective, fitting).say(progress, _SHORTER)
    else:
        count = sum(each.is_trained for each in plan.domains.values())
        share = STAGE_ONE / max(1, count)
        fitting = in_time(plan.budget, name, fitting, objective, groups, model, progress, share)
    result = fit_stage(objective, groups, fitting, checkpoint, progress, name, model)
    with progress_bar(f"comparing <{item.tag}> with no tag and with words"):
        ways = [("tag", "tag"), ("no_tag", "none"), ("words", "words")]
        compared = {name: objective.nats(way, skip=1) for name, way in ways}
    lineage = DomainLineage(
        tag=item.tag,
        corpus=item.corpus.source,
        corpus_rows=num_rows,
        held_out_rows=num_held_out,
        test_bucket_rows_left_out=item.corpus.num_bucket,
        rows_cut_to_backbone_length=objective.num_cut,
        trained=counts,
        steps=result.steps,
        seconds=result.seconds,
        held_out_nats_per_symbol=compared,
        history=result.history,
    )
    return lineage, objective.softmax.offsets


def _objective(
    plan: Plan, item: DomainPlan, model: TaggedModel
) -> tuple[DomainObjective, int, int]:
    """Return the objective on the rows of the corpus, and how many are trained on and held out."""
    assert item.corpus is not None, "a tag that is trained has a corpus"
    settings = plan.config.stages.domain
    with progress_bar(f"reading the rows of <{item.tag}>"):
        corpus = item.corpus.rows
        held_out, others = hold_out(len(corpus), plan.config.domain_seed)
        chosen = others[: settings.rows]
        objective = DomainObjective(
            model,
            item.domain.name,
            item.tag,
            item.encoder,
            [corpus[i] for i in chosen],
            [corpus[i] for i in held_out],
            settings.batch_tokens,
        )
    return objective, len(chosen), len(held_out)


def _groups(plan: Plan, item: DomainPlan, model: TaggedModel) -> list[Group]:
    settings = plan.config.stages.domain
    lr = settings.lr or settings.tag_lr * plan.backbone.embedding_scale()[1]
    groups = [Group(f"<{item.tag}>", (model.tags[item.tag],), lr)]
    if settings.train_symbols and item.encoder is not None:
        groups.append(Group("symbols", (model.tables[item.domain.name],), lr * 0.1))
    return groups
