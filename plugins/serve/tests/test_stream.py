"""Streams: rows as they come, texts while they are written, clients that leave, faults midway."""

import asyncio
import contextlib
import json
import threading
import time

import httpx
import pytest

TOKEN = "a-token-of-at-least-16"


def events(lines):
    """Give (kind, data) of the events of a stream as they come."""
    kind = None
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


@contextlib.contextmanager
def opened(address, name, rows, **headers):
    """Open a stream; yields its answer."""
    with httpx.stream(
        "POST",
        f"{address}/v1/predictors/{name}/stream",
        json={"rows": rows},
        headers=headers,
        timeout=20,
    ) as answer:
        yield answer


def streamed(address, name, rows):
    """Return all events of a stream."""
    with opened(address, name, rows) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(events(answer.iter_lines()))


def settled(engine):
    """Wait until no row waits or runs; say whether that came."""
    for _ in range(500):
        if not engine.waiting_rows:
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def long_texts(predictors, monkeypatch):
    """Let the text task write 40 tokens a row."""
    from taglm_core.specs import Decoding

    decoding = Decoding(max_new_tokens=40, min_new_tokens=40)
    monkeypatch.setattr(predictors["Say"].task_model, "decoding", decoding)


@pytest.fixture
def steps(predictors, monkeypatch):
    """Note each row and text while texts are written, and wait a little at each token."""
    noted = []
    owner = type(predictors["Say"])
    write = owner.write_rows

    def slowly(self, rows, watch):
        def heard(row, text):
            noted.append((row, text))
            time.sleep(0.005)
            return watch(row, text)

        return write(self, rows, heard)

    monkeypatch.setattr(owner, "write_rows", slowly)
    return noted


def test_rows_come_in_pieces_and_are_those_of_a_prediction(serve, run, call, ask):
    """Every row once, in order and as `predict` answers it, an invalid one among them."""
    rows = [{"letters": "ab" * (1 + k % 5)} for k in range(70)]
    rows[40] = {"letters": "zz"}
    address, server, _ = run(max_wait_ms=0)
    found = streamed(address, "Share", rows)
    assert [kind for kind, _ in found] == ["row"] * 70 + ["end"]
    assert found[-1][1] == {"predictor": "Share", "rows": 70, "num_errors": 1}
    (answer,) = call(serve(), ask("Share", *rows))
    for (_, row), expected in zip(found, answer.json()["rows"], strict=False):
        values, others = row.pop("values"), expected.pop("values")
        assert row == expected
        assert values == (others and pytest.approx(others, rel=1e-3, abs=1e-4))
    counts = httpx.get(address + "/metrics").text
    assert 'taglm_requests_total{predictor="Share",status="200"} 1.0' in counts
    assert 'taglm_rows_total{predictor="Share"} 70.0' in counts
    assert "taglm_batch_rows_count 3.0" in counts


def test_a_text_comes_while_it_is_written(run, predictors, long_texts):
    """The pieces of a text make the whole, which the row holds at last."""
    address, _, _ = run()
    found = streamed(address, "Say", [{"letters": "abca"}, {"letters": ""}])
    texts = [data["text"] for kind, data in found if kind == "text"]
    (good, bad) = [data for kind, data in found if kind == "row"]
    assert len(texts) > 3
    assert good["values"]["Say"].startswith("".join(texts))
    assert good["values"]["Say"] == predictors["Say"].predict(["abca"], "dict")["Say"][0]
    assert bad["error"]
    assert found[-1] == ("end", {"predictor": "Say", "rows": 2, "num_errors": 1})


