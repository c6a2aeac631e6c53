"""What a service counts, in the text format of Prometheus."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from taglm_serve.engine import Engine

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counters of one service."""

    def __init__(self, engine: "Engine") -> None:
        """Count what an engine does, from now on."""
        own = self._registry = CollectorRegistry()
        self.requests = Counter(
            "taglm_requests", "Requests for predictions.", ["predictor", "status"], registry=own
        )
        self.rows = Counter("taglm_rows", "Rows predicted.", ["predictor"], registry=own)
        self.row_errors = Counter("taglm_row_errors", "Invalid rows.", ["predictor"], registry=own)
        self.seconds = Histogram(
            "taglm_request_seconds",
            "Seconds from the arrival of a request to its answer.",
            ["predictor"],
            registry=own,
            buckets=_SECONDS,
        )
        self._batch_rows = Histogram(
            "taglm_batch_rows", "Rows of a batch.", registry=own, buckets=_ROWS
        )
        self._batch_predictors = Histogram(
            "taglm_batch_predictors", "Predictors of a batch.", registry=own, buckets=(1, 2, 4, 8)
        )
        self._batch_seconds = Histogram(
            "taglm_batch_seconds", "Seconds of a batch.", registry=own, buckets=_SECONDS
        )
        predictors = engine.predictors
        _gauge(own, "taglm_waiting_rows", "Rows that wait or run.", lambda: engine.waiting_rows)
        _gauge(
            own, "taglm_cache_bytes", "Bytes of cached segments.", lambda: predictors.cache_bytes
        )
        _gauge(
            own,
            "taglm_cache_limit_bytes",
            "Memory limit of cached segments in bytes.",
            lambda: predictors.cache_limit_bytes,
        )
        engine.observer = self

    def on_batch(self, rows: int, predictors: int, seconds: float) -> None:
        """Count a batch."""
        self._batch_rows.observe(rows)
        self._batch_predictors.observe(predictors)
        self._batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """Return all counts."""
        return generate_latest(self._registry)


def _gauge(registry: CollectorRegistry, name: str, help: str, read: Callable[[], float]) -> None:
    Gauge(name, help, registry=registry).set_function(read)
