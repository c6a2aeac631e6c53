"""Screening on kept spans against a batched, length-sorted Hugging Face loop."""

import statistics
from typing import Any

import numpy as np
import setting
import torch
from measure import interleaved, spread
from rivals import plain_loop
from stages import Scale

from taglm_core.model.assembly import Rows
from taglm_core.model.prefix_cache import PrefixCache
from taglm_core.model.prefix_cache.cost_model import ForwardCost, segment_cost
from taglm_core.model.taskmodel import TaskModel


def grid(scale: Scale, num_targets: int, num_drugs: int | None = None, looped: int = 64) -> Any:
    """Measure a grid of targets against drugs.

    Args:
        scale: Rounds, clock.
        num_targets: Targets of the sample.
        num_drugs: Drugs of the sample; None: all 68.
        looped: Pairs of it that the loop runs.
    """
    rng = np.random.default_rng(0)
    pairs = setting.load_pairs("davis")
    drugs = sorted(set(pairs.drugs))[:num_drugs]
    targets = sorted(set(setting.load_targets("davis")))
    chosen = [targets[i] for i in rng.permutation(len(targets))[:num_targets]]
    fields = {"smiles": drugs * len(chosen), "target": [t for t in chosen for _ in drugs]}
    record = _versus_loop(fields, scale, looped)
    return {**record, "data": f"{pairs.source}: {len(chosen)} targets x {len(drugs)} drugs"}


def one_vs_many(scale: Scale, molecules: int, looped: int = 48) -> Any:
    """Measure one protein of about 700 residues against distinct molecules."""
    rng = np.random.default_rng(0)
    targets = setting.load_targets("davis")
    protein = min(targets, key=lambda row: abs(len(row) - 700))
    rows, source = setting.load_molecules(molecules, rng)
    record = _versus_loop({"smiles": rows, "target": [protein] * len(rows)}, scale, looped)
    return {**record, "data": f"{source}: {len(rows)} against {len(protein)} residues"}


def _versus_loop(fields: dict[str, list[str]], scale: Scale, looped: int) -> dict[str, Any]:
    backbone = setting.backbone_of(scale)
    task_model = setting.task_model(backbone, setting.AFFINITY)
    rows = task_model.assemble(fields)
    rng = np.random.default_rng(1)
    # the same rows each round, all over the lengths
    some = np.sort(rng.permutation(len(rows))[:looped])
    sides = {
        "ours": lambda _: screen(task_model, rows, scale),
        "loop": lambda _: plain_loop(task_model.model, rows, some, scale.tokens),
    }
    times = interleaved(sides, scale.rival_rounds, scale.clock, warm_up=0)
    ours = len(rows) / statistics.median(times["ours"])
    loop = looped / statistics.median(times["loop"])
    return {
        "ours": round(ours, 2),
        "rival": round(loop, 2),
        "ratio": round(ours / loop, 2),
        "bound": round(_bound(task_model, rows), 2),
        "unit": "pairs a second",
        "rival_name": "batched, length-sorted Hugging Face loop",
        "spread": {side: spread(held) for side, held in times.items()},
        "tokens_a_row": round(float(rows.lengths.mean()), 1),
        "precision": scale.precision,
    }


def screen(task_model: TaskModel, rows: Rows, scale: Scale) -> torch.Tensor:
    """Screen from nothing: the building of the cache is paid here."""
    task_model.prefix_cache = PrefixCache.on(task_model.model, 4 * 10**9)
    return task_model.states(rows, scale.tokens)


def _bound(task_model: TaskModel, rows: Rows) -> float:
    """Return the ratio that counting weights and attention allows."""
    work = ForwardCost.of(task_model.model.backbone)
    cache = PrefixCache.on(task_model.model, 10**9)
    cached = cache.rows(rows, True, 8192, with_text=False)
    suffixes = cached.segments.suffix_starts
    ours = (
        work.run(rows.lengths - suffixes, suffixes).sum()
        + segment_cost(cached.segments, work).sum()
    )
    return float(work.run(rows.lengths).sum() / ours)
