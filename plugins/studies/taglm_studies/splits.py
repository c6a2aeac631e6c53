"""`taglm data split`: which split each row of a file is in, written for runs to name."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from taglm_core.plugin import Registry, TableWriter, find_task, read_task_rows


def split_file(
    file: Path,
    out: Path,
    registry: Registry,
    task: str,
    split: str | None,
    mapping: Mapping[str, str],
    seed: int,
) -> dict[str, int]:
    """Split a file's rows and write `row` and `split`.

    Args:
        file: Table with the task's fields; targets are not needed.
        out: Table to write.
        registry: Where tasks and splits are looked up.
        task: A registered task, or a run file that declares one.
        split: Registered split; None: the task's own.
        mapping: Field -> column.
        seed: Seed of the split.

    Returns:
        Part -> rows; "" for rows without a split.
    """
    writer = TableWriter(out, reads=[file])
    resolved, columns = find_task(task, registry)
    rows = read_task_rows(
        file, resolved, registry, split=split, columns={**columns, **mapping}, seed=seed
    )
    splits = dict(zip(rows.numbers, rows.splits, strict=True)) | {r: "" for r, _ in rows.rejected}
    numbers = sorted(splits)
    with writer:
        writer.write({"row": numbers, "split": [splits[number] for number in numbers]})
    counts = Counter(splits.values())
    return {split: counts[split] for split in ("train", "valid", "test", "") if counts[split]}
