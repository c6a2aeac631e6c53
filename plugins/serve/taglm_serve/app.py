"""The application: routes, answers and errors of a service."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from importlib.resources import files
from typing import Any

import attrs
from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel

import taglm
from taglm_core.plugin import interval_names
from taglm_serve import __version__
from taglm_serve.answers import Answer, Listener
from taglm_serve.attention import attention_of
from taglm_serve.engine import Engine
from taglm_serve.faults import FAULTS, ServiceError, add_handlers, fault_of, stopping
from taglm_serve.guard import Guard
from taglm_serve.jsonbody import StrictRoute
from taglm_serve.limits import Limits
from taglm_serve.metrics import CONTENT_TYPE, Metrics
from taglm_serve.models import (
    Attention,
    FaultBody,
    Health,
    PredictorFacts,
    ServiceFacts,
    answer_model,
    facts_of,
    request_model,
    row_model,
    row_request_model,
)
from taglm_serve.stream import EVENT, EVENTS, Events, EventStream, event_text

logger = logging.getLogger(__name__)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
_POLICY += "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
_POLICY += "frame-ancestors 'none'"
UNLIKE = "unlike_training"
"""Column of predictions that tells whether a row is unlike the training rows."""
_DIGITS = 6  # significant digits of predictions, as in the files that `taglm predict` writes

_STREAM = """Server-sent events. `row`: an entry of `rows` of a prediction, in order. `text`, while
a text is written: `row` and the `text` that was added. Finally `end` with `rows` and `num_errors`,
or `error` with the body that such an answer has elsewhere. Close the connection to stop."""
_LEFT = 499
"""Counted as the status of a stream whose client has left."""


class Service:
    """Predictors with the engine that runs them and the application in front of it."""

    def __init__(
        self, predictors: "taglm.Predictors", limits: Limits, token: str | None = None
    ) -> None:
        """Start the engine and build the application.

        Args:
            predictors: By the names that paths have.
            limits: What is accepted.
            token: What requests must bring; None: nothing.
        """
        self.predictors = predictors
        self.limits = limits
        self.engine = Engine(predictors, limits)
        self.metrics = Metrics(self.engine)
        self._predictor_at: dict[str, str] = {}
        self.api = self._build(token)
        self.app = Guard(self.api, limits, token, self._on_refused)

    def _build(self, token: str | None) -> FastAPI:
        @contextlib.asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            yield
            await asyncio.to_thread(self.engine.stop)

        api = FastAPI(
            title="taglm serve",
            version=__version__,
            description="Predictions of taglm. Invalid rows have an error; the others a value.",
            docs_url=None,  # both pages load scripts from other hosts
            redoc_url=None,
            lifespan=lifespan,
            strict_content_type=False,
        )
        api.router.route_class = StrictRoute
        add_handlers(api, self._on_refused)
        secured: list[Any] = []
        faults = dict(FAULTS)
        if token is not None:
            secured = [Depends(HTTPBearer(auto_error=False))]
            faults[401] = {"model": FaultBody, "description": "The token is missing or wrong."}
        self._add_pages(api, secured, faults)
        for name in self.predictors:
            self._add_predictor(api, name, secured, faults)
        return api

    def _add_pages(self, api: FastAPI, secured: list[Any], faults: dict[int | str, Any]) -> None:
        page = files("taglm_serve").joinpath("page.html").read_text(encoding="utf-8")
        unauthorized: dict[int | str, Any] = {
            key: fault for key, fault in faults.items() if key == 401
        }

        @api.get("/", include_in_schema=False)
        async def show_page() -> HTMLResponse:
            headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
            return HTMLResponse(page, headers=headers)

        @api.get("/healthz", summary="Whether the process works", tags=["state"])
        async def healthz() -> Health:
            if not self.engine.is_alive and not self.engine.is_stopping:
                raise ServiceError(
                    503, "failed", "the thread that predicts has ended; restart the service"
                )
            return Health(status="ok")

        ready: dict[int | str, Any] = {503: FAULTS[503]}

        @api.get(
            "/readyz", summary="Whether requests are accepted", tags=["state"], responses=ready
        )
        async def readyz() -> Health:
            if not self.engine.is_accepting:
                raise stopping()
            return Health(status="ok")

        @api.get(
            "/metrics",
            summary="Counts for Prometheus",
            tags=["state"],
            dependencies=secured,
            response_class=Response,
            responses={200: {"content": {CONTENT_TYPE: {}}}, **unauthorized},
        )
        async def metrics() -> Response:
            return Response(self.metrics.text(), headers={"content-type": CONTENT_TYPE})

        @api.get(
            "/v1/predictors",
            summary="The predictors and limits of this service",
            tags=["predictors"],
            dependencies=secured,
            responses=unauthorized,
        )
        async def list_predictors() -> ServiceFacts:
            return self.facts()

    def facts(self) -> ServiceFacts:
        """Return what the service says of itself."""
        some = next(iter(self.predictors.values()))
        listed: list[PredictorFacts] = [facts_of(*item) for item in self.predictors.items()]
        return ServiceFacts(
            backbone=some.task_model.model.backbone.name,
            max_rows=self.limits.max_rows,
            max_bytes=self.limits.max_body,
            predictors=listed,
        )

    def _endpoints(self, name: str) -> tuple[Callable[[Any], Any], ...]:
        """Return what answers requests for predictions, for a stream of them, for attention."""
        predictor = self.predictors[name]

        async def predict(request: Any) -> JSONResponse:
            with self._counted(name) as outcome:
                answer = await self._answer(name, request)
                outcome.status = 200
            return JSONResponse(answer)

        async def stream(request: Any) -> EventStream:
            with contextlib.ExitStack() as stack:
                outcome = stack.enter_context(self._counted(name))
                events, job = self._streamed(name, request, outcome)
                stack.callback(job.cancel)  # of no effect when all was answered
                return EventStream(events, stack.pop_all().close)

        async def attention(request: Any) -> Attention:
            values = {f: getattr(request.row, f"field_{k}") for k, f in enumerate(predictor.fields)}
            with self._counted(name) as outcome:
                found: Attention = await self._in_time(
                    name,
                    lambda: self.engine.call(
                        name, lambda: attention_of(name, predictor, values, request.fix)
                    ),
                )
                outcome.status = 200
            return found

        return predict, stream, attention

    def _add_predictor(
        self, api: FastAPI, name: str, secured: list[Any], faults: dict[int | str, Any]
    ) -> None:
        predictor = self.predictors[name]
        row = row_model(name, predictor)
        model = request_model(name, predictor, row, self.limits)
        predict, stream, attention = self._endpoints(name)
        path = f"/v1/predictors/{name}"
        words = ", ".join(predictor.names)
        answer: dict[int | str, Any] = {200: {"model": answer_model(name, predictor)}}
        told: dict[int | str, Any] = {
            200: {"description": _STREAM, "content": {EVENTS: EVENT}},
            **{status: fault for status, fault in faults.items() if status not in (500, 504)},
        }
        one, read = (
            row_request_model(name, row),
            "Attention of the function tag to a row, with a drawing",
        )
        for function, kind, summary, body, responses in (
            (predict, "predict", f"Predict {words}", model, {**answer, **faults}),
            (stream, "stream", f"Predict {words}, and send each row as it comes", model, told),
            (attention, "attention", read, one, faults),
        ):
            self._predictor_at[f"{path}/{kind}"] = name
            function.__annotations__["request"] = body
            api.post(
                f"{path}/{kind}",
                summary=summary,
                operation_id=f"{kind}_{name}",
                tags=["predictors"],
                dependencies=secured,
                status_code=200,
                response_class=Response if kind == "stream" else JSONResponse,
                responses=responses,
            )(function)

    @contextlib.contextmanager
    def _counted(self, name: str) -> Iterator["_Outcome"]:
        """Count a request by its status when it ends."""
        began, outcome = time.perf_counter(), _Outcome()
        try:
            yield outcome
        except ServiceError as error:
            outcome.status = error.status
            raise
        finally:
            self.metrics.requests.labels(name, str(outcome.status)).inc()
            self.metrics.seconds.labels(name).observe(time.perf_counter() - began)

    def _on_refused(self, path: str, status: int) -> None:
        """Count a request to a predictor that was answered before its rows were looked at."""
        if path in self._predictor_at:  # others would let anybody make new counters
            self.metrics.requests.labels(self._predictor_at[path], str(status)).inc()

    async def _answer(self, name: str, request: Any) -> dict[str, Any]:
        answer: Answer = await self._in_time(name, lambda: self._submitted(name, request))
        self._count_rows(name, answer)
        num_errors = sum(error is not None for error in answer.errors)
        return {"predictor": name, "num_errors": num_errors, "rows": _rows(answer)}

    async def _in_time(self, name: str, submit: "Callable[[], Future[Any]]") -> Any:
        """Queue a request, and return its answer; raise what a client hears of an error."""
        try:
            return await asyncio.wait_for(asyncio.wrap_future(submit()), self.limits.timeout)
        except Exception as error:
            raise fault_of(error, name, self.limits.timeout) from error

    def _streamed(
        self, name: str, request: Any, outcome: "_Outcome"
    ) -> "tuple[AsyncIterator[str], Future[Answer]]":
        """Queue a request; return the events of its rows, and the answer that ends them."""
        events = Events()
        try:
            job = self._submitted(name, request, events)
        except Exception as error:
            raise fault_of(error, name, self.limits.timeout) from error
        job.add_done_callback(events.on_end)
        outcome.status = _LEFT  # unless the events come to their end

        async def sent() -> AsyncIterator[str]:
            rows = num_errors = 0
            try:
                async for row, told in events.each(self.limits.timeout):
                    if isinstance(told, str):
                        yield event_text("text", {"row": row, "text": told})
                        continue
                    self._count_rows(name, told)
                    for record in _rows(told, row):
                        rows, num_errors = rows + 1, num_errors + (record["error"] is not None)
                        yield event_text("row", record)
                job.result(0)
            except Exception as error:
                fault = fault_of(error, name, self.limits.timeout)
                outcome.status = fault.status
                yield event_text("error", fault.body)
            else:
                outcome.status = 200
                yield event_text("end", {"predictor": name, "rows": rows, "num_errors": num_errors})

        return sent(), job

    def _submitted(
        self, name: str, request: Any, listener: Listener | None = None
    ) -> "Future[Answer]":
        """Queue the rows of a request."""
        rows: list[BaseModel] = request.rows
        fields = self.predictors[name].fields
        columns = {
            field: [getattr(row, f"field_{k}") for row in rows] for k, field in enumerate(fields)
        }
        level = getattr(request, "interval", None)  # only of predictors that have intervals
        return self.engine.submit(name, columns, len(rows), request.fix, listener, level)

    def _count_rows(self, name: str, answer: Answer) -> None:
        self.metrics.rows.labels(name).inc(len(answer.errors))
        num_errors = sum(error is not None for error in answer.errors)
        self.metrics.row_errors.labels(name).inc(num_errors)


@attrs.define
class _Outcome:
    """How a request ended."""

    status: int = 500


def _rows(answer: Answer, first: int = 1) -> list[dict[str, Any]]:
    """Return the answer as JSON has it, one entry a row, numbered from the first."""
    columns = {name: [_cell(value) for value in v] for name, v in answer.columns.items()}
    similar = answer.similar or {UNLIKE: [None] * len(answer.errors)}
    ends = _ends(answer)
    both = zip(_records(columns), ends, _records(similar), answer.errors, strict=True)
    return [
        {
            "row": number,
            "values": values if error is None else None,
            "interval": interval if error is None else None,
            "unlike_training": told.pop(UNLIKE),
            "similarity": told if error is None and told else None,
            "error": error,
            "fixed": answer.fixed.get(number),
        }
        for number, (values, interval, told, error) in enumerate(both, start=first)
    ]


def _ends(answer: Answer) -> list[dict[str, Any] | None]:
    """Return the intervals of each row, by prediction column; None where none were asked for."""
    if not answer.interval:
        return [None] * len(answer.errors)
    made: list[dict[str, Any] | None] = []
    for row in range(len(answer.errors)):
        ends = {
            name: [_cell(answer.interval[end][row]) for end in interval_names([name])]
            for name in answer.columns
        }
        made.append(
            {
                n: None if low is None else {"low": low, "high": high}
                for n, (low, high) in ends.items()
            }
        )
    return made


def _records(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return columns as one mapping a row."""
    names = list(columns)
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _cell(value: Any) -> Any:
    """Return a prediction with the digits of prediction files; null where it is not finite."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
