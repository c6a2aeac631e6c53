"""The queue of a service: the event loop puts requests in, one thread predicts them in batches.

Requests for different predictors share a batch. A long request runs in pieces, in turn with the
others, so that a short one behind it does not wait for all of its rows. A stream hears of each of
its pieces, and of texts while they are written.
"""

import itertools
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Any

import attrs

import taglm
from taglm_serve.answers import Answer, Listener, Observer, QueueFullError, StoppingError
from taglm_serve.limits import Limits

logger = logging.getLogger(__name__)

_STREAMED = 32
"""Most rows of a piece of a stream."""

Items = Sequence[tuple["_Job", int]]
"""Requests with the number of their rows to predict now."""


@attrs.define(eq=False)
class _Job:
    """A request on its way."""

    name: str
    columns: dict[str, list[Any]]
    fix: bool
    count: int
    arrived: float
    listener: Listener | None = None
    """Hears of each piece; None: the whole is answered."""
    answer: "Future[Any]" = attrs.field(factory=Future)
    read: Any = None
    """The rows as the predictor read them; None: not yet."""
    next: int = 0
    """The first row that has not been predicted."""
    done: list[Any] = attrs.field(factory=list)
    """Predictions of the pieces so far; of a stream, none."""
    interval: float | None = None
    """Level of the prediction intervals; None: without."""
    work: Callable[[], Any] | None = None
    """What is called instead of predicting rows."""

    def hear(self, row: int, text: Callable[[], str]) -> bool:
        """Hear what has been written of a row; False when nobody waits for it.

        Args:
            row: Index of the row.
            text: Gives all of it.
        """
        if self.listener is not None and not self.answer.done():
            self.listener.on_text(row + 1, text())
        return not self.answer.done()


