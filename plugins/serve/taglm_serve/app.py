"""The application: routes, answers and errors of a service."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException

import taglm
from taglm_core.errors import TaglmError, counted
from taglm_serve import __version__
from taglm_serve.engine import Answer, Engine, QueueFullError, StoppingError
from taglm_serve.guard import Guard
from taglm_serve.limits import Limits
from taglm_serve.metrics import CONTENT_TYPE, Metrics
from taglm_serve.models import (
    FaultBody,
    Health,
    PredictorFacts,
    ServiceFacts,
    answer_model,
    facts_of,
    request_model,
)

logger = logging.getLogger(__name__)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
_POLICY += "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
_POLICY += "frame-ancestors 'none'"
UNLIKE = "unlike_training"
"""Column of predictions that tells whether a row is unlike the training rows."""
_DIGITS = 6  # significant digits of predictions, as in the files that `taglm predict` writes

_FAULTS: dict[int | str, dict[str, Any]] = {
    status: {"model": FaultBody, "description": text}
    for status, text in {
        400: "The body is not JSON.",
        408: "The body did not arrive in time.",
        413: "Too many rows or bytes.",
        422: "The rows have another form, or look like another kind of data.",
        429: "Too many rows wait; Retry-After says when to try again.",
        500: "The prediction failed.",
        503: "The service is being stopped.",
        504: "The prediction took longer than the time limit.",
    }.items()
}


class ServiceError(Exception):
    """An answer that is not a success."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        rows: Sequence[dict[str, Any]] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body = {"error": {"code": code, "message": message, "rows": list(rows)}}


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
        self.api = self._build(token)
        self.app = Guard(self.api, limits, token)

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
        _add_handlers(api)
        secured: list[Any] = []
        faults = dict(_FAULTS)
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
                raise ServiceError(503, "failed", "the thread that predicts has ended")
            return Health(status="ok")

        ready: dict[int | str, Any] = {503: _FAULTS[503]}

        @api.get(
            "/readyz", summary="Whether requests are accepted", tags=["state"], responses=ready
        )
        async def readyz() -> Health:
            if not self.engine.is_accepting:
                raise _stopping()
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

    def _add_predictor(
        self, api: FastAPI, name: str, secured: list[Any], faults: dict[int | str, Any]
    ) -> None:
        predictor = self.predictors[name]
        model = request_model(name, predictor, self.limits)

        async def predict(request: Any) -> JSONResponse:
            began, status = time.perf_counter(), 500
            try:
                answer = await self._answer(name, request)
                status = 200
            except ServiceError as error:
                status = error.status
                raise
            finally:
                self.metrics.requests.labels(name, str(status)).inc()
                self.metrics.seconds.labels(name).observe(time.perf_counter() - began)
            return JSONResponse(answer)

        predict.__annotations__["request"] = model
        api.post(
            f"/v1/predictors/{name}/predict",
            summary=f"Predict {', '.join(predictor.names)}",
            operation_id=f"predict_{name}",
            tags=["predictors"],
            dependencies=secured,
            responses={200: {"model": answer_model(name, predictor)}, **faults},
        )(predict)

    async def _answer(self, name: str, request: Any) -> dict[str, Any]:
        rows: list[BaseModel] = request.rows
        if len(rows) > self.limits.max_rows:
            message = f"{counted(len(rows), 'row')}; a request may have {self.limits.max_rows:,}"
            raise ServiceError(413, "too_many_rows", message)
        fields = self.predictors[name].fields
        columns = {
            field: [getattr(row, f"field_{k}") for row in rows] for k, field in enumerate(fields)
        }
        answer = await self._predicted(name, columns, len(rows), request.fix)
        self.metrics.rows.labels(name).inc(len(rows))
        num_errors = sum(error is not None for error in answer.errors)
        self.metrics.row_errors.labels(name).inc(num_errors)
        return {"predictor": name, "num_errors": num_errors, "rows": _rows(answer)}

    async def _predicted(
        self, name: str, columns: dict[str, list[Any]], count: int, fix: bool
    ) -> Answer:
        try:
            waiting = self.engine.submit(name, columns, count, fix)
            return await asyncio.wait_for(asyncio.wrap_future(waiting), self.limits.timeout)
        except QueueFullError as error:
            headers = {"Retry-After": str(error.retry_after)}
            raise ServiceError(429, "queue_full", str(error), headers=headers) from error
        except StoppingError as error:
            raise _stopping() from error
        except TimeoutError as error:
            message = f"no prediction within {self.limits.timeout:g} s; send fewer rows"
            raise ServiceError(504, "timeout", message) from error
        except TaglmError as error:
            raise ServiceError(422, "data", str(error)) from error
        except Exception as error:
            logger.exception("%s: the prediction failed", name)
            message = "the prediction failed; the log of the service says why"
            raise ServiceError(500, "failed", message) from error


def _stopping() -> ServiceError:
    headers = {"Retry-After": "5"}
    return ServiceError(503, "stopping", "the service is being stopped", headers=headers)


def _rows(answer: Answer) -> list[dict[str, Any]]:
    """Return the answer as JSON has it, one entry a row."""
    columns = {name: [_cell(value) for value in v] for name, v in answer.columns.items()}
    similar = answer.similar or {UNLIKE: [None] * len(answer.errors)}
    both = zip(_records(columns), _records(similar), answer.errors, strict=True)
    return [
        {
            "row": number,
            "values": values if error is None else None,
            "unlike_training": told.pop(UNLIKE),
            "similarity": told if error is None and told else None,
            "error": error,
            "fixed": answer.fixed.get(number),
        }
        for number, (values, told, error) in enumerate(both, start=1)
    ]


def _records(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return columns as one mapping a row."""
    names = list(columns)
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _cell(value: Any) -> Any:
    """Return a prediction with the digits of prediction files; null where it is not finite."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _add_handlers(api: FastAPI) -> None:
    """Give every error the same form of body."""

    @api.exception_handler(ServiceError)
    async def on_service_error(_: Request, error: ServiceError) -> JSONResponse:
        return JSONResponse(error.body, error.status, headers=error.headers)

    @api.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> JSONResponse:
        codes = {400: "bad_json", 404: "not_found", 405: "method_not_allowed"}
        code = codes.get(error.status_code, "http")
        found = ServiceError(error.status_code, code, str(error.detail))
        return JSONResponse(found.body, error.status_code, headers=error.headers)

    @api.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        if any(fault["type"] == "json_invalid" for fault in error.errors()):
            found = ServiceError(400, "bad_json", "the body is not valid JSON")
            return JSONResponse(found.body, 400)
        rows, others = _faults(error.errors())
        message = "; ".join(others) if others else f"{counted(len(rows), 'row')} with a wrong form"
        return JSONResponse(ServiceError(422, "invalid", message, rows[:100]).body, 422)


def _faults(errors: Sequence[Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Divide faults of a body into those of rows, with their numbers, and others."""
    rows: list[dict[str, Any]] = []
    others: list[str] = []
    for fault in errors:
        place, message = fault["loc"], fault["msg"]
        if len(place) > 2 and place[1] == "rows":
            field = str(place[3]) if len(place) > 3 else None
            entry = {"row": int(place[2]) + 1, "field": field, "message": message}
            # one line for each kind of value that a cell may have is one too many
            if not rows or (rows[-1]["row"], rows[-1]["field"]) != (entry["row"], field):
                rows.append(entry)
        else:
            others.append(f"{'.'.join(map(str, place[1:])) or 'body'}: {message}")
    return rows, others
