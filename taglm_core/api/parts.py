"""Predicting a file in parts on an engine; parts that have finished outlive an interruption."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from taglm_core.api.partworker import PackedRun
from taglm_core.data.digests import path_digest
from taglm_core.data.readers import iter_tables
from taglm_core.data.table import Table
from taglm_core.data.writers import TableWriter
from taglm_core.errors import DataError, counted
from taglm_core.inference.files import PartOptions, PredictedPart, Written, write_parts
from taglm_core.inference.intervals import check_intervals
from taglm_core.inference.partfolder import PartFolder
from taglm_core.inference.sharedspans import SpanFacts
from taglm_core.inference.spanplan import (
    NODE,
    Rates,
    Recurring,
    SpanPlan,
    Value,
    plan_spans,
    values_of,
)
from taglm_core.inference.spanrates import measured_rates
from taglm_core.plugins import load_registry
from taglm_core.plugins.compatibility import core_version
from taglm_core.progress import Progress, progress_bar, reporting
from taglm_core.specs import Call, Workers
from taglm_core.store.artifact import find_artifact, read_artifact
from taglm_core.store.fingerprint import fingerprint_of
from taglm_core.store.runfolder import PREDICTOR
from taglm_core.store.tagstore import TagStore

_WORKER = "taglm_core.api.partworker:PartWorker"
_SAMPLE = 64
"""Rows on which the cost of a span is measured."""
_MOST_ROWS, _LEAST_ROWS = 20_000, 500
"""Rows of a part where the user does not say: an eighth of what a worker has, within these."""
_PARTS_A_WORKER = 8
_BUNDLE_BYTES = 32 * 2**20
"""Spans that are computed by one call and kept together."""
_BUNDLE_ROWS = 256


@attrs.frozen(kw_only=True)
class PartsRequest:
    """What is predicted in parts, and how."""

    run: Path
    """Folder of a run or of a predictor."""
    task: str | None
    """Which task of a run with several."""
    options: Mapping[str, Any]
    """Further arguments of `taglm.load`."""
    source: Path
    """The table."""
    output: Path
    """The file that is written."""
    how: PartOptions
    part_rows: int | None = None
    """Rows of a part; None: by the number of rows and workers."""

    def identity(self, packed: PackedRun) -> dict[str, Any]:
        """Return what decides the output, as plain data."""
        options = {k: v for k, v in self.options.items() if k not in ("device", "cache")}
        folders = [tag.partition("=")[2] for tag in options.get("tags", ())]
        names = [tag for tag in options.get("tags", ()) if "=" not in tag]
        contents = {n: hashlib.sha256(data).hexdigest() for n, data in packed.files.items()}
        return {
            "version": core_version(),
            "predictor": fingerprint_of(contents),
            "input": path_digest(self.source),
            "tags": [path_digest(folder) for folder in folders if folder],
            "stored_tags": _stored_tags(names) if names else {},
            "options": options,
            "how": attrs.asdict(self.how),
            "chunk_rows": self.part_rows,
        }


def _stored_tags(names: Sequence[str]) -> dict[str, str]:
    """Return digests of the trained tags that names may mean, a plugin's packaged ones included.

    Args:
        names: As `--tag` takes them, with or without the plugin.

    Returns:
        `BACKBONE_KEY/PLUGIN/TAG` -> digest of the newest one, since only a loaded backbone tells
        which of them will be taken.
    """
    store = TagStore.of(load_registry())
    shorts = {name.rpartition("/")[2] for name in names}
    entries = [e for e in store.entries() if e.name.rpartition("/")[2] in shorts]
    found = {}
    for backbone_key, name in sorted({(e.backbone_key, e.name) for e in entries}):
        if (newest := store.newest(backbone_key, name)) is not None:
            found[f"{backbone_key}/{name}"] = path_digest(newest.folder)
    return found


def packed_run(folder: Path, task: str | None) -> PackedRun:
    """Read a predictor and what its run says of it.

    Raises:
        CheckpointError: when there is none, or several and none is named.
    """
    artifact = find_artifact(folder, task)
    top = artifact
    if artifact.name == PREDICTOR:
        top = artifact.parent
        if top.parent.name == "tasks":
            top = top.parent.parent
    found = [file for file in artifact.rglob("*") if file.is_file()]
    places = {top, artifact.parent} if top != artifact else set()
    found += [place / name for place in places for name in ("metrics.json", "split.csv")]
    files = {str(file.relative_to(top)): file.read_bytes() for file in found if file.is_file()}
    return PackedRun(folder=str(top), files=files, artifact=str(artifact.relative_to(top)))


def predict_in_parts(workers: Workers, request: PartsRequest, progress: Progress) -> Written:
    """Predict a file on the workers of an engine, and write what predicting it here would write.

    Parts that have finished are kept beside the output until it is whole; the same request goes on
    from them.

    Args:
        workers: Open.
        request: What is predicted.
        progress: Hears of the plan and of the parts.

    Raises:
        DataError: as `Predictor.predict`.
        CheckpointError: when there is no predictor, or the parts are in use.
    """
    writing = TableWriter(request.output, reads=[request.source])
    if request.how.interval is not None:
        artifact = read_artifact(request.run, request.task)
        check_intervals(artifact.intervals, artifact.task.spec, request.how.interval)
    packed = packed_run(request.run, request.task)
    folder = PartFolder(request.output)
    sharing = math.ceil(workers.count / len(workers.nodes))
    arguments = {
        "run": packed,
        "options": dict(request.options),
        "how": request.how,
        "sharing": sharing,
    }
    workers.start(_WORKER, arguments)
    sample = next(iter_tables(request.source, _SAMPLE, sheet=request.how.sheet))
    facts: SpanFacts = _answer(workers, Call(method="facts", arguments=(sample,)))
    limits: dict[str, float] = _answer(workers, Call(method="limits"))
    seen = Recurring(facts.columns)
    for table in iter_tables(request.source, _MOST_ROWS, sheet=request.how.sheet):
        seen.add(table)
    part_rows = request.part_rows or _part_rows(seen.num_rows, workers.count)
    part_rows, dropped = folder.open(request.identity(packed), part_rows)
    is_whole = False
    try:
        if dropped:
            progress.say(f"{folder.path}: {dropped}")
        job = _Job(workers, request, folder, seen, part_rows, progress)
        with reporting(progress):
            job.predict(facts, sample)
            written = write_parts(writing, job.assembled(), limits)
        is_whole = True
        return written
    finally:
        done = folder.finished()
        folder.close(is_whole or not done)
        if done and not is_whole:
            progress.say(
                f"{len(done)} of {job.num_parts} parts are stored in {folder.path}; the same "
                "command continues from there"
            )


def _answer(workers: Workers, call: Call) -> Any:
    return next(value for _, value in workers.run([call]))


def _part_rows(num_rows: int, num_workers: int) -> int:
    share = math.ceil(num_rows / (_PARTS_A_WORKER * num_workers))
    return min(max(share, _LEAST_ROWS), _MOST_ROWS)


@attrs.define
class _Job:
    """A table on its way through the workers."""

    workers: Workers
    request: PartsRequest
    folder: PartFolder
    seen: Recurring
    part_rows: int
    progress: Progress

    @property
    def num_parts(self) -> int:
        """Parts of the table, the last of which may be shorter."""
        return math.ceil(self.seen.num_rows / self.part_rows)

    def predict(self, facts: SpanFacts, sample: Table) -> None:
        """Predict the parts that have not finished."""
        finished = self.folder.finished()
        waiting = self.num_parts - len(finished)
        text = f"{counted(self.num_parts, 'part')} of {self.part_rows:,} rows"
        text += f" on {counted(self.workers.count, 'worker')}"
        if len(self.workers.nodes) > 1:
            text += f" of {len(self.workers.nodes)} nodes"
        self.progress.say(text + (f"; {len(finished)} finished before" if finished else ""))
        if not waiting:
            return
        spans = _SharedSpans(self.workers, facts, sample, self.progress.say)
        if self.num_parts > 1:
            spans.compute(self.seen, self.part_rows)
        numbers: list[int] = []
        done = sum(self._rows_of(number) for number in finished)
        with progress_bar("predicting", self.seen.num_rows) as advance:
            advance(done)
            for index, part in self.workers.run(self._calls(finished, numbers, spans)):
                self.folder.write(numbers[index], part)
                done += self._rows_of(numbers[index])
                advance(done)

    def _rows_of(self, number: int) -> int:
        return min(self.part_rows, self.seen.num_rows - number * self.part_rows)

    def _calls(
        self, finished: set[int], numbers: list[int], spans: "_SharedSpans"
    ) -> Iterator[Call]:
        """Yield the calls of the parts that have not finished; `numbers` takes those of parts."""
        for number, table in enumerate(self._tables()):
            if number not in finished:
                numbers.append(number)
                yield Call(method="predict", arguments=(table,), shared=spans.of(table))

    def _tables(self) -> Iterator[Table]:
        request = self.request
        return iter_tables(request.source, self.part_rows, sheet=request.how.sheet)

    def assembled(self) -> Iterator[tuple[Table, PredictedPart]]:
        """Yield the parts beside the rows of the table, in their order."""
        for number, table in enumerate(self._tables()):
            yield table, self._part(number, table)

    def _part(self, number: int, table: Table) -> PredictedPart:
        part = self.folder.read(number)
        if len(part.columns["error"]) != table.num_rows:
            raise DataError(
                f"{self.request.source} has changed while it was predicted. Run the command again."
            )
        return part


class _SharedSpans:
    """Spans that recur in several parts, kept on the workers' nodes."""

    def __init__(
        self, workers: Workers, facts: SpanFacts, sample: Table, say: Callable[[str], None]
    ) -> None:
        """Compute nothing yet.

        Args:
            workers: Compute and keep them.
            facts: What a span costs.
            sample: Rows of the table, whose other columns stand beside spans.
            say: Hears the plan.
        """
        self._say = say
        self._workers = workers
        self._facts = facts
        self._beside = {name: values[0] for name, values in sample.columns.items()}
        self._source = sample.source
        self._bundle_of: dict[tuple[str, Value], int] = {}
        self._handles: dict[str, list[Any]] = {}

    def compute(self, seen: Recurring, part_rows: int) -> None:
        """Plan, say the plan in a sentence, and compute what is shared."""
        recurring = {} if self._facts.reason else seen.in_parts(part_rows)
        rates = Rates(reading=math.inf, sending=math.inf)
        if any(recurring.values()):
            rates = measured_rates(self._workers)
        nodes = self._workers.nodes
        limit = self._workers.shared_bytes // 2
        count = self._workers.count
        plan = plan_spans(self._facts, recurring, len(nodes), count, rates, limit)
        self._say(plan.reason)
        tables = list(self._tables(plan))
        places: Sequence[str | None] = nodes if plan.where == NODE else [None]
        calls = [
            Call(method="spans", arguments=(table, fields), node=node, keeps=True)
            for node in places
            for table, fields in tables
        ]
        if calls:
            with progress_bar("spans of several parts", len(calls)) as advance:
                handles: dict[int, Any] = {}
                for index, handle in self._workers.run(calls):
                    handles[index] = handle
                    advance(len(handles))
            for place, node in enumerate(places):
                own = [handles[place * len(tables) + k] for k in range(len(tables))]
                self._handles |= {name: own for name in ([node] if node is not None else nodes)}

    def _tables(self, plan: SpanPlan) -> Iterator[tuple[Table, list[str]]]:
        """Yield a table for each bundle, which hold each shared value once, and the fields."""
        tokens = sum(self._facts.tokens.get(field, 0.0) for field in plan.values) or 1.0
        size = int(_BUNDLE_BYTES / (tokens * self._facts.token_bytes))
        most = max((len(values) for values in plan.values.values()), default=0)
        size = max(1, min(size, _BUNDLE_ROWS, math.ceil(most / self._workers.count)))
        for begin in range(0, most, size):
            chosen = {f: v[begin : begin + size] for f, v in plan.values.items() if v[begin:]}
            count = max(map(len, chosen.values()))
            columns = {name: [cell] * count for name, cell in self._beside.items()}
            for field, values in chosen.items():
                filled = [*values, *[values[-1]] * (count - len(values))]
                for place, name in enumerate(self._facts.columns[field]):
                    columns[name] = [value[place] for value in filled]
                self._bundle_of |= {(field, value): begin // size for value in values}
            rows = list(range(1, count + 1))
            yield Table(columns=columns, rows=rows, source=self._source), list(chosen)

    def of(self, table: Table) -> Callable[[str], Sequence[Any]]:
        """Return what gives, for a node, the handles of the spans that rows need."""
        if not self._handles:
            return lambda node: ()
        needed: set[int] = set()
        for field, columns in self._facts.columns.items():
            for value in set(values_of(table, columns)):
                bundle = self._bundle_of.get((field, value))
                if bundle is not None:
                    needed.add(bundle)
        order = sorted(needed)
        return lambda node: [self._handles[node][bundle] for bundle in order]
