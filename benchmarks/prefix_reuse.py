"""How much a training step of stage 2 gains by keeping what stands before the function tag.

    python benchmarks/prefix_reuse.py [--rows 256] [--steps 12] [--json FILE]

Both sides run in this process on the same backbone, rows and batch: `full` runs whole prompts as
if nothing could be kept, `kept` runs function tags on kept prefixes. `bound` is the ratio that
counting tokens alone allows; attention over the kept prefix and small matrix sizes cost the rest.
The building of the cache is given apart, since it is paid once for all epochs.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from taglm_core.model.prefix import PrefixStore
from taglm_core.plugins import load_registry
from taglm_core.store.tagstore import TagStore
from taglm_core.training.plan import make_plan
from taglm_core.training.build import build_task_model, untrained_model
from taglm_core.training.settings import run_config
from taglm_core.training.parts import PartData
from taglm_core.training.task_stage import TaskObjective


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch-rows", type=int, default=64)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    values = {"task": "QED", "data": {"size": 4 * args.rows}, "stages": {"domain": {"size": 100}}}
    plan = make_plan(run_config("benchmark", values), load_registry(), TagStore())
    task_model = untrained(plan)
    chosen = plan.rows.of_part("train")[: args.rows]
    fields = {name: [rows[i] for i in chosen] for name, rows in plan.rows.fields.items()}
    rows = task_model.assembler.assemble(fields)
    targets = plan.rows.targets[chosen]
    began = time.perf_counter()
    store = PrefixStore(task_model.model, rows, plan.is_isolated, 8 * 10**9)
    building = time.perf_counter() - began
    kept, full = PartData(rows, targets, store), PartData(rows, targets)
    sides = {
        "kept": TaskObjective(task_model, kept, kept, 8192),
        "full": TaskObjective(task_model, full, full, 8192),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    rng = np.random.default_rng(0)
    for step in range(args.steps + 2):
        batch = rng.permutation(len(rows))[: args.batch_rows]
        for name, objective in sides.items():  # interleaved, so that disturbances hit both
            began = time.perf_counter()
            loss, weight = objective.loss(batch)
            (loss / weight).backward()
            if step >= 2:
                times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(held) for name, held in times.items()}
    tag_length = len(task_model.model.tags[plan.task.function_tag])
    result = {
        "ours": round(1000 * medians["kept"], 1),
        "rival": round(1000 * medians["full"], 1),
        "unit": "ms a step",
        "ratio": round(medians["full"] / medians["kept"], 2),
        "bound": round(float(rows.lengths.mean()) / tag_length, 2),
        "cache_ms_a_row": round(1000 * building / len(rows), 2),
        "cache_bytes_a_token": store.num_bytes // int(rows.suffix.sum()),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(result, indent=1))
    if args.json:
        args.json.write_text(json.dumps(result) + "\n")


def untrained(plan):  # noqa: ANN001, ANN201 - a script's own step
    """Return the task model with untrained tags, the function tag and head to be trained."""
    model = untrained_model([plan])
    task_model = build_task_model(plan, model)
    model.train_only([model.tags[plan.task.function_tag], *task_model.head.parameters()])
    return task_model


if __name__ == "__main__":
    main()
