"""The Hugging Face Hub, asked once a process whether it answers at all.

The libraries repeat a request that found no network for some 25 seconds. Where the Hub cannot be
reached they are told that they are offline, so that they look into the local cache and say at once
what is missing.
"""

import contextlib
import functools
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 3.0
"""Seconds until an address counts as unreachable."""


@functools.cache
def is_reachable(endpoint: str) -> bool:
    """Return whether a connection to an address can be opened, asked once a process.

    Args:
        endpoint: URL; behind a proxy, which resolves names itself, it counts as reachable.
    """
    proxies = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
    if any(os.environ.get(name) for name in proxies):
        return True
    url = urlsplit(endpoint)
    port = url.port or (80 if url.scheme == "http" else 443)
    try:
        socket.create_connection((url.hostname or "", port), TIMEOUT).close()
    except OSError:
        return False
    return True


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
