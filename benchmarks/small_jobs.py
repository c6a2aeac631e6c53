"""Small jobs that are run beside what the formulas of the capacity table say of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from measure import Clock
from work import BATCH_TOKENS, Costs, Job, Pace, Tokens, domain_tags, screen, texts

from taglm_core.model.generation import write
from taglm_core.model.prefix_cache import PrefixCache
from taglm_core.model.taskmodel import TaskModel
from taglm_core.specs import Decoding
from taglm_core.training.objectives import DomainObjective


def check(
    task_model: TaskModel, costs: Costs, pace: Pace, size: int, clock: Clock
) -> list[dict[str, Any]]:
    """Run small jobs, and return what they took beside what the formulas say.

    Args:
        task_model: Affinity, with untrained tags.
        costs: Of its backbone.
        pace: Measured before, by the same clock.
        size: Molecules of the library; the grid has an eighth of them on either side.
        clock: What is read.
    """
    symbols, residues = 40, 300
    tokens = Tokens.of(task_model, symbols, residues)
    rng = np.random.default_rng(0)
    molecules = ["".join(rng.choice(list("CCCCNO"), size=symbols)) for _ in range(size)]
    some = max(2, size // 8)
    targets = ["".join(rng.choice(list("ACDEFGHIKL"), size=residues)) for _ in range(some)]
    found = []
    assembled = task_model.assemble({"smiles": molecules[:2], "target": targets[:1] * 2})
    task_model.states(assembled, BATCH_TOKENS)  # the first pass allocates
    for name, rows, columns in (("library", size, 1), ("grid", some, some)):
        fields = {
            "smiles": [m for m in molecules[:rows] for _ in range(columns)],
            "target": targets[:columns] * rows,
        }
        assembled = task_model.assemble(fields)
        task_model.prefix_cache = PrefixCache.on(task_model.model, 10**9)
        taken = clock.seconds(lambda each=assembled: task_model.states(each, BATCH_TOKENS))
        job = screen(rows, columns, tokens, costs, 1e9, f"{name}: {rows} x {columns}")
        found.append(_compared(job, pace, taken))
    texts_ = _checked_texts(task_model, molecules[:some], costs, pace, clock)
    return [*found, _checked_stage_one(task_model, molecules, costs, pace, clock), texts_]


def _checked_texts(
    task_model: TaskModel, molecules: Sequence[str], costs: Costs, pace: Pace, clock: Clock
) -> dict[str, Any]:
    """Compare texts of 40 tokens, written greedily."""
    written = 40
    rows = task_model.assemble({"smiles": molecules, "target": ["A"] * len(molecules)})
    decoding = Decoding(min_new_tokens=written)
    taken = clock.seconds(lambda: write(task_model.model, rows, decoding, written))
    prompt, count = int(rows.lengths.max()), len(molecules)
    job = texts(f"texts: {count} of {written} after {prompt}", count, prompt, written, costs)
    return _compared(job, pace, taken)


def _checked_stage_one(
    task_model: TaskModel, molecules: Sequence[str], costs: Costs, pace: Pace, clock: Clock
) -> dict[str, Any]:
    """Compare two steps of stage 1 on all molecules."""
    name, model = "chem/SMILES", task_model.model
    encoder = task_model.assembler.encoders[name]
    objective = DomainObjective(model, name, name, encoder, molecules, molecules[:2], BATCH_TOKENS)
    model.train_only([model.tags[name]])

    def step() -> None:
        loss, weight = objective.loss(np.arange(len(molecules)))
        (loss / weight).backward()

    step()  # the first one allocates
    taken = clock.seconds(step) + clock.seconds(step)
    model.train_only([])
    output = float(len(encoder.symbols) * costs.hidden)
    length = int(objective.lengths.max())
    rows = 2 * len(molecules)
    job = domain_tags(f"stage 1: {rows} rows of {length}", 1, rows, length, costs, 10, output)
    return _compared(job, pace, taken)


def _compared(job: Job, pace: Pace, taken: float) -> dict[str, Any]:
    expected = job.seconds(pace)
    return {"job": job.name, "predicted": expected, "measured": taken, "ratio": taken / expected}
