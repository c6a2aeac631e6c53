"""The Hugging Face Hub, asked once a process whether it answers at all.

The libraries repeat a request that found no network for some 25 seconds. Where the Hub cannot be
reached they are told that they are offline, so that they look into the local cache and say at once
what is missing.
"""

import contextlib
import functools
import logging
import queue
import sys
import threading
from collections.abc import Iterator
from typing import Any

TIMEOUT = 3.0
"""Seconds until an address counts as unreachable."""

_FROM_PROXY = (407, 502, 503, 504)  # what a proxy answers that lets nothing out

logger = logging.getLogger(__name__)


@functools.cache
def is_reachable(endpoint: str) -> bool:
    """Return whether an address answers, directly or by the proxy that is set; asked once.

    Args:
        endpoint: URL.
    """
    answers: queue.Queue[bool] = queue.Queue()

    # in a thread, since looking a name up has no time limit of its own
    def ask() -> None:
        answers.put(_answers(endpoint))

    threading.Thread(target=ask, name="taglm-hub", daemon=True).start()
    try:
        return answers.get(timeout=TIMEOUT)
    except queue.Empty:
        return False


def _answers(endpoint: str) -> bool:
    from huggingface_hub import get_session

    try:
        answer = get_session().head(endpoint, timeout=TIMEOUT)
    except Exception as error:  # whose class depends on the library behind the session
        logger.debug("%s does not answer: %s", endpoint, error)
        return False
    return answer.status_code not in _FROM_PROXY


@contextlib.contextmanager
def hub_access() -> Iterator[None]:
    """Let the Hub's libraries work offline inside the block where the Hub cannot be reached.

    Example:
        with hub_access():
            rows = datasets.load_dataset("owner/name", split="train")
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or is_reachable(constants.ENDPOINT):
        yield
        return
    # `datasets` copies the setting when it is imported, the others read it.
    modules: list[Any] = [constants]
    if "datasets" in sys.modules:
        modules.append(sys.modules["datasets"].config)
    for module in modules:
        module.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for module in modules:
            module.HF_HUB_OFFLINE = False
