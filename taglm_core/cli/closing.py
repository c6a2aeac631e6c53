"""What a run ends with: its result in a sentence, where its files are, and what to do next."""

import shlex
from pathlib import Path
from typing import Any

from taglm_core.inference.report import verdict
from taglm_core.store.runfolder import PREDICTOR


def closing_lines(metrics: Any, folder: Path) -> list[str]:
    """Return what a run ends with: its result in a sentence, its files, and what to do next."""
    said = [verdict(name, task) for name, task in metrics["tasks"].items()]
    lines = ["", *(line for line in said if line is not None), f"run: {folder}"]
    where, is_several = folder, len(metrics["tasks"]) > 1
    members = metrics.get("members")
    if members and not (folder / PREDICTOR).is_dir():
        lines.append(f"predictors: one for each of {len(members)} runs in {folder / 'members'}")
        where = folder / members[0]["folder"]
    elif not is_several:
        lines.append(f"predictor: {folder / PREDICTOR}")
    run = shlex.quote(str(where))
    if is_several:
        name = next(iter(metrics["tasks"]))
        lines.append(f"predict: taglm predict {run} new.csv -o predicted.csv --task {name}")
    else:
        lines.append(f"predict: taglm predict {run} new.csv -o predicted.csv")
    further = {
        "report": folder / "report.html",
        "skipped rows": where / "rejected.csv",
        "fixed rows": where / "fixed.csv",
    }
    return [*lines, *(f"{what}: {file}" for what, file in further.items() if file.is_file())]
