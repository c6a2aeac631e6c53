"""Answers that are not a success: one form of body for all of them."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from taglm_core.errors import TaglmError, counted
from taglm_serve.answers import QueueFullError, StoppingError
from taglm_serve.models import FaultBody

logger = logging.getLogger(__name__)

FAULTS: dict[int | str, dict[str, Any]] = {
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
"""Status -> what the description says of it."""


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
        """Describe an answer.

        Args:
            status: HTTP status.
            code: Word by which programs tell faults apart, such as "queue_full".
            message: One line for people.
            rows: What is wrong with which rows: `row`, `field` and `message` of each.
            headers: Headers of the answer; None: no further ones.
        """
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body = {"error": {"code": code, "message": message, "rows": list(rows)}}


def stopping() -> ServiceError:
    """Return the answer of a service that is being stopped."""
    headers = {"Retry-After": "5"}
    return ServiceError(503, "stopping", "the service is being stopped", headers=headers)


def too_many_rows(count: int, limit: int) -> ServiceError:
    """Return the answer to a request of more rows than it may have."""
    message = f"{counted(count, 'row')}; a request may have {limit:,}"
    return ServiceError(413, "too_many_rows", message)


def fault_of(error: Exception, name: str, timeout: float) -> ServiceError:
    """Return what a client hears of an error.

    Args:
        error: Why a prediction failed.
        name: Of the predictor.
        timeout: Seconds after which nobody waits any more.
    """
    match error:
        case ServiceError():
            return error
        case QueueFullError():
            headers = {"Retry-After": str(error.retry_after)}
            return ServiceError(429, "queue_full", str(error), headers=headers)
        case StoppingError():
            return stopping()
        case TimeoutError():
            message = f"no prediction within {timeout:g} s; send fewer rows"
            return ServiceError(504, "timeout", message)
        case TaglmError():
            return ServiceError(422, "data", str(error))
    logger.error("%s: the prediction failed", name, exc_info=error)
    message = "the prediction failed; the log of the service says why"
    return ServiceError(500, "failed", message)


def add_handlers(api: FastAPI, on_refused: Callable[[str, int], None]) -> None:
    """Give every error the same form of body.

    Args:
        api: The application.
        on_refused: Hears path and status of each request that is refused before its function runs.
    """

    def refuse(request: Request, error: ServiceError) -> JSONResponse:
        on_refused(request.scope["path"], error.status)
        return JSONResponse(error.body, error.status, headers=error.headers)

    @api.exception_handler(ServiceError)
    async def on_service_error(_: Request, error: ServiceError) -> JSONResponse:
        return JSONResponse(error.body, error.status, headers=error.headers)

    @api.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        codes = {400: "bad_json", 404: "not_found", 405: "method_not_allowed", 422: "invalid"}
        code = codes.get(error.status_code, "http")
        message = _BAD_JSON if error.status_code == 400 else str(error.detail)
        headers = None if error.headers is None else dict(error.headers)
        return refuse(request, ServiceError(error.status_code, code, message, headers=headers))

    @api.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        if any(fault["type"] == "json_invalid" for fault in error.errors()):
            return refuse(request, ServiceError(400, "bad_json", _BAD_JSON))
        for fault in error.errors():
            if fault["type"] == "too_long" and fault["loc"][1:] == ("rows",):
                count, limit = fault["ctx"]["actual_length"], fault["ctx"]["max_length"]
                return refuse(request, too_many_rows(count, limit))
        rows, others = _faults(error.errors())
        kind = request.headers.get("content-type", "")
        if kind and "json" not in kind and any(len(fault["loc"]) == 1 for fault in error.errors()):
            others = [f"the body is not read as JSON: its Content-Type is {kind}. {_SEND_JSON}"]
        wrong = counted(len({entry["row"] for entry in rows}), "row")
        if len(others) > _MOST_SAID:
            others[_MOST_SAID:] = [f"and {counted(len(others) - _MOST_SAID, 'more fault')}"]
        message = "; ".join(others) if others else f"{wrong} with a wrong form"
        return refuse(request, ServiceError(422, "invalid", message, rows[:100]))


_MOST_SAID = 10
"""Most faults that the message of an answer names."""
_BAD_JSON = "the body is not valid JSON in UTF-8"
_SEND_JSON = "Send the header Content-Type: application/json."
_NO_INTERVAL = "this predictor has no prediction intervals (max_interval in /v1/predictors)"
_WORDS = {
    "extra_forbidden": "unknown; /v1/predictors and /openapi.json say what there is",
    "missing": "missing",
    "model_attributes_type": "must be a JSON object {...}",
    "string_type": "must be a text",
}
"""Kind of fault -> what is said of it, where the library speaks of its own ways."""


def _said(fault: Any) -> str:
    if fault["type"] == "extra_forbidden" and fault["loc"][1:] == ("interval",):
        return _NO_INTERVAL
    return _WORDS.get(fault["type"], str(fault["msg"]))


def _faults(errors: Sequence[Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Divide faults of a body into those of rows, with their numbers, and others."""
    rows: list[dict[str, Any]] = []
    others: list[str] = []
    for fault in errors:
        place, message = fault["loc"], _said(fault)
        if len(place) > 2 and place[1] == "rows":
            field = str(place[3]) if len(place) > 3 else None
            entry = {"row": int(place[2]) + 1, "field": field, "message": message}
            # one line for each kind of value that a cell may have is one too many
            if not rows or (rows[-1]["row"], rows[-1]["field"]) != (entry["row"], field):
                rows.append(entry)
        else:
            others.append(f"{'.'.join(map(str, place[1:])) or 'body'}: {message}")
    return rows, others
