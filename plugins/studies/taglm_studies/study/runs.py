"""Members of studies that are runs of taglm."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taglm_studies.study.rows import ROWS, kept_rows


def run_task(
    folder: Path, task: Any, data: str | None, settings: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Run a task in the folder of a member, or go on with the run that is there.

    Args:
        folder: The run folder; rows.json is written beside its files.
        task: As `taglm.run` takes it.
        data: Table of rows; None: the task's own.
        settings: Of the run, nested.
        seed: Of the run.

    Returns:
        `parameters` that were trained, their `disk_bytes`, `seconds` of training, and `passes`.
    """
    import taglm

    with kept_rows(folder / ROWS):
        own = dotted({**settings, "seed": seed})
        run = taglm.run(task, data, out=folder, progress=False, **own)
    return run_cost(run)


def dotted(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings under dotted keys, so that none is taken for an argument of a run."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= dotted(value, f"{before}{key}.")
        else:
            found[before + key] = value
    return found


def merged(settings: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with others laid over them."""
    found = dict(settings)
    for key, value in others.items():
        below = found.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            found[key] = merged(below, value)
        else:
            found[key] = value
    return found


def run_cost(run: Any) -> dict[str, Any]:
    """Return what a finished run cost: of several folds the mean size, and the time of all."""
    import taglm

    held = run.metrics.get("members", ())
    parts = [taglm.Run(run.folder / part["folder"]) for part in held] or [run]
    costs = [_single_cost(part) for part in parts]
    return {
        "parameters": round(statistics.fmean(cost["parameters"] for cost in costs)),
        "disk_bytes": round(statistics.fmean(cost["disk_bytes"] for cost in costs)),
        "seconds": round(sum(cost["seconds"] for cost in costs), 2),
        "passes": sum(cost["passes"] for cost in costs),
    }


def _single_cost(run: Any) -> dict[str, Any]:
    (record,) = run.metrics["tasks"].values()
    stages = record.get("stages", ())
    last = stages[-1] if stages else {}
    trained = sum(sum(stage.get("trained", {}).values()) for stage in stages)
    size = sum(f.stat().st_size for f in (run.folder / "predictor").glob("*.safetensors"))
    return {
        "parameters": trained,
        "disk_bytes": size,
        "seconds": sum(
            float(stage.get("seconds", 0)) for stage in stages if "from_package" not in stage
        ),
        "passes": int(last.get("steps", 0)) * batch_size(run.folder),
    }


def batch_size(folder: Path) -> int:
    """Return the rows of an optimizer step of a run."""
    import yaml

    settings = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))
    return int(settings["stages"]["task"]["batch_size"])
