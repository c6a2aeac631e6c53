"""What a service answers: predictions, invalid rows, faults, limits, its description and page."""

import json
import threading
import time

import pytest

TOKEN = "a-token-of-at-least-16"
LETTERS = ["abca", "bbbb", "zz", "cacac"]


def counted(service):
    """Return the number of requests by predictor and status."""
    requests = next(iter(service.metrics.requests.collect()))
    return {
        (sample.labels["predictor"], sample.labels["status"]): sample.value
        for sample in requests.samples
        if sample.name == "taglm_requests_total"
    }


def test_predictions_are_those_of_the_predictor(serve, call, ask, predictors):
    """Each kind of task, with an invalid row in between, to the digits of prediction files."""
    rows = [{"letters": each} for each in LETTERS]
    pairs = [{**row, "digits": "101"} for row in rows]
    service = serve()
    answers = call(service, ask("Share", *rows), ask("First", *rows), ask("Sum", *pairs))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    for name, answer in zip(("Share", "First", "Sum"), answers, strict=True):
        body = answer.json()
        expected = predictors[name].predict({"letters": LETTERS, "digits": ["101"] * 4}, "dict")
        assert body["predictor"] == name
        assert body["num_errors"] == 1
        assert [row["row"] for row in body["rows"]] == [1, 2, 3, 4]
        assert [row["error"] for row in body["rows"]] == expected["error"]
        assert body["rows"][2]["values"] is None
        for k in (0, 1, 3):
            for column, values in expected.items():
                if column == "error":
                    continue
                found = body["rows"][k]["values"][column]
                is_number = isinstance(values[k], float)
                assert found == (
                    pytest.approx(values[k], rel=1e-3, abs=1e-4) if is_number else values[k]
                )


def test_text_is_written(serve, call, ask, predictors):
    """A text task answers its texts."""
    (answer,) = call(serve(), ask("Say", {"letters": "abca"}))
    expected = predictors["Say"].predict({"letters": ["abca"]}, "dict")["Say"]
    assert [row["values"]["Say"] for row in answer.json()["rows"]] == expected


def test_requests_share_a_batch(serve, call, ask, predictors, monkeypatch):
    """Requests for two predictors that come together run in one call, whose rows are counted."""
    batches = []
    predict = type(predictors).predict_rows

    def note(self, parts):
        batches.append([name for name, _ in parts])
        return predict(self, parts)

    monkeypatch.setattr(type(predictors), "predict_rows", note)
    service = serve(max_wait_ms=300)
    row = {"letters": "abca"}
    answers = call(service, ask("Share", row), ask("Third", row, row), ask("Share", row))
    assert batches == [["Share", "Third", "Share"]]
    assert [len(answer.json()["rows"]) for answer in answers] == [1, 2, 1]
    counts = call(service, ("GET", "/metrics"))[0].text
    assert 'taglm_requests_total{predictor="Share",status="200"} 2.0' in counts
    assert 'taglm_rows_total{predictor="Third"} 2.0' in counts
    assert "taglm_batch_predictors_sum 2.0" in counts
    assert "taglm_batch_rows_sum 4.0" in counts
    assert "taglm_waiting_rows 0.0" in counts
    assert "taglm_cache_limit_bytes 1e+08" in counts or "taglm_cache_limit_bytes 9" in counts


def test_a_short_request_overtakes_a_long_one(serve, call, ask):
    """A request of many batches runs in pieces, in turn with what came after it, in its order."""
    rows = [{"letters": each} for each in ("abca", "bbbb", "cacac", "ab", "ba", "aa", "bb")]
    service = serve(max_batch=2)
    sizes = []
    service.engine.observer.on_batch = lambda rows, predictors, seconds: sizes.append(rows)
    whole, one = call(service, ask("Share", *rows), ask("Share", rows[3]))
    values = [row["values"]["Share"] for row in whole.json()["rows"]]
    alone = call(serve(), ask("Share", *rows))[0].json()["rows"]
    assert values == pytest.approx([row["values"]["Share"] for row in alone], rel=1e-3)
    assert one.json()["rows"][0]["values"]["Share"] == pytest.approx(values[3], rel=1e-3)
    assert max(sizes) == 2
    assert sum(sizes) == 8


