"""A machine without a network is told so at once."""

import contextlib
import http.server
import socket
import threading
import time

import huggingface_hub.constants as constants
import pytest

from taglm_core.errors import BackboneError
from taglm_core.hub import hub_access, is_reachable
from taglm_core.model.backbone_loading import load_backbone
from taglm_core.plugins import load_registry


class _Answers(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_HEAD(self):
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *args):
        """Write nothing."""


@pytest.fixture
def proxy(monkeypatch):
    """Return a function that makes an address the proxy of requests to the Hub."""
    from huggingface_hub.utils import close_session

    def use(url):
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, url)
        close_session()  # the session reads the variables once
        return "http://hub.invalid"

    yield use
    monkeypatch.undo()
    close_session()


@pytest.fixture
def endpoint(monkeypatch):
    """Return a function that lets the Hub be an address of this machine, open or closed."""
    with contextlib.ExitStack() as stack:

        def use(is_open, status=200):
            handler = type("Answers", (_Answers,), {"status": status})
            server = stack.enter_context(http.server.HTTPServer(("127.0.0.1", 0), handler))
            url = f"http://127.0.0.1:{server.server_port}"
            if is_open:
                threading.Thread(target=server.serve_forever, daemon=True).start()
                stack.callback(server.shutdown)
            else:
                server.server_close()
            monkeypatch.setattr(constants, "ENDPOINT", url)
            return url

        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        is_reachable.cache_clear()
        yield use
    is_reachable.cache_clear()


def test_an_address_that_answers_is_left_alone(endpoint):
    """Libraries keep their own behavior."""
    endpoint(is_open=True)
    with hub_access():
        assert not constants.HF_HUB_OFFLINE


def test_without_an_answer_the_libraries_are_offline_inside_the_block_only(endpoint):
    """An error inside does not leave the setting behind."""
    import datasets

    endpoint(is_open=False)
    inside = []

    def fail():
        with hub_access():
            inside.extend([constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [True, True] == inside
    assert not constants.HF_HUB_OFFLINE
    assert not datasets.config.HF_HUB_OFFLINE


def test_a_proxy_is_asked(endpoint, proxy):
    """It resolves names that this machine cannot."""
    assert is_reachable(proxy(endpoint(is_open=True)))


@pytest.mark.parametrize("status", [407, 503, None])
def test_a_proxy_that_lets_nothing_out_is_no_network(endpoint, proxy, status):
    """Behind such a proxy the libraries would repeat each request for half a minute."""
    url = endpoint(is_open=status is not None, status=status)
    assert not is_reachable(proxy(url))


def test_an_address_that_is_silent_is_given_up(endpoint, monkeypatch):
    """A firewall may swallow requests, and a name server may not answer, without an error."""
    monkeypatch.setattr("taglm_core.hub.TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # which accepts and never answers
        began = time.monotonic()
        assert not is_reachable(f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert time.monotonic() - began < 2


def test_a_hub_id_fails_without_repetitions(endpoint, monkeypatch):
    """The library would ask six times, with pauses of 23 seconds in all."""
    import huggingface_hub.utils._http as http

    def wait(seconds):
        raise AssertionError(f"waits {seconds} s for an address that does not answer")

    endpoint(is_open=False)
    monkeypatch.setattr(http.time, "sleep", wait)
    with pytest.raises(BackboneError, match="a Hub id needs the network once"):
        load_backbone("nobody/nothing-of-this-name", load_registry(), "cpu")
