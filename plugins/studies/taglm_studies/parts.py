"""`taglm data split`: which part each row of a file is in, written for runs to name."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taglm_core.data.rows import TaskRows, load_task_rows
from taglm_core.data.writers import TableWriter
from taglm_core.plugins import Registry
from taglm_core.plugins.resolved import ResolvedTask, resolve_task


def split_file(
    file: Path,
    out: Path,
    registry: Registry,
    task: str,
    split: str | None,
    mapping: Mapping[str, str],
    seed: int,
) -> dict[str, int]:
    """Split a file's rows and write `row` and `part`.

    Args:
        file: Table with the task's fields; targets are not needed.
        out: Table to write.
        registry: Where tasks and splits are looked up.
        task: A registered task, or a run file that declares one.
        split: Registered split; None: the task's own.
        mapping: Field -> column.
        seed: Seed of the split.

    Returns:
        Part -> rows; "" for rows without a part.
    """
    found, columns = _task(task, registry)
    data = _settings(file, split, {**columns, **mapping})
    rows: TaskRows = load_task_rows(found, registry, data, seed, need_targets=False)
    parts = dict(zip(rows.numbers, rows.parts, strict=True)) | {r: "" for r, _ in rows.rejected}
    numbers = sorted(parts)
    with TableWriter(out) as writer:
        writer.write({"row": numbers, "part": [parts[number] for number in numbers]})
    counts = Counter(parts.values())
    return {part: counts[part] for part in ("train", "valid", "test", "") if counts[part]}


def _task(task: str, registry: Registry) -> tuple[ResolvedTask, dict[str, str]]:
    """Return the task and the columns that its run file maps."""
    if not task.endswith((".yaml", ".yml")):
        named = registry.tasks.get(task)
        return resolve_task(named.spec, named.source.name, registry), {}
    from taglm_core.training.declared import configured_task
    from taglm_core.training.settings import read_run_file, run_config

    config = run_config(task, read_run_file(task))
    return configured_task(config.task, registry), config.data.columns


def _settings(file: Path, split: str | None, columns: dict[str, str]) -> Any:
    from taglm_core.training.config import DataConfig, SplitConfig

    return DataConfig(
        file=str(file), columns=columns, split=SplitConfig(name=split), on_error="keep"
    )
