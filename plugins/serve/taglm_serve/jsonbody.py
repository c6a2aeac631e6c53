"""Bodies of requests as JSON in which each key stands once: Python would keep the last silently."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

_LARGE = 100_000
"""Bytes of a body that takes long enough to read that others should not wait for it."""


_MOST_KEYS = 10_000
"""Keys of an object; naming what is wrong with each of a million would take half a minute."""


class StrictRoute(APIRoute):
    """A route that answers a body with a duplicate key, or with far too many, by 422."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await answer(_StrictRequest(request.scope, request.receive))

        return handle


class _StrictRequest(Request):
    async def json(self) -> Any:
        """Return the body.

        Raises:
            HTTPException: 422, naming a key that stands twice in one object, or the number of
                keys of an object that has too many.
        """
        if not hasattr(self, "_json"):
            body = await self.body()
            if len(body) > _LARGE:
                self._json = await asyncio.to_thread(_parsed, body)
            else:
                self._json = _parsed(body)
        return self._json


def _parsed(body: bytes) -> Any:
    return json.loads(body, object_pairs_hook=_object)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the keys of an object with their values."""
    if len(pairs) > _MOST_KEYS:
        raise HTTPException(
            422, f"an object with {len(pairs):,} keys; it may have {_MOST_KEYS:,} at most"
        )
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for twice, _ in pairs:
            if twice in seen:
                break
            seen.add(twice)
        raise HTTPException(422, f"duplicate key {_quoted(twice)}; name each key once")
    return found


def _quoted(name: str) -> str:
    """Return a key as JSON has it, at most 100 characters of it."""
    text = name if len(name) <= 100 else f"{name[:100]}..."
    # half a surrogate pair is no UTF-8, which the answer has to be
    return json.dumps(text.encode(errors="backslashreplace").decode(), ensure_ascii=False)
