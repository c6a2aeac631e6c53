"""How long a study will take, before it runs."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from taglm_studies.study.folder import Member, StudyFolder
from taglm_studies.study.members import estimate
from taglm_studies.study.runs import dotted, merged

_PROBE = {
    "baselines": ["none"],
    "data": {"check": False},
    "stages": {
        "domain": {"max_steps": 2, "num_evaluations": 1},
        "task": {"max_steps": 2, "num_evaluations": 1},
    },
}
"""Settings of the run that is timed: it stops after two steps of each stage."""


def estimated(
    request: Mapping[str, Any],
    waiting: Sequence[Member],
    members: Sequence[Member],
    study: StudyFolder,
) -> tuple[float | None, str]:
    """Return the seconds that the waiting members will take, and by what that is estimated.

    Members of the study that have finished are asked first. Where none has, a run of two steps is
    timed: a tag of stage 1 that the store lacks, and further evaluations, come on top.
    """
    if not waiting:
        return 0.0, "all have finished"
    known = estimate(waiting, members, study)
    if known is not None:
        return known, "by the members that have finished"
    seconds = _probed(request)
    return seconds * len(waiting), "by a run of two steps, with evaluations and stage 1 not counted"


def _probed(request: Mapping[str, Any]) -> float:
    """Return the seconds of one run, from one that stops after two steps."""
    import time

    import yaml

    import taglm

    settings = dict(request["settings"])
    with tempfile.TemporaryDirectory(prefix="taglm-") as folder:
        out = Path(folder) / "probe"
        began = time.monotonic()
        own = dotted(merged(settings, _PROBE))
        run = taglm.run(request["task"], request["data"], out=out, progress=False, **own)
        whole = time.monotonic() - began
        (record,) = run.metrics["tasks"].values()
        task = yaml.safe_load((out / "run.yaml").read_text(encoding="utf-8"))["stages"]["task"]
    stage = record["stages"][-1]
    per_step = float(stage.get("step_seconds") or 0.0)
    wanted = (settings.get("stages") or {}).get("task", {}).get("max_steps")
    steps = math.ceil(float(task["epochs"]) * int(stage["rows"]) / int(task["batch_size"]))
    steps = min(steps, int(wanted)) if wanted else steps
    return whole + per_step * max(0, steps - 2)
