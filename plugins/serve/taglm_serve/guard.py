"""The guard in front of a service: token, size of bodies, time to send them. Plain ASGI."""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from taglm_serve.limits import Limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/", "/healthz", "/readyz")
"""Paths that need no token: the page, which asks for it, and the probes."""


class Guard:
    """Answers 401, 408 and 413 before an application sees a request."""

    def __init__(
        self, app: App, limits: Limits, token: str | None, on_refused: Callable[[str, int], None]
    ) -> None:
        """Guard an application.

        Args:
            app: The application.
            limits: Bytes of a body, and seconds in which it must have come.
            token: What requests must bring; None: nothing.
            on_refused: Hears the path and the status of each answer of the guard's own.
        """
        self._app = app
        self._on_refused = on_refused
        self._limits = limits
        self._token = None if token is None else token.encode()
        self.num_unanswered = 0
        """Requests that were broken off because the server stopped."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application do it."""
        try:
            await self._guarded(scope, receive, send)
        except asyncio.CancelledError:  # by the server: a client that leaves cancels nothing
            self.num_unanswered += scope["type"] == "http"
            raise

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        if scope["path"] not in OPEN_PATHS and not self._is_allowed(headers):
            bearer = [(b"www-authenticate", b"Bearer")]
            message = "send the token of this service: Authorization: Bearer TOKEN"
            await self._refuse(scope, send, 401, "unauthorized", message, bearer)
            return
        try:
            async with asyncio.timeout(self._limits.timeout):
                body = await self._body(headers, receive)
        except TimeoutError:
            message = f"the body did not arrive in {self._limits.timeout:g} s"
            await self._refuse(scope, send, 408, "slow_body", message)
            return
        if body is None:
            message = f"a request may have {self._limits.max_body:,} bytes; send fewer rows"
            await self._refuse(scope, send, 413, "too_large", message)
            return
        await self._app(scope, _replayed(body, receive), send)

    async def _refuse(
        self,
        scope: Scope,
        send: Send,
        status: int,
        code: str,
        message: str,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self._on_refused(scope["path"], status)
        body = json.dumps({"error": {"code": code, "message": message, "rows": []}}).encode()
        sent = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if status in (408, 413):  # the rest of the body is not read
            sent.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": [*sent, *headers]})
        await send({"type": "http.response.body", "body": body})

    def _is_allowed(self, headers: dict[bytes, bytes]) -> bool:
        if self._token is None:
            return True
        scheme, _, sent = headers.get(b"authorization", b"").partition(b" ")
        # in the same time wherever they differ
        return scheme.lower() == b"bearer" and hmac.compare_digest(sent.strip(), self._token)

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        """Read the body; None when it is too large, of which at most the limit is read."""
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._limits.max_body:
            return None
        pieces, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":  # the client has left
                return b""
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self._limits.max_body:
                return None
            if not message.get("more_body", False):
                return b"".join(pieces)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read, then what comes after it."""
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
