"""Limits of a service: how long requests wait, how large they may be, who may send them."""

from typing import Any

import attrs

from taglm_core.errors import ConfigError

_POSITIVE: Any = attrs.validators.gt(0)


@attrs.frozen(kw_only=True)
class Limits:
    """What a service accepts, and how it forms batches."""

    max_wait_ms: float = attrs.field(default=5.0, validator=attrs.validators.ge(0))
    """Milliseconds that a request waits for others to share its batch."""
    max_batch: int = attrs.field(default=256, validator=_POSITIVE)
    """Most rows of a batch."""
    max_rows: int = attrs.field(default=10_000, validator=_POSITIVE)
    """Most rows of a request."""
    max_body: int = attrs.field(default=10_000_000, validator=_POSITIVE)
    """Most bytes of a request."""
    max_queue: int = attrs.field(default=20_000, validator=_POSITIVE)
    """Most rows that wait or run; beyond them requests are answered 429."""
    timeout: float = attrs.field(default=60.0, validator=_POSITIVE)
    """Seconds after which a request is answered 504, from its arrival."""

    def __attrs_post_init__(self) -> None:
        if self.max_wait_ms >= self.timeout * 1000:
            raise ConfigError(
                f"--max-wait-ms {self.max_wait_ms:g} is not shorter than --timeout "
                f"{self.timeout:g} s: every request would be answered 504. Wait for less."
            )
