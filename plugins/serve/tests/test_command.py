"""`taglm serve`: its words and options, the socket it listens on, and its end."""

import os
import signal
import threading
import time

import httpx
import pytest

from taglm_core.errors import ConfigError
from taglm_serve.command import TOKEN_VARIABLE, listen, make_server, read_token, run_until_signal
from taglm_serve.naming import check_names, named_folders


def test_stopping_the_server_answers_open_requests(run, predictors, monkeypatch, ask):
    """Requests that run when the signal comes are answered; later ones find no server."""
    predict = type(predictors).predict_rows

    def slowly(self, parts):
        time.sleep(0.2)
        return predict(self, parts)

    monkeypatch.setattr(type(predictors), "predict_rows", slowly)
    address, server, thread = run(max_wait_ms=0, max_batch=1)
    _, path, body = ask("Share", {"letters": "abca"})
    answers = []

    def send():
        answers.append(httpx.post(address + path, json=body, timeout=20).status_code)

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    while httpx.get(address + "/metrics").text.count("taglm_waiting_rows 4.0") == 0:
        time.sleep(0.01)
    server.should_exit = True
    for sender in senders:
        sender.join(20)
    thread.join(20)
    assert answers == [200] * 4
    with pytest.raises(httpx.ConnectError):
        httpx.get(address + "/healthz")


def test_a_signal_ends_the_server_in_order(serve):
    """SIGTERM and Ctrl-C return from the server, with the engine stopped, and do not kill."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        for each in before:
            service = serve()
            server = make_server(service)

            def send(server=server, each=each):
                while not server.started:
                    time.sleep(0.01)
                os.kill(os.getpid(), each)

            with listen("127.0.0.1", 0) as listening:
                threading.Thread(target=send).start()
                run_until_signal(server, listening)
            assert not service.engine.is_alive
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_a_taken_port_is_said_before_loading():
    """The message names the port and another one."""
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1.*--port"):
            listen("127.0.0.1", port)
    with pytest.raises(ConfigError, match="--host"):
        listen("192.0.2.1", 0)
    with pytest.raises(ConfigError, match="70000"):
        listen("127.0.0.1", 70_000)


def test_the_token_is_of_the_file_or_of_the_environment(tmp_path, monkeypatch):
    """The file comes first; a short or empty one keeps nobody out."""
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert read_token(None) is None
    monkeypatch.setenv(TOKEN_VARIABLE, "of-the-environment")
    assert read_token(None) == "of-the-environment"
    file = tmp_path / "token"
    file.write_text("of-the-file-itself\n")
    assert read_token(file) == "of-the-file-itself"
    for bad in ("", "short", "with a space in it all"):
        file.write_text(bad)
        with pytest.raises(ConfigError, match="at least 16"):
            read_token(file)
    monkeypatch.setenv(TOKEN_VARIABLE, "")
    with pytest.raises(ConfigError, match=TOKEN_VARIABLE):
        read_token(None)


def test_predictors_may_have_names():
    """All of them, or none; each once, and such that a path can hold them."""
    assert named_folders(["runs/A", "runs/B=2"]) == ["runs/A", "runs/B=2"]
    assert named_folders(["a=runs/A", "b=runs/A"]) == {"a": "runs/A", "b": "runs/A"}
    with pytest.raises(ConfigError, match="Duplicate name 'a'"):
        named_folders(["a=runs/A", "a=runs/B"])
    with pytest.raises(ConfigError, match="runs/B: give every predictor a name"):
        named_folders(["a=runs/A", "runs/B"])
    with pytest.raises(ConfigError, match="'log P'"):
        check_names({"log P": None})


def test_the_command_is_listed_without_importing_the_service():
    """`taglm --help` shows it; FastAPI is imported when it is called."""
    import taglm_serve

    (command,) = taglm_serve.register_commands()
    assert command.name == "serve"
    assert command.app == "taglm_serve.command:serve"