def test_wrong_values_are_faults_of_their_rows(serve, call, ask):
    """Empty and wrong cells are errors of rows; a missing or unknown field is a fault, by row."""
    service = serve()
    good = {"letters": "abca"}
    (answer,) = call(
        service, ask("Share", good, {"letters": None}, {"letters": 5}, {"letters": ""})
    )
    assert answer.status_code == 200
    errors = [row["error"] for row in answer.json()["rows"]]
    assert errors[0] is None
    assert all(errors[1:])
    (answer,) = call(service, ask("Share", good, {"leters": "ab"}, {"letters": ["a"]}))
    assert answer.status_code == 422
    faults = answer.json()["error"]["rows"]
    assert [(fault["row"], fault["field"]) for fault in faults] == [
        (2, "letters"),
        (2, "leters"),
        (3, "letters"),
    ]
    (empty,) = call(service, ask("Share"))
    assert empty.json() == {"predictor": "Share", "num_errors": 0, "rows": []}


def test_every_fault_is_json(serve, call):
    """Unknown paths and methods, bodies that are no JSON or of another form."""
    service = serve()
    path = "/v1/predictors/Share/predict"
    for request, status, code in (
        (("GET", "/nothing"), 404, "not_found"),
        (("GET", path), 405, "method_not_allowed"),
        (("POST", "/v1/predictors/Other/predict", {"rows": []}), 404, "not_found"),
        (("POST", path, {"rows": 5}), 422, "invalid"),
        (("POST", path, {"rows": [], "more": 1}), 422, "invalid"),
    ):
        (answer,) = call(service, request)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert answer.json()["error"]["message"]
    for content in (b"{", b"\xff\xfe", b"[" * 100_000):
        (answer,) = call(service, ("POST", path), content=content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_json")


def test_faults_of_a_request_say_what_to_do(serve, call, ask):
    """In words of the service: of its bodies, of predictors without intervals, of rows."""
    service, path = serve(), "/v1/predictors/Share/predict"
    form = {"content-type": "application/x-www-form-urlencoded"}  # what curl -d sends
    (answer,) = call(service, ("POST", path), content=b'{"rows": []}', headers=form)
    assert "Send the header Content-Type: application/json." in answer.json()["error"]["message"]
    (answer,) = call(service, ("POST", path), content='{"rows": ["\u00e9"]}'.encode("latin-1"))
    assert answer.json()["error"]["message"] == "the body is not valid JSON in UTF-8"
    for request, message in (
        (ask("First", interval=0.9), "interval: this predictor has no prediction intervals"),
        (ask("Share", more=1), "more: unknown"),
        (("POST", path, [1]), "body: must be a JSON object"),
        (ask("Share", {"x": 1}), "1 row with a wrong form"),
    ):
        (answer,) = call(service, request)
        assert answer.status_code == 422
        assert answer.json()["error"]["message"].startswith(message)
    twice = b'{"rows": [{"letters": "ab", "letters": "ba"}], "fix": true}'
    (answer,) = call(service, ("POST", path), content=twice)
    assert answer.status_code == 422
    said = answer.json()["error"]
    assert (said["code"], said["message"]) == (
        "invalid",
        'duplicate key "letters"; name each key once',
    )
    (answer,) = call(service, ask("Share", {"x": 1}))
    words = {entry["message"] for entry in answer.json()["error"]["rows"]}
    assert words == {"missing", "unknown; /v1/predictors and /openapi.json say what there is"}


def test_bodies_made_to_take_long_do_not(serve, call):
    """Duplicate keys, many unknown keys, more wrong rows than a request may have."""
    service, path = serve(max_rows=100), "/v1/predictors/Share/predict"
    keys = [f'"k{number}":0' for number in range(9000)]
    many = ",".join(f'"k{number}":0' for number in range(500_000))
    wrong, long = ",".join(['{"x":1}'] * 50_000), "k" * 9000
    for body, status, message in (
        ("{" + ",".join([*keys, keys[-1]]) + "}", 422, 'duplicate key "k8999"; name each key'),
        ("{" + ",".join(keys[:1000]) + "}", 422, "and 991 more faults"),
        ("{" + many + "}", 422, "an object with 500,000 keys; it may have 10,000 at most"),
        ('{"rows":[' + wrong + "]}", 413, "50,000 rows; a request may"),
        (r'{"\ud800": 1, "\ud800": 2}', 422, r'duplicate key "\\ud800"; name'),
        (f'{{"{long}": 1, "{long}": 2}}', 422, 'kkk..."; name each key once'),
    ):
        began = time.perf_counter()
        (answer,) = call(service, ("POST", path), content=body.encode())
        assert time.perf_counter() - began < 5
        assert answer.status_code == status
        assert message in answer.json()["error"]["message"]
        assert len(answer.content) < 2000


def test_a_fault_of_the_model_is_an_answer(serve, call, ask, predictors, monkeypatch):
    """A batch that fails is run by request: the one at fault gets 500, the others values."""
    predict = type(predictors).predict_rows

    def fail(self, parts):
        if any(name == "Third" for name, _ in parts):
            raise RuntimeError("out of something")
        return predict(self, parts)

    monkeypatch.setattr(type(predictors), "predict_rows", fail)
    service = serve(max_wait_ms=300)
    row = {"letters": "abca"}
    bad, good = call(service, ask("Third", row), ask("Share", row))
    assert (bad.status_code, bad.json()["error"]["code"]) == (500, "failed")
    assert "out of something" not in bad.text
    assert good.status_code == 200
    assert call(service, ask("Third", row))[0].status_code == 500
    assert call(service, ask("Share", row))[0].status_code == 200


def test_a_full_queue_is_429(serve, call, ask, slow):
    """More rows than may wait are refused at once, with the time to come again."""
    service = serve(max_queue=3, max_wait_ms=0)
    rows = [{"letters": "abca"}] * 2
    threading.Timer(0.3, slow.set).start()
    answers = call(service, *[ask("Share", *rows)] * 3)
    assert sorted(answer.status_code for answer in answers) == [200, 429, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["error"]["code"] == "queue_full"
    assert call(service, ask("Share", *rows))[0].status_code == 200


def test_a_late_answer_is_504_and_leaves_the_queue(serve, call, ask, slow):
    """What was waiting behind a long batch is not run after its time, and frees its place."""
    service = serve(timeout=0.2, max_wait_ms=0)
    row = {"letters": "abca"}
    answers = call(service, ask("Share", row), ask("Third", row))
    assert [answer.status_code for answer in answers] == [504, 504]
    slow.set()
    for _ in range(100):
        if not service.engine.waiting_rows:
            break
        time.sleep(0.01)
    assert service.engine.waiting_rows == 0
    assert call(service, ask("Share", row))[0].status_code == 200


def test_limits_are_413(serve, call, ask):
    """Too many rows, too many bytes, with and without a declared length."""
    service = serve(max_rows=2, max_body=400)
    row = {"letters": "abca"}
    assert call(service, ask("Share", row, row))[0].status_code == 200
    (answer,) = call(service, ask("Share", row, row, row))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_many_rows")
    (answer,) = call(service, ask("Share", {"letters": "a" * 400}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")

    async def pieces():
        for _ in range(100):
            yield b" " * 10

    (answer,) = call(service, ("POST", "/v1/predictors/Share/predict"), content=pieces())
    assert answer.status_code == 413
    assert counted(service) == {("Share", "200"): 1, ("Share", "413"): 3}


def test_each_refusal_of_a_predictor_is_counted(serve, call, ask):
    """By its status, whoever answers; paths of no predictor make no new counters."""
    service = serve(token=TOKEN)
    path = "/v1/predictors/Share/{}"
    for content in (b"{", b'{"rows": 1}', b'{"rows": [], "rows": []}'):
        for kind in ("predict", "stream", "attention"):
            sent = [("POST", path.format(kind))]
            call(service, *sent, content=content, headers={"Authorization": f"Bearer {TOKEN}"})
    call(service, ask("Third", {"letters": "ab"}), ask("Nobody", {"letters": "ab"}))
    found = {("Share", "400"): 3, ("Share", "422"): 6, ("Third", "401"): 1}
    assert counted(service) == found
    allowed = {"Authorization": f"Bearer {TOKEN}"}
    lost = call(service, ask("Nobody", {"letters": "ab"}), headers=allowed)
    assert lost[0].status_code == 404
    assert counted(service) == found


def test_a_token_is_demanded(serve, call, ask):
    """All but the page and the probes; a wrong token and another scheme do not pass."""
    service = serve(token=TOKEN)
    closed = [ask("Share", {"letters": "ab"}), ("GET", "/v1/predictors"), ("GET", "/metrics")]
    closed.append(("GET", "/openapi.json"))
    for sent in (
        None,
        "Bearer wrong",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        "Bearer ",
        "Bearer \xe9",
    ):
        headers = {} if sent is None else {"Authorization": sent.encode("latin-1")}
        answers = call(service, *closed, headers=headers)
        assert [answer.status_code for answer in answers] == [401] * 4
        assert answers[0].headers["www-authenticate"] == "Bearer"
        assert answers[0].json()["error"]["code"] == "unauthorized"
    answers = call(service, *closed, headers={"Authorization": f"Bearer {TOKEN}"})
    assert [answer.status_code for answer in answers] == [200] * 4
    answers = call(service, ("GET", "/"), ("GET", "/healthz"), ("GET", "/readyz"))
    assert [answer.status_code for answer in answers] == [200] * 3


def test_stopping_answers_what_was_accepted(serve, call, ask, slow):
    """What waits is predicted, what comes later is refused, readiness says no."""
    service = serve(max_wait_ms=0, max_batch=2)
    waiting = [service.engine.submit("Share", {"letters": ["abca"] * 3}, 3) for _ in range(4)]
    stopping = threading.Thread(target=service.engine.stop)
    stopping.start()
    while not service.engine.is_stopping:
        time.sleep(0.001)
    refused, ready, health = call(
        service, ask("Share", {"letters": "ab"}), ("GET", "/readyz"), ("GET", "/healthz")
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "stopping")
    assert (ready.status_code, health.status_code) == (503, 200)
    slow.set()
    stopping.join(10)
    assert [answer.result(0).errors for answer in waiting] == [[None] * 3] * 4
    assert not service.engine.is_alive


def test_the_description_has_the_fields_and_columns(serve, call):
    """Each predictor has a path with its own models, which forbid other fields."""
    (answer,) = call(
        serve(token=TOKEN), ("GET", "/openapi.json"), headers={"Authorization": f"Bearer {TOKEN}"}
    )
    described = answer.json()
    post = described["paths"]["/v1/predictors/Sum/predict"]["post"]
    assert set(post["responses"]) >= {"200", "401", "413", "422", "429", "503", "504"}
    assert post["security"]
    schemas = described["components"]["schemas"]
    assert set(schemas["SumRow"]["properties"]) == {"letters", "digits"}
    assert schemas["SumRow"]["required"] == ["letters", "digits"]
    assert schemas["SumRow"]["additionalProperties"] is False
    assert set(schemas["FirstValues"]["properties"]) == {"First", "First.a", "First.b", "First.c"}
    assert schemas["SumRequest"]["properties"]["rows"]["maxItems"] == 10_000
    assert schemas["SumRequest"]["properties"]["rows"]["examples"]


def test_the_predictors_are_listed(serve, call):
    """The page and programs learn fields, columns and limits from it."""
    (answer,) = call(serve(max_rows=7), ("GET", "/v1/predictors"))
    facts = answer.json()
    assert facts["max_rows"] == 7
    listed = {entry["name"]: entry for entry in facts["predictors"]}
    assert list(listed) == ["Share", "Third", "Sum", "Times", "First", "Say"]
    assert listed["Third"] == {
        "name": "Third",
        "task": "Third",
        "kind": "regression",
        "unit": "1",
        "fields": ["letters"],
        "columns": ["Third"],
        "max_interval": None,
        "similarity": {},
    }
    assert {n: e["max_interval"] for n, e in listed.items() if e["max_interval"]} == {"Sum": 0.9375}


def test_intervals_are_those_of_predict(serve, call, predictors):
    """Asked for by a level that the predictor has; else no row has one, and a fault says why."""
    rows = [{"letters": "abca", "digits": "101"}, {"letters": "zz", "digits": "1"}]
    path = "/v1/predictors/{}/predict"

    def body(level, rows=rows):
        return {"rows": rows, "interval": level}

    asked, plain, high, other, stream = call(
        serve(),
        ("POST", path.format("Sum"), body(0.9)),
        ("POST", path.format("Sum"), {"rows": rows}),
        ("POST", path.format("Sum"), body(0.95)),
        ("POST", path.format("Share"), body(0.9, [{"letters": "ab"}])),
        ("POST", "/v1/predictors/Sum/stream", body(0.9)),
    )
    first, second = asked.json()["rows"]
    columns = {name: [row[name] for row in rows] for name in ("letters", "digits")}
    held = predictors["Sum"].predict(columns, "dict", interval=0.9)
    (value,) = first["values"].values()
    (ends,) = first["interval"].values()
    assert ends["low"] == pytest.approx(held["Sum_low"][0], rel=1e-5)
    assert ends["high"] == pytest.approx(held["Sum_high"][0], rel=1e-5)
    assert ends["low"] < value < ends["high"]
    assert second["interval"] is None
    assert [row["interval"] for row in plain.json()["rows"]] == [None, None]
    assert json.dumps(first["interval"]) in stream.text
    assert (high.status_code, other.status_code) == (422, 422)
    assert "interval" in high.json()["error"]["message"]
    assert "0.9375" in high.json()["error"]["message"]
    assert other.json()["error"]["message"].startswith("interval: ")


def test_rows_unlike_training_rows_are_told(serve, call, ask, predictors, monkeypatch):
    """The page marks predictions that are not to be relied on; an invalid row has no verdict."""
    import toy_plugin

    from taglm_core.model.similarity import SimilarityReader, SimilarityRecord, _Compared, packed

    training = toy_plugin.pairs(["abab", "ba"])
    record = SimilarityRecord(
        fields=("letters",),
        domain="toy/Letters",
        width=12,
        threshold=0.5,
        kept=2,
        distinct=2,
        basis="train",
    )
    compared = _Compared(record, *packed(training != 0), lambda: toy_plugin.pairs)
    monkeypatch.setattr(predictors["Share"].task_model, "similarity", SimilarityReader((compared,)))
    service = serve()
    rows = [{"letters": value} for value in ("ab", "ccc", "xyz")]
    answer, facts = call(service, ask("Share", *rows), ("GET", "/v1/predictors"))
    told = [(row["unlike_training"], row["similarity"]) for row in answer.json()["rows"]]
    assert told == [
        (False, {"training_similarity": 0.6667}),
        (True, {"training_similarity": 0.0}),
        (None, None),
    ]
    listed = {entry["name"]: entry["similarity"] for entry in facts.json()["predictors"]}
    assert listed["Share"] == {"training_similarity": 0.5}
    assert listed["Third"] == {}


def test_the_page_asks_nobody_else(serve, call):
    """It is one file without addresses of other hosts, and its policy forbids them."""
    (answer,) = call(serve(), ("GET", "/"))
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "@import" not in answer.text


def test_numbers_that_are_not_finite_are_null(serve, call, ask, predictors, monkeypatch):
    """JSON has no NaN."""
    owner = type(predictors["Share"].task_model)
    monkeypatch.setattr(
        owner, "values", lambda self, states, features: states[:, :1].numpy() * float("nan")
    )
    (answer,) = call(serve(), ask("Share", {"letters": "ab"}))
    assert json.loads(answer.text, parse_constant=pytest.fail)["rows"][0]["values"] == {
        "Share": None
    }
