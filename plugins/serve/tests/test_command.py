"""`taglm serve`: its words and options, the socket it listens on, and its end."""

import os
import re
import signal
import threading
import time
from types import SimpleNamespace

import httpx
import pytest
from typer import Typer
from typer.testing import CliRunner

from taglm_core.errors import ConfigError, DataError
from taglm_serve import command
from taglm_serve.command import TOKEN_VARIABLE, listen, make_server, read_token, run_until_signal
from taglm_serve.limits import Limits
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


def test_requests_that_are_broken_off_are_said(serve, slow, capsys, monkeypatch, ask):
    """What outlasts the time limit of stopping is counted, and not said to have been answered."""
    service = serve(max_wait_ms=0)
    server = make_server(service)
    server.config.timeout_graceful_shutdown = 1
    _, path, body = ask("Share", {"letters": "abca"})
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    loaded = {"Share": service.predictors["Share"]}
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    monkeypatch.setattr("taglm.load_together", lambda *folders, **more: loaded, raising=False)
    monkeypatch.setattr("taglm_serve.app.Service", lambda *given: service)
    monkeypatch.setattr(command, "make_server", lambda service: server)

    def send(port):
        while not server.started:
            time.sleep(0.01)
        with pytest.raises(httpx.HTTPError):
            httpx.post(f"http://127.0.0.1:{port}{path}", json=body, timeout=20).raise_for_status()

    def stop():
        while not service.engine.waiting_rows:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(2)
        slow.set()

    listening = listen("127.0.0.1", 0)
    monkeypatch.setattr(command, "listen", lambda host, port: listening)
    threads = [
        threading.Thread(target=send, args=[listening.getsockname()[1]]),
        threading.Thread(target=stop),
    ]
    try:
        for thread in threads:
            thread.start()
        command.serve(["Share=a"])
    finally:
        for thread in threads:
            thread.join(20)
        for each, handler in before.items():
            signal.signal(each, handler)
    assert "stopped; 1 request not answered in time" in capsys.readouterr().err


def test_times_that_cannot_be_waited_for_are_refused():
    """A request that waits for others as long as its time limit would always be answered 504."""
    with pytest.raises(ConfigError, match="--max-wait-ms 2000 is not shorter than --timeout 1 s"):
        Limits(max_wait_ms=2000, timeout=1)
    typer = CliRunner()
    app = Typer()
    app.command()(command.serve)
    for option in ("--timeout", "--max-wait-ms"):
        shown = typer.invoke(app, ["runs/QED", option, "inf"])
        assert shown.exit_code == 2
        assert option in shown.output


def test_the_command_loads_predictors_and_serves_them(monkeypatch, tmp_path, capsys):
    """The address is printed before the first request; without a token on an open address it warns.

    Limits and names reach the service.
    """
    asked, served = [], []

    def load_together(folders, *options, **more):
        asked.append((folders, options, more))
        return {"One": SimpleNamespace(), "Two": SimpleNamespace()}

    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    monkeypatch.setattr("taglm.load_together", load_together, raising=False)
    monkeypatch.setattr("taglm_serve.app.Service", lambda *given: served.append(given))
    monkeypatch.setattr(command, "make_server", lambda service: None)
    monkeypatch.setattr(command, "run_until_signal", lambda server, listening: None)
    command.serve(["One=a", "Two=b"], port=0, max_rows=7, device="cpu", cache="off")
    assert asked[0][0] == {"One": "a", "Two": "b"}
    assert asked[0][2]["cache"] == "off"
    assert served[0][1].max_rows == 7
    assert served[0][2] is None
    shown = capsys.readouterr().err
    assert re.search(r"^serving One, Two at http://127\.0\.0\.1:\d+$", shown, re.MULTILINE)
    assert "stopped; every accepted request was answered" in shown
    assert "warning" not in shown
    monkeypatch.setattr(command, "_is_loopback", lambda listening: False)
    command.serve(["One=a", "Two=b"], port=0)
    assert "anyone who can reach 127.0.0.1 can use this service" in capsys.readouterr().err
    (tmp_path / "token").write_text("a-token-of-some-length")
    command.serve(["One=a", "Two=b"], port=0, token_file=tmp_path / "token")
    assert "warning" not in capsys.readouterr().err
    assert served[2][2] == "a-token-of-some-length"


def test_a_taken_port_is_said_before_loading():
    """The message names the port and another one."""
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of '127.0.0.1'.*--port {port + 1}"):
            listen("127.0.0.1", port)
    with pytest.raises(ConfigError, match="Choose another --host or --port"):
        listen("192.0.2.1", 0)
    with pytest.raises(ConfigError, match="port 0 of '': "):
        listen("", 0)
    with pytest.raises(ConfigError, match=r"port 0 of 'no\.\.name': "):
        listen("no..name", 0)
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
    file.write_bytes(b"\xff\xfe-a-key-and-no-text")
    with pytest.raises(DataError, match="token: .* not UTF-8"):
        read_token(file)
    with pytest.raises(DataError, match="no such file"):
        read_token(tmp_path / "other")
    monkeypatch.setenv(TOKEN_VARIABLE, "")
    with pytest.raises(ConfigError, match=TOKEN_VARIABLE):
        read_token(None)


def test_predictors_may_have_names():
    """All of them, or none; each once, and such that a path can hold them."""
    assert named_folders(["runs/A", "runs/B=2"]) == ["runs/A", "runs/B=2"]
    assert named_folders(["a=runs/A", "b=runs/A"]) == {"a": "runs/A", "b": "runs/A"}
    with pytest.raises(ConfigError, match="Duplicate name 'a'"):
        named_folders(["a=runs/A", "a=runs/B"])
    with pytest.raises(ConfigError, match="a=: name a folder, such as a=runs/QED"):
        named_folders(["a="])
    with pytest.raises(ConfigError, match="runs/B: give every predictor a name"):
        named_folders(["a=runs/A", "runs/B"])
    with pytest.raises(ConfigError, match="'log P'"):
        check_names({"log P": None})


def test_the_command_is_listed_without_importing_the_service():
    """`taglm --help` shows it; FastAPI is imported when it is called."""
    import taglm_serve

    (listed,) = taglm_serve.register_commands()
    assert listed.name == "serve"
    assert listed.app == "taglm_serve.command:serve"
