"""A machine without a network is told so at once."""

import contextlib
import socket

import huggingface_hub.constants as constants
import pytest

from taglm_core.errors import BackboneError
from taglm_core.hub import hub_access, is_reachable
from taglm_core.model.backbone_loading import load_backbone
from taglm_core.plugins import load_registry


@pytest.fixture
def endpoint(monkeypatch):
    """Return a function that lets the Hub be an address of this machine, open or closed."""
    with contextlib.ExitStack() as stack:

        def use(is_open):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            if not is_open:
                listener.close()
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


def test_a_proxy_counts_as_reachable(endpoint, monkeypatch):
    """It resolves names that this machine cannot."""
    url = endpoint(is_open=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert is_reachable(url)


def test_a_hub_id_fails_without_repetitions(endpoint, monkeypatch):
    """The library would ask six times, with pauses of 23 seconds in all."""
    import huggingface_hub.utils._http as http

    def wait(seconds):
        raise AssertionError(f"waits {seconds} s for an address that does not answer")

    endpoint(is_open=False)
    monkeypatch.setattr(http.time, "sleep", wait)
    with pytest.raises(BackboneError, match="a Hub id needs the network once"):
        load_backbone("nobody/nothing-of-this-name", load_registry(), "cpu")
