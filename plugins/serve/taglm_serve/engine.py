"""The queue of a service: the event loop puts requests in, one thread predicts them in batches.

Requests for different predictors share a batch. A long request runs in pieces, in turn with the
others, so that a short one behind it does not wait for all of its rows.
"""

import logging
import math
import threading
import time
from collections import deque
from concurrent.futures import Future, InvalidStateError
from typing import Any, Protocol

import attrs

import taglm
from taglm_serve.limits import Limits

logger = logging.getLogger(__name__)


class QueueFullError(Exception):
    """More rows wait than the limit allows."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many rows are waiting; try again in {retry_after} s")
        self.retry_after = retry_after
        """Seconds until there should be room."""


class StoppingError(Exception):
    """The service is being stopped and accepts nothing more."""


@attrs.frozen
class Answer:
    """Predictions for the rows of a request."""

    columns: dict[str, list[Any]]
    """Prediction column -> values, None where a row has an error."""
    errors: list[str | None]
    """One entry a row."""
    fixed: dict[int, str]
    """Row number -> what was changed in it."""
    similar: dict[str, list[Any]]
    """Columns of the similarity of rows to the training rows; {}: the predictor cannot tell."""


class Observer(Protocol):
    """Hears what the thread does."""

    def on_batch(self, rows: int, predictors: int, seconds: float) -> None:
        """Hear that a batch was predicted."""
        ...


@attrs.define(eq=False)
class _Job:
    """A request on its way."""

    name: str
    columns: dict[str, list[Any]]
    fix: bool
    count: int
    arrived: float
    answer: "Future[Answer]" = attrs.field(factory=Future)
    read: Any = None
    """The rows as the predictor read them; None: not yet."""
    next: int = 0
    """The first row that has not been predicted."""
    done: list[Any] = attrs.field(factory=list)
    """Predictions of the pieces so far."""


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
        self, name: str, columns: dict[str, list[Any]], count: int, fix: bool = False
    ) -> "Future[Answer]":
        """Queue the rows of a request; canceling the answer takes them out again.

        Args:
            name: Of a predictor.
            columns: Its fields.
            count: Number of rows.
            fix: True: rows are first standardized by the rules of their domains.

        Raises:
            QueueFullError: when as many rows wait as may.
            StoppingError: when the service is being stopped.
        """
        job = _Job(name, columns, fix, count, time.monotonic())
        with self._changed:
            if not self.is_accepting:
                raise StoppingError
            # a single request may be larger than the limit of the queue
            if self.waiting_rows and self.waiting_rows + count > self.limits.max_queue:
                raise QueueFullError(self._seconds_until(count))
            self.waiting_rows += count
            self._jobs.append(job)
            self._changed.notify()
        return job.answer

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
            batch.append((job, count))
            room -= max(1, count)
        return batch

    def _predict(self, batch: list[tuple[_Job, int]]) -> None:
        ready, parts = [], []
        for job, count in batch:
            try:
                if job.read is None:
                    job.read, _ = self.predictors.read(job.name, job.columns, job.fix)
            except Exception as error:
                self._end(job, error)
                continue
            ready.append((job, count))
            parts.append((job.name, _piece(job.read, job.next, job.next + count)))
        if not ready:
            return
        try:
            results = self.predictors.predict_rows(parts)
        except Exception:
            if len(parts) == 1:
                raise
            logger.exception("a batch of %d requests failed; each is run alone", len(parts))
            for each in ready:
                self._predict_alone(*each)
            return
        for (job, count), predicted in zip(ready, results, strict=True):
            self._advance(job, count, predicted)

    def _predict_alone(self, job: _Job, count: int) -> None:
        try:
            self._predict([(job, count)])
        except Exception as error:
            self._end(job, error)

    def _advance(self, job: _Job, count: int, predicted: Any) -> None:
        """Keep the predictions of a piece; answer when it was the last one."""
        job.done.append(predicted)
        if job.next + count < job.count and not job.answer.done():
            with self._changed:
                job.next += count
                self.waiting_rows -= count
                self._jobs.append(job)
            return
        columns: dict[str, list[Any]] = {name: [] for name in predicted.columns}
        for piece in job.done:
            for name, values in piece.columns.items():
                columns[name] += values
        errors = [error for piece in job.done for error in piece.errors]
        similar = self.predictors[job.name].similar(job.read, errors)
        self._end(job, Answer(columns, errors, dict(job.read.fixed), similar))

    def _end(self, job: _Job, outcome: Answer | Exception) -> None:
        """Answer a request, unless it was answered or canceled before."""
        with self._changed:
            self.waiting_rows -= job.count - job.next
            job.next = job.count
        try:
            if isinstance(outcome, Answer):
                job.answer.set_result(outcome)
            else:
                job.answer.set_exception(outcome)
        except InvalidStateError:
            logger.debug("%s: answered after its time", job.name)


def _piece(rows: Any, begin: int, end: int) -> Any:
    """Return some of the rows that a predictor read."""
    fields = {name: values[begin:end] for name, values in rows.fields.items()}
    return attrs.evolve(rows, fields=fields, errors=rows.errors[begin:end], fixed=[])
