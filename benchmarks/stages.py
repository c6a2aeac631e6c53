"""Training steps of the three stages against PEFT and against the bare backbone."""

import statistics
from typing import Any

import attrs
import numpy as np
import setting
import torch
from measure import Clock, interleaved, peak_megabytes, spread
from rivals import CachedStep, PeftRival, whole_floor, without_tags

from taglm_core.model.assembly import Rows
from taglm_core.model.prefix_cache.cached_rows import CachedRows
from taglm_core.model.prefix_cache.cost_model import ForwardCost, segment_cost
from taglm_core.model.prefix_cache.rotary import Rotation, find_rotation
from taglm_core.model.prefix_cache.storage import SegmentStore
from taglm_core.model.taskmodel import TaskModel
from taglm_core.training.objectives import DomainObjective, HeadObjective
from taglm_core.training.splits import SplitData

_PASS = 3.0  # forward, and a backward of the activations that costs twice as much


@attrs.frozen(kw_only=True)
class Scale:
    """How much of each set is run."""

    batch: int = 64
    rounds: int = 5
    rival_rounds: int = 2
    tokens: int = 8192
    epochs: float = 6.0
    precision: str = "fp32"
    clock: Clock = attrs.field(factory=Clock)
    backbone: str = "nano"


class Ours:
    """A task on cached segments, ready to step."""

    def __init__(
        self, task_model: TaskModel, rows: Rows, targets: np.ndarray, scale: Scale
    ) -> None:
        self.task_model = task_model
        self.scale = scale
        rotation = find_rotation(task_model.model.backbone)
        assert isinstance(rotation, Rotation)
        cache = SegmentStore(10**11)
        self.cached = CachedRows(task_model.model, rows, True, rotation, cache, scale.tokens)
        self.fill_seconds = scale.clock.seconds(self.cached.fill)
        split = SplitData(rows, targets, cached=self.cached)
        self.objective = HeadObjective(task_model, split, split, scale.tokens)
        # else a step would run whole rows, and every figure here would be of something else
        assert np.array_equal(self.objective.lengths, rows.lengths - rows.suffix)
        tag = task_model.model.tags[task_model.task.function_tag]
        assert task_model.head is not None
        self.optimizer = torch.optim.AdamW([tag, *task_model.head.parameters()], lr=1e-4)

    def step(self, indices: np.ndarray) -> None:
        """Take an optimizer step."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, weight = self.objective.loss(indices)
        (loss / weight).backward()
        self.optimizer.step()


def versus_peft(
    fields: dict[str, list[str]],
    targets: np.ndarray,
    template: str,
    scale: Scale,
    lengths_of_all: tuple[int, float] | None = None,
) -> dict[str, Any]:
    """Measure an epoch of a task on cached segments against prompt tuning and LoRA.

    Args:
        fields: Columns of sampled rows, `scale.batch` x rounds of them.
        targets: float64 `(rows, 1)`.
        template: Of the task.
        scale: Rows, rounds, clock.
        lengths_of_all: Rows of the whole set, and the work of its distinct segments; None: those
            of the sample.
    """
    backbone = setting.backbone_of(scale)
    task_model = setting.task_model(backbone, template)
    rows = task_model.assemble(fields)
    ours = Ours(task_model, rows, targets, scale)
    streams = without_tags(rows, task_model.model)
    wanted = torch.tensor(targets[:, 0], dtype=torch.float32)
    sides: dict[str, Any] = {"ours": lambda k: ours.step(_batch(k, rows, scale))}
    for how in ("prompt", "lora"):
        rival = PeftRival(setting.backbone_of(scale), how, streams, setting.TAG_LENGTH)

        def run(k: int, rival: PeftRival = rival) -> None:
            chosen = _batch(k, rows, scale)
            rival.step(task_model.model, chosen, wanted[chosen], scale.tokens)

        sides[how] = run
    ours.step(_batch(0, rows, scale))  # warms up what the rivals' first step does not
    times = interleaved(sides, scale.rival_rounds, scale.clock, warm_up=0)
    more = interleaved({"ours": sides["ours"]}, scale.rounds, scale.clock, warm_up=0)
    times["ours"] += more["ours"]
    return _epoch_record(ours, rows, streams, times, scale, lengths_of_all)


def _batch(k: int, rows: Rows, scale: Scale) -> np.ndarray:
    start = k * scale.batch % max(1, len(rows) - scale.batch + 1)
    return np.arange(start, min(len(rows), start + scale.batch))


def _epoch_record(
    ours: Ours,
    rows: Rows,
    streams: list[np.ndarray],
    times: dict[str, list[float]],
    scale: Scale,
    whole_set: tuple[int, float] | None,
) -> dict[str, Any]:
    """Put together an epoch: steps by their median, the cache shared out over the epochs."""
    work = ForwardCost.of(ours.task_model.model.backbone)
    sampled = float(segment_cost(ours.cached.segments, work).sum())
    num_rows, segments = whole_set or (len(rows), sampled)
    steps = num_rows / scale.batch
    medians = {side: statistics.median(held) for side, held in times.items()}
    building = ours.fill_seconds * segments / sampled / scale.epochs
    epoch = {side: value * steps for side, value in medians.items()}
    epoch["ours"] += building
    suffixes = ours.cached.segments.suffix_starts
    new = float(work.run(rows.lengths - suffixes, suffixes).mean()) * _PASS
    old = float(work.run(np.array([len(s) + setting.TAG_LENGTH for s in streams])).mean()) * _PASS
    bound = old / (new + segments / num_rows / scale.epochs)
    return {
        "ours": round(epoch["ours"], 2),
        "rival": round(epoch["prompt"], 2),
        "ratio": round(epoch["prompt"] / epoch["ours"], 2),
        "bound": round(bound, 2),
        "unit": "s an epoch",
        "rival_name": "PEFT prompt tuning with the head",
        "lora": round(epoch["lora"], 2),
        "ratio_lora": round(epoch["lora"] / epoch["ours"], 2),
        "step_ms": {side: round(1000 * value, 1) for side, value in medians.items()},
        "step_ratio": round(medians["prompt"] / medians["ours"], 2),
        "step_bound": round(old / new, 2),
        "cache_seconds": round(building * scale.epochs, 2),
        "cache_mb_of_sample": round(ours.cached.num_bytes / 1e6, 1),
        "spread": {side: spread(held) for side, held in times.items()},
        "rows": num_rows,
        "tokens_a_row": round(float(rows.lengths.mean()), 1),
        "batch": scale.batch,
        "epochs": scale.epochs,
        "precision": scale.precision,
    }


def stage3(name: str, scale: Scale, most_pairs: int | None = None) -> dict[str, Any]:
    """Measure stage 3 on pairs."""
    pairs = setting.load_pairs(name)
    rng = np.random.default_rng(0)
    if most_pairs is not None:
        pairs = pairs.take(rng.permutation(len(pairs.values))[:most_pairs])
    sample = pairs.take(rng.permutation(len(pairs.values))[: scale.batch * scale.rounds])
    backbone = setting.backbone_of(scale)
    segments = _all_segments(setting.task_model(backbone, setting.AFFINITY), pairs)
    whole = (len(pairs.values), float(segment_cost(segments, ForwardCost.of(backbone)).sum()))
    targets = sample.values[:, None] - pairs.values.mean()
    record = versus_peft(sample.fields, targets, setting.AFFINITY, scale, whole)
    return {**record, "data": pairs.source}


def _all_segments(task_model: TaskModel, pairs: setting.Pairs) -> Any:
    rows = task_model.assemble(pairs.fields)
    model = task_model.model
    rotation = find_rotation(model.backbone)
    assert isinstance(rotation, Rotation)
    return CachedRows(model, rows.select(rows.good), True, rotation, SegmentStore(0)).segments


def stage2_qed(scale: Scale, num_rows: int = 20_000) -> dict[str, Any]:
    """Measure stage 2 on molecules: epochs after the first, which fills the cache."""
    rng = np.random.default_rng(0)
    molecules, source = setting.load_molecules(scale.batch * scale.rounds, rng)
    targets = rng.normal(size=(len(molecules), 1))
    record = versus_peft({"smiles": molecules}, targets, setting.QED, scale)
    steps = num_rows / scale.batch
    ours, rival = (record["step_ms"][side] / 1000 * steps for side in ("ours", "prompt"))
    return {
        **record,
        "ours": round(ours, 2),
        "rival": round(rival, 2),
        "ratio": record["step_ratio"],
        "bound": record["step_bound"],
        "lora": round(record["step_ms"]["lora"] / 1000 * steps, 2),
        "ratio_lora": round(record["step_ms"]["lora"] / record["step_ms"]["ours"], 2),
        "unit": "s an epoch after the first",
        "rows": num_rows,
        "cache_seconds": round(record["cache_seconds"] * num_rows / record["rows"], 2),
        "data": source,
    }


def stage1_floor(scale: Scale) -> dict[str, Any]:
    """Measure a step of stage 1 against the bare backbone on as many tokens."""
    backbone = setting.backbone_of(scale)
    task_model = setting.task_model(backbone, setting.QED)
    rng = np.random.default_rng(0)
    molecules, source = setting.load_molecules(scale.batch, rng)
    encoder = task_model.assembler.encoders["chem/SMILES"]
    model = task_model.model
    objective = DomainObjective(
        model, "chem/SMILES", "chem/SMILES", encoder, molecules, molecules[:2], scale.tokens
    )
    tag = model.tags["chem/SMILES"]
    model.train_only([tag])
    optimizer = torch.optim.AdamW([tag], lr=1e-4)
    chosen = np.arange(len(molecules))

    def ours(_: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss, weight = objective.loss(chosen)
        (loss / weight).backward()
        optimizer.step()

    longest = int(objective.lengths.max())
    sides = {"ours": ours, "floor": lambda _: whole_floor(backbone, len(chosen), longest)}
    return _floor_record(interleaved(sides, 2 * scale.rounds, scale.clock), scale, source)


def cached_floor(scale: Scale, stage: int) -> dict[str, Any]:
    """Measure a cached step of stage 2 or 3 against the bare backbone over a ready cache.

    The floor reads the cache in place and gives it no gradients; beside it stands the library's
    own cache, which is copied in every layer and gets gradients.
    """
    rng = np.random.default_rng(0)
    backbone = setting.backbone_of(scale)
    if stage == 2:
        molecules, source = setting.load_molecules(scale.batch, rng)
        fields, template = {"smiles": molecules}, setting.QED
    else:
        pairs = setting.load_pairs("davis")
        sample = pairs.take(rng.permutation(len(pairs.values))[: scale.batch])
        fields, template, source = sample.fields, setting.AFFINITY, pairs.source
    task_model = setting.task_model(backbone, template)
    rows = task_model.assemble(fields)
    ours = Ours(task_model, rows, np.zeros((len(rows), 1)), scale)
    chosen = np.arange(len(rows))
    floor = CachedStep(backbone, len(rows), setting.TAG_LENGTH, round(float(rows.suffix.mean())))
    sides = {
        "ours": lambda _: ours.step(chosen),
        "floor": lambda _: floor.bare(),
        "library": lambda _: floor.library(),
    }
    times = interleaved(sides, 2 * scale.rounds, scale.clock)
    record = _floor_record(times, scale, source)
    library = 1000 * statistics.median(times["library"])
    return {
        **record,
        "kept_tokens_a_row": floor.past[0].shape[3],
        "library_floor": round(library, 1),
        "ratio_library": round(record["ours"] / library, 3),
    }


def _floor_record(times: dict[str, list[float]], scale: Scale, source: str) -> dict[str, Any]:
    ours, floor = (1000 * statistics.median(times[side]) for side in ("ours", "floor"))
    return {
        "ours": round(ours, 1),
        "rival": round(floor, 1),
        "ratio": round(ours / floor, 3),
        "bound": 1.0,
        "unit": "ms a step (ratio: ours / floor)",
        "rival_name": "the bare backbone on the same tokens",
        "spread": {side: spread(held) for side, held in times.items()},
        "batch": scale.batch,
        "precision": scale.precision,
        "data": source,
    }


def stage3_memory(scale: Scale) -> dict[str, Any]:
    """Measure the peak of a step of stage 3 beyond the cache, all rows in one batch."""
    rng = np.random.default_rng(0)
    pairs = setting.load_pairs("davis")
    sample = pairs.take(rng.permutation(len(pairs.values))[: scale.batch])
    whole = attrs.evolve(scale, tokens=10**9)
    task_model = setting.task_model(setting.backbone_of(scale), setting.AFFINITY)
    rows = task_model.assemble(sample.fields)
    ours = Ours(task_model, rows, np.zeros((len(rows), 1)), attrs.evolve(scale, tokens=8192))
    chosen = np.arange(len(rows))
    ours.step(chosen)
    mine = peak_megabytes(lambda: ours.step(chosen))
    streams = without_tags(rows, task_model.model)
    rival = PeftRival(setting.backbone_of(scale), "prompt", streams, setting.TAG_LENGTH)
    wanted = torch.zeros(len(rows))
    theirs = peak_megabytes(lambda: rival.step(task_model.model, chosen, wanted, whole.tokens))
    work = ForwardCost.of(task_model.model.backbone)
    mean = float(np.mean([len(s) + setting.TAG_LENGTH for s in streams]))
    known = mine is not None and theirs is not None
    return {
        "ours": round(mine, 1) if mine is not None else None,
        "rival": round(theirs, 1) if theirs is not None else None,
        "ratio": round(theirs / max(mine, 0.1), 2) if known else None,
        "bound": round(mean / setting.TAG_LENGTH, 2),
        "unit": "MB of a step beyond the cache",
        "rival_name": "PEFT prompt tuning with the head",
        "cache_mb": round(ours.cached.num_bytes / 1e6, 1),
        "multiply_adds_a_token": int(work.per_token),
        "batch": scale.batch,
        "precision": scale.precision,
        "data": pairs.source,
    }
