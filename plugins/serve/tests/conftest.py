"""A service of small predictors on a random backbone, called in this process."""

import asyncio
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests"))  # the predictors kept there, and the toy plugin


@pytest.fixture(scope="session")
def predictors(tmp_path_factory):
    """Load predictors of letters and of pairs, twice each, and one that writes text.

    `Sum` has prediction intervals.
    """
    import toy_plugin
    from artifacts import KEPT, kept_predictor

    from taglm_core.inference.together import load_predictors
    from taglm_core.model.intervals import Intervals
    from taglm_core.plugins import load_registry
    from taglm_core.store.artifact import load_artifact
    from taglm_core.testing import tiny_backbone

    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGLM_HOME", str(folder / "home"))
        backbone = tiny_backbone("llama")
        backbone.model.save_pretrained(folder / "tiny")
        backbone.tokenizer.save_pretrained(folder / "tiny")
        folders = {
            "Share": KEPT / "censored",
            "Third": kept_predictor("censored", folder / "third", "Third"),
            "Sum": KEPT / "pair",
            "Times": kept_predictor("pair", folder / "times", "Times"),
            "First": KEPT / "classes",
            "Say": KEPT / "text",
        }
        loaded = load_predictors(
            {name: load_artifact(path) for name, path in folders.items()},
            load_registry(only=(), extra=[("toy", toy_plugin)]),
            str(folder / "tiny"),
            "cpu",
            "100MB",
        )
    names = loaded["Sum"].task.target.names
    residuals = np.arange(1, 16)[:, None] / 10  # 15 validation rows
    loaded["Sum"].task_model.intervals = Intervals.of_rows(names, residuals, 0 * residuals)
    return loaded


@pytest.fixture
def slow(predictors, monkeypatch):
    """Hold every batch until an event is set; yields the event."""
    may_go = threading.Event()
    predict = type(predictors).predict_rows

    def wait(self, parts):
        assert may_go.wait(10)
        return predict(self, parts)

    monkeypatch.setattr(type(predictors), "predict_rows", wait)
    yield may_go
    may_go.set()


@pytest.fixture
def serve(predictors):
    """Return a function that starts a service with some limits; all are stopped at the end."""
    from taglm_serve.app import Service
    from taglm_serve.limits import Limits

    services = []

    def start(token=None, **limits):
        services.append(Service(predictors, Limits(**limits), token))
        return services[-1]

    yield start
    for service in services:
        service.engine.stop()


@pytest.fixture
def call(serve):
    """Return a function that sends requests at once and gives their answers.

    Each request is (method, path) or (method, path, JSON), with further arguments of httpx.
    """

    def send(service, *requests, **options):
        async def run():
            transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                sent = [
                    client.request(method, path, json=body[0] if body else None, **options)
                    for method, path, *body in requests
                ]
                return await asyncio.gather(*sent)

        return asyncio.run(run())

    return send


@pytest.fixture
def run(serve):
    """Return a function that runs a service on a free port of the loopback until it is told to."""
    from taglm_serve.command import listen, make_server

    running = []

    def start(**limits):
        service = serve(**limits)
        listening = listen("127.0.0.1", 0)
        server = make_server(service)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        running.append((server, thread, listening))
        while not server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{listening.getsockname()[1]}", server, thread

    yield start
    for server, thread, listening in running:
        server.should_exit = True
        thread.join(20)
        listening.close()


def ask(name, *rows, **more):
    """Return a request for predictions, as `call` takes it."""
    return ("POST", f"/v1/predictors/{name}/predict", {"rows": list(rows), **more})


@pytest.fixture(name="ask")
def _ask():
    return ask