class Engine:
    """Predicts requests in batches, in a thread of its own."""

    def __init__(self, predictors: "taglm.Predictors", limits: Limits) -> None:
        """Start the thread.

        Args:
            predictors: On one backbone; nothing else may use them while the engine runs.
            limits: How batches are formed, and how many rows may wait.
        """
        self.predictors = predictors
        self.limits = limits
        self.observer: Observer | None = None
        self.waiting_rows = 0
        """Rows that wait or run."""
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self.is_stopping = False
        """Whether the engine finishes what it has and accepts nothing more."""
        self._rate = 0.0
        """Rows a second, of late; 0: nothing was predicted yet."""
        self._thread = threading.Thread(target=self._run, name="taglm-serve", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def is_accepting(self) -> bool:
        """Whether requests are accepted."""
        return self.is_alive and not self.is_stopping

    def submit(
        self,
        name: str,
        columns: dict[str, list[Any]],
        count: int,
        fix: bool = False,
        listener: Listener | None = None,
        interval: float | None = None,
    ) -> "Future[Answer]":
        """Queue the rows of a request; canceling the answer takes them out again.

        The texts of rows that run are not written on then.

        Args:
            name: Of a predictor.
            columns: Its fields.
            count: Number of rows.
            fix: True: rows are first standardized by the rules of their domains.
            listener: Hears of the rows as they come; the answer then has none.
            interval: Level of prediction intervals, at most the predictor's `max_interval`.

        Raises:
            QueueFullError: when as many rows wait as may.
            StoppingError: when the service is being stopped.
        """
        job = _Job(
            name, columns, fix, count, time.monotonic(), listener=listener, interval=interval
        )
        self._queue(job)
        return job.answer

    def call(self, name: str, work: Callable[[], Any]) -> "Future[Any]":
        """Queue some work of a predictor, which waits as one row does.

        Args:
            name: Of the predictor.
            work: Called in the engine's thread; its result is the answer.

        Raises:
            QueueFullError: as `submit`.
            StoppingError: as `submit`.
        """
        job = _Job(name, {}, False, 1, time.monotonic(), work=work)
        self._queue(job)
        return job.answer

    def _queue(self, job: _Job) -> None:
        count = job.count
        with self._changed:
            if not self.is_accepting:
                raise StoppingError
            # a single request may be larger than the limit of the queue
            if self.waiting_rows and self.waiting_rows + count > self.limits.max_queue:
                raise QueueFullError(self._seconds_until(count))
            self.waiting_rows += count
            self._jobs.append(job)
            self._changed.notify()

    def _seconds_until(self, count: int) -> int:
        """Return after how many whole seconds so many rows should find room."""
        if not self._rate:
            return 1
        surplus = self.waiting_rows + count - self.limits.max_queue
        return max(1, min(60, math.ceil(surplus / self._rate)))

    def stop(self) -> None:
        """Accept nothing more, finish what was accepted, and end the thread."""
        with self._changed:
            self.is_stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            began = time.monotonic()
            try:
                self._predict(batch)
            except Exception as error:  # the thread must outlive a fault of one batch
                logger.exception("a batch failed")
                for job, _ in batch:
                    self._end(job, error)
            seconds = time.monotonic() - began
            rows = sum(count for _, count in batch)
            rate = rows / max(seconds, 1e-6)
            self._rate = rate if not self._rate else 0.8 * self._rate + 0.2 * rate
            if self.observer is not None:
                names = {job.name for job, _ in batch}
                self.observer.on_batch(rows, len(names), seconds)

    def _next_batch(self) -> list[tuple[_Job, int]]:
        """Wait for requests; return each with the number of its rows to predict now.

        Empty when the service is being stopped and nothing waits.
        """
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._jobs or self.is_stopping)
                self._wait_for_others()
                batch = self._take()
                if batch or (self.is_stopping and not self._jobs):
                    return batch

    def _wait_for_others(self) -> None:
        """Wait until a batch is full or its first request has waited long enough."""
        while self._jobs and not self.is_stopping:
            until = self._jobs[0].arrived + self.limits.max_wait_ms / 1000
            rest = until - time.monotonic()
            if rest <= 0 or self.waiting_rows >= self.limits.max_batch:
                return
            self._changed.wait(rest)

    def _take(self) -> list[tuple[_Job, int]]:
        batch, room = [], self.limits.max_batch
        while self._jobs and room > 0:
            job = self._jobs.popleft()
            if job.answer.done():  # timed out
                self.waiting_rows -= job.count - job.next
                continue
            count = min(room, job.count - job.next)
            if job.listener is not None:
                count = min(count, _STREAMED)
            batch.append((job, count))
            room -= max(1, count)
        return batch

    def _predict(self, batch: Items) -> None:
        numbers: list[tuple[_Job, int]] = []
        texts: dict[str, list[tuple[_Job, int]]] = {}
        for job, count in batch:
            try:
                if job.work is not None:
                    self._end(job, job.work())
                    continue
                if job.read is None:
                    job.read, _ = self.predictors.read(job.name, job.columns, job.fix)
            except Exception as error:
                self._end(job, error)
                continue
            writes = self.predictors[job.name].task.target.kind == "text"
            (texts.setdefault(job.name, []) if writes else numbers).append((job, count))
        self._predict_together(numbers, self._computed)
        for items in texts.values():
            self._predict_together(items, self._written)

    def _predict_together(self, items: Items, compute: Callable[[Items], Sequence[Any]]) -> None:
        """Predict some requests in one call; if that fails, each alone."""
        if not items:
            return
        try:
            results = compute(items)
        except Exception as error:
            if len(items) == 1:
                self._end(items[0][0], error)
                return
            logger.exception("a batch of %d requests failed; each is run alone", len(items))
            for each in items:
                self._predict_together([each], compute)
            return
        for (job, count), predicted in zip(items, results, strict=True):
            self._advance(job, count, predicted)

    def _computed(self, items: Items) -> Sequence[Any]:
        return self.predictors.predict_rows([(job.name, _piece(job, n)) for job, n in items])

    def _written(self, items: Items) -> Sequence[Any]:
        """Write the texts of requests for one predictor, all of them in one batch."""
        owners = [(job, job.next + k) for job, count in items for k in range(count)]

        def watch(place: int, text: Callable[[], str]) -> bool:
            job, row = owners[place]
            return job.hear(row, text)

        predictor = self.predictors[items[0][0].name]
        pieces = [_piece(job, count) for job, count in items]
        written = predictor.write_rows(_joined(pieces), watch)
        ends = itertools.accumulate(len(piece.errors) for piece in pieces)
        return [_part(written, e - len(p.errors), e) for p, e in zip(pieces, ends, strict=True)]

    def _advance(self, job: _Job, count: int, predicted: Any) -> None:
        """Keep or tell the predictions of a piece; answer when it was the last one."""
        if job.listener is not None and not job.answer.done():
            job.listener.on_rows(job.next + 1, self._answer(job, _piece(job, count), [predicted]))
        else:
            job.done.append(predicted)
        if job.next + count < job.count and not job.answer.done():
            with self._changed:
                job.next += count
                self.waiting_rows -= count
                self._jobs.append(job)
            return
        self._end(job, self._answer(job, job.read, job.done))

    def _answer(self, job: _Job, rows: Any, pieces: Sequence[Any]) -> Answer:
        """Return the predictions of rows of a request, which were made in pieces."""
        if not pieces:
            return Answer({}, [], {}, {}, {})
        columns = {
            name: [value for piece in pieces for value in piece.columns[name]]
            for name in pieces[0].columns
        }
        errors = [error for piece in pieces for error in piece.errors]
        predictor = self.predictors[job.name]
        similar = predictor.similar(rows, errors)
        ends = [predictor.interval(piece, job.interval) for piece in pieces]
        interval = {name: [value for each in ends for value in each[name]] for name in ends[0]}
        return Answer(columns, errors, dict(job.read.fixed), similar, interval)

    def _end(self, job: _Job, outcome: Any) -> None:
        """Answer a request, unless it was answered or canceled before."""
        with self._changed:
            self.waiting_rows -= job.count - job.next
            job.next = job.count
        try:
            if isinstance(outcome, Exception):
                job.answer.set_exception(outcome)
            else:
                job.answer.set_result(outcome)
        except InvalidStateError:
            logger.debug("%s: answered after its time", job.name)


def _piece(job: _Job, count: int) -> Any:
    """Return the next rows of a request."""
    rows, begin, end = job.read, job.next, job.next + count
    fields = {name: values[begin:end] for name, values in rows.fields.items()}
    return attrs.evolve(rows, fields=fields, errors=rows.errors[begin:end], fixed=[])


def _joined(pieces: Sequence[Any]) -> Any:
    """Return the rows of several pieces for one predictor as one."""
    fields = {
        name: [value for piece in pieces for value in piece.fields[name]]
        for name in pieces[0].fields
    }
    errors = [error for piece in pieces for error in piece.errors]
    return attrs.evolve(pieces[0], fields=fields, errors=errors)


def _part(predicted: Any, begin: int, end: int) -> Any:
    """Return the predictions of some rows."""
    columns = {name: values[begin:end] for name, values in predicted.columns.items()}
    errors = predicted.errors[begin:end]
    return attrs.evolve(predicted, columns=columns, errors=errors, values=None, good=[])
