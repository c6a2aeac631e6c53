"""Where a predictor reads in a row, asked over HTTP."""

import pytest


def asked(name, row, **more):
    """Return a request about a row, as `call` takes it."""
    return ("POST", f"/v1/predictors/{name}/attention", {"row": row, **more})


@pytest.mark.parametrize("name", ["Share", "Sum", "Say"])
def test_the_weights_are_those_of_the_predictor(serve, call, predictors, name):
    """Each kind of task: fields with their symbols, and what else is read; all sum to 1."""
    row = {"letters": "abca", "digits": "101"}
    own = {field: row[field] for field in predictors[name].fields}
    (answer,) = call(serve(), asked(name, own))
    found = answer.json()
    (expected,) = predictors[name].insight.attention({key: [v] for key, v in own.items()})
    assert answer.status_code == 200
    assert found["error"] is None
    assert [field["field"] for field in found["fields"]] == list(expected["fields"])
    for field, other in zip(found["fields"], expected["fields"].values(), strict=True):
        assert field["symbols"] == other["symbols"]
        assert field["weights"] == pytest.approx(other["weights"], abs=1e-3)
        assert field["picture"] is None  # these domains draw nothing
    weights = [weight for field in found["fields"] for weight in field["weights"]]
    others = found["text"] + found["domain_tags"] + found["function_tag"]
    assert sum(weights) + others == pytest.approx(1.0, abs=0.01)


def test_an_invalid_row_has_its_error_and_another_form_is_422(serve, call, ask):
    """As in predictions."""
    service = serve()
    bad, wrong, rows = call(
        service,
        asked("Share", {"letters": "zz"}),
        asked("Share", {"leters": "ab"}),
        ask("Share", {"letters": "zz"}),
    )
    assert bad.status_code == 200
    assert bad.json()["fields"] == []
    assert bad.json()["error"] == rows.json()["rows"][0]["error"]
    assert wrong.status_code == 422


def test_a_drawing_waits_as_a_row_does(serve, call):
    """It counts in the queue, and leaves it."""
    service = serve(max_queue=2, max_wait_ms=300)
    row = {"letters": "ab"}
    answers = call(service, *[asked("Share", row)] * 3)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
    assert service.engine.waiting_rows == 0


def test_a_domain_draws_the_row(serve, call, predictors, monkeypatch):
    """The picture is what the domain gives for the row and its weights."""
    import attrs
    import toy_plugin

    def picture(row, weights):
        return f"<svg>{row} {len(weights)} {max(weights)}</svg>"

    monkeypatch.setattr(toy_plugin, "picture", picture, raising=False)
    domains = predictors["Share"].task_model.task.domains
    ((written, domain),) = domains.items()
    drawing = attrs.evolve(domain.spec, draw="toy_plugin:picture")
    monkeypatch.setitem(domains, written, attrs.evolve(domain, spec=drawing))
    (answer,) = call(serve(), asked("Share", {"letters": "abca"}))
    assert answer.json()["fields"][0]["picture"] == "<svg>abca 4 1.0</svg>"