def test_two_streams_are_written_at_once(run, long_texts, steps):
    """Streams that come together grow in turn, token by token, and each hears its own."""
    address, _, _ = run(max_wait_ms=500)
    letters = ("abca", "bbbbcc")
    found = {}

    def read(value):
        found[value] = streamed(address, "Say", [{"letters": value}])

    threads = [threading.Thread(target=read, args=(value,)) for value in letters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {row for row, _ in steps[:2]} == {0, 1}
    assert len(steps) == 80
    for value in letters:
        pieces = [data for kind, data in found[value] if kind == "text"]
        (row,) = [data for kind, data in found[value] if kind == "row"]
        assert {piece["row"] for piece in pieces} == {1}
        assert row["values"]["Say"].startswith("".join(piece["text"] for piece in pieces))
    assert found[letters[0]] != found[letters[1]]


def test_a_client_that_leaves_stops_the_work(run, long_texts, steps):
    """Its text is not written on, its rows leave the queue, and the next client is served."""
    address, server, _ = run(max_wait_ms=0)
    with opened(address, "Say", [{"letters": "abca"}] * 50) as answer:
        assert next(events(answer.iter_lines()))[0] == "text"
    for _ in range(500):
        counts = httpx.get(address + "/metrics").text
        if "taglm_waiting_rows 0.0" in counts:
            break
        time.sleep(0.01)
    assert "taglm_waiting_rows 0.0" in counts
    assert 'taglm_requests_total{predictor="Say",status="499"} 1.0' in counts
    assert len(steps) < 32 * 40  # tokens of the first piece; the second one never ran
    assert streamed(address, "Share", [{"letters": "ab"}])[-1][0] == "end"


def test_a_fault_midway_is_an_event(run, predictors, monkeypatch):
    """Rows that were predicted are sent; then an error like that of an answer, which ends it."""
    predict = type(predictors).predict_rows

    def fail(self, parts):
        if any("cc" in rows.fields["letters"] for _, rows in parts):
            raise RuntimeError("out of something")
        return predict(self, parts)

    monkeypatch.setattr(type(predictors), "predict_rows", fail)
    address, _, _ = run(max_wait_ms=0)
    rows = [{"letters": "ab"}] * 40 + [{"letters": "cc"}]
    found = streamed(address, "Share", rows)
    assert [kind for kind, _ in found] == ["row"] * 32 + ["error"]
    assert found[-1][1]["error"]["code"] == "failed"
    assert "out of something" not in json.dumps(found)
    counts = httpx.get(address + "/metrics").text
    assert 'taglm_requests_total{predictor="Share",status="500"} 1.0' in counts
    assert "taglm_waiting_rows 0.0" in counts


def test_a_stream_that_stands_still_ends(run, slow):
    """No event for the time limit is a `timeout`, and its rows leave the queue."""
    address, _, _ = run(timeout=0.2, max_wait_ms=0)
    found = streamed(address, "Share", [{"letters": "ab"}] * 40)
    slow.set()
    assert [(kind, data["error"]["code"]) for kind, data in found] == [("error", "timeout")]


def test_limits_and_token_hold_before_the_first_event(serve, call):
    """What is known when a stream begins is a status, as for the other paths."""
    service = serve(token=TOKEN, max_rows=2)
    path, good = "/v1/predictors/Share/stream", {"letters": "ab"}
    (answer,) = call(service, ("POST", path, {"rows": [good]}))
    assert answer.status_code == 401
    allowed = {"Authorization": f"Bearer {TOKEN}"}
    answers = call(
        service,
        ("POST", path, {"rows": [good] * 3}),
        ("POST", path, {"rows": [{"leters": "ab"}]}),
        headers=allowed,
    )
    assert [answer.status_code for answer in answers] == [413, 422]
    service.engine.stop()
    (answer,) = call(service, ("POST", path, {"rows": [good]}), headers=allowed)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stopping")


def test_a_full_queue_refuses_a_stream(serve, call, slow):
    """429 with Retry-After, before any event."""
    service = serve(max_queue=3, max_wait_ms=0)
    waiting = service.engine.submit("Share", {"letters": ["ab"] * 3}, 3)
    (answer,) = call(
        service, ("POST", "/v1/predictors/Share/stream", {"rows": [{"letters": "ab"}]})
    )
    slow.set()
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert waiting.result(10).errors == [None] * 3


def test_a_client_that_leaves_before_the_first_event_is_heard(serve, predictors):
    """Nothing runs for it, though no event was ever asked for."""
    service = serve(max_wait_ms=300)
    sent = []

    async def leave():
        body = json.dumps({"rows": [{"letters": "ab"}]}).encode()
        told = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]

        async def receive():
            return told.pop(0) if told else await asyncio.sleep(60)

        async def send(message):
            sent.append(message)

        headers = [(b"content-type", b"application/json")]
        path = "/v1/predictors/Share/stream"
        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode()}
        scope |= {"headers": headers, "query_string": b"", "root_path": "", "scheme": "http"}
        await service.app(scope, receive, send)

    asyncio.run(leave())
    assert settled(service.engine)
    assert b"event: row" not in b"".join(each.get("body", b"") for each in sent)


def test_the_description_has_the_streams(serve, call):
    """Each predictor's stream takes what its prediction takes, and gives events."""
    paths = call(serve(), ("GET", "/openapi.json"))[0].json()["paths"]
    stream, predict = (
        paths[f"/v1/predictors/Say/{kind}"]["post"] for kind in ("stream", "predict")
    )
    assert stream["requestBody"] == predict["requestBody"]
    assert list(stream["responses"]["200"]["content"]) == ["text/event-stream"]
    assert "`end`" in stream["responses"]["200"]["description"]
    assert {"413", "422", "429", "503"} <= set(stream["responses"])
