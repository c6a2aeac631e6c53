"""What an engine costs: `taglm predict` here and on an engine with one worker, side by side.

Both read the same table with the same predictor and write the same file; rows recur so that
little is left to compute and the share of the engine is as large as it can be. The times hold
loading, plan, parts, their files and putting them together. On a machine that does other work too,
the times of the processor tell more than those on the wall.

    python benchmarks/engines.py runs/qed molecules.csv --rows 100000 --engine ray
"""

import argparse
import csv
import itertools
import os
import tempfile
import time
from pathlib import Path

import psutil

import taglm
from taglm_core import Call
from taglm_core.api.parts import PartsRequest, predict_in_parts
from taglm_core.inference.engines import opened_engine
from taglm_core.inference.files import PartOptions
from taglm_core.plugins import load_registry
from taglm_core.progress import Silent


def write_rows(source: Path, target: Path, count: int) -> None:
    """Write so many rows of a table, repeated from the beginning where it has fewer."""
    with source.open(newline="") as file:
        head, *rows = csv.reader(file)
    with target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(itertools.islice(itertools.cycle(rows), count))


class Clock:
    """Seconds on the wall, and seconds of processor time of this process and its children."""

    def __init__(self) -> None:
        self._began = (time.perf_counter(), _processor_seconds())

    def read(self) -> tuple[float, float]:
        """Return both since the beginning."""
        return time.perf_counter() - self._began[0], _processor_seconds() - self._began[1]


def _processor_seconds() -> float:
    mine = [psutil.Process(), *psutil.Process().children(recursive=True)]
    times = [process.cpu_times() for process in mine if process.is_running()]
    return sum(each.user + each.system for each in times)


def measured_here(run: Path, table: Path, output: Path, part_rows: int) -> tuple[float, float]:
    """Load the predictor and predict in this process."""
    clock = Clock()
    taglm.load(run).predict(str(table), output, chunk_rows=part_rows, progress=False)
    return clock.read()


def measured_on(
    engine: str, run: Path, table: Path, output: Path, part_rows: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return what starting an engine of one worker takes, then what predicting on it does."""
    how = PartOptions(columns={}, fix=False, on_error="skip", overwrite=False, similarity=True)
    request = PartsRequest(
        run=run,
        task=None,
        options={},
        source=table,
        output=output,
        how=how,
        part_rows=part_rows,
    )
    clock = Clock()
    with opened_engine(engine, load_registry(), None, 1) as workers:
        assert workers is not None, "an engine is named"
        # the worker imports what loading a predictor imports, as this process did before
        workers.start("importlib:import_module", {"name": "taglm_core.api.partworker"})
        list(workers.run([Call(method="__dir__")]))
        start, clock = clock.read(), Clock()
        predict_in_parts(workers, request, Silent())
        return start, clock.read()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("table", type=Path, help="csv with the columns of its task")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--part-rows", type=int, default=10_000)
    parser.add_argument("--engine", default="ray")
    parser.add_argument("--repeats", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "rows.csv"
        write_rows(asked.table, table, asked.rows)
        for _ in range(asked.repeats):
            paths = [Path(folder) / name for name in ("here.csv", "engine.csv")]
            here = measured_here(asked.run, table, paths[0], asked.part_rows)
            start, there = measured_on(asked.engine, asked.run, table, paths[1], asked.part_rows)
            same = paths[0].read_bytes() == paths[1].read_bytes()
            print(
                f"{asked.rows:,} rows in parts of {asked.part_rows:,}: here {_shown(here)}, "
                f"{asked.engine} {_shown(there)} and {_shown(start)} to start, ratio "
                f"{there[0] / here[0]:.2f} on the wall, {there[1] / here[1]:.2f} of the processor; "
                f"files {'equal' if same else 'differ'}; load average {os.getloadavg()[0]:.1f}"
            )


def _shown(times: tuple[float, float]) -> str:
    return f"{times[0]:.1f} s ({times[1]:.1f} s of the processor)"


if __name__ == "__main__":
    main()
