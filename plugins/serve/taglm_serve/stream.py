"""Server-sent events: the rows of a request as they come, and texts while they are written."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from taglm_serve.answers import Answer

EVENTS = "text/event-stream"
EVENT: dict[str, Any] = {
    "schema": {
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "event": {"type": "string", "enum": ["text", "row", "end", "error"]},
            "data": {"type": "string", "contentMediaType": "application/json"},
        },
    },
    "example": {"event": "text", "data": '{"row": 1, "text": "Guten"}'},
}
"""What the description says of each event."""
_UNFINISHED = "\ufffd"
"""How a text ends whose last character needs another token."""


class Events:
    """What the engine's thread tells of a request, in order, for the event loop."""

    def __init__(self) -> None:
        """Listen in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Queue[tuple[int, str | Answer] | None] = asyncio.Queue()
        self._sent: dict[int, str] = {}

    def on_text(self, row: int, text: str) -> None:
        """Tell what a text has got since the last time."""
        sent = self._sent.get(row, "")
        if text == sent or not text.startswith(sent) or text.endswith(_UNFINISHED):
            return
        self._sent[row] = text
        self._put((row, text[len(sent) :]))

    def on_rows(self, first: int, answer: Answer) -> None:
        """Tell the predictions of some rows."""
        self._put((first, answer))

    def on_end(self, _: "Future[Answer]") -> None:
        """Tell that nothing more comes."""
        self._put(None)

    def _put(self, event: tuple[int, str | Answer] | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody listens
            self._loop.call_soon_threadsafe(self._told.put_nowait, event)

    async def each(self, timeout: float) -> AsyncIterator[tuple[int, str | Answer]]:
        """Yield (row, what was added to its text) and (first row, predictions) until the end.

        Args:
            timeout: Most seconds between two of them.

        Raises:
            TimeoutError: when nothing came for longer.
        """
        while (event := await asyncio.wait_for(self._told.get(), timeout)) is not None:
            yield event


class EventStream(StreamingResponse):
    """A response that sends events, and says when it ends, also because the client has left."""

    media_type = EVENTS

    def __init__(self, events: AsyncIterator[str], on_close: Callable[[], object]) -> None:
        """Send events.

        Args:
            events: As `event_text` gives them.
            on_close: Called once, when all are sent or nobody listens.
        """
        # proxies must pass each event on as it comes
        super().__init__(events, headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        self._on_close = on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; return when they end or the client leaves."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_close()


def event_text(kind: str, data: Mapping[str, Any]) -> str:
    """Return an event as it is sent."""
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False, allow_nan=False)}\n\n"
