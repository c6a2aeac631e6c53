"""An ensemble averages function tags and heads of several seeds, also from its artifact."""

import numpy as np
import pytest
from small_runs import PLAIN, SHARE, run, write_table

from taglm_core.data.readers import read_table
from taglm_core.errors import ConfigError


@pytest.fixture
def table(tmp_path):
    """Write a table of strings, doses and targets."""
    return write_table(tmp_path)


@pytest.mark.parametrize(
    "settings", [{}, {"head": "linear"}, {"head": "mlp", "fit_epochs": 2}, {"features": "on"}]
)
def test_a_predictor_averages_the_members(settings, tmp_path, toy_registry, toy_backbone, table):
    """The artifact holds every member; each predicts something else, their mean is the answer."""
    made = run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, ensemble=3, **settings)
    choice = made.metrics["tasks"]["T"]["stages"][-1]["head_choice"].get("T", {})
    assert len(choice.get("others", ())) == (0 if "head" in settings else 2)
    then = read_table(made.folder / "predictions" / "test.csv").columns
    rows = {"letters": then["letters"]}
    (name,) = made.predictor.names
    now = made.predictor.predict(rows, "numpy")
    np.testing.assert_allclose(now, np.array(then[name], float), atol=2e-5)
    task_model = made.predictor.task_model
    others, first = task_model.others, task_model.member()
    assert len(others) == 2
    task_model.others = ()
    alone = []
    for member in (first, *others):
        task_model.become(member)
        alone.append(made.predictor.predict(rows, "numpy"))
    np.testing.assert_allclose(np.mean(alone, axis=0), now, atol=1e-6)
    assert all(np.abs(one - alone[0]).max() > 1e-6 for one in alone[1:])


def test_classes_are_averaged_as_probabilities(tmp_path, toy_registry, toy_backbone, table):
    """Rows of the mean add up to 1."""
    target = {"kind": "classification", "columns": ["kind"]}
    made = run(tmp_path, toy_registry, toy_backbone, table, target, PLAIN, ensemble=2)
    found = made.predictor.predict_proba({"letters": ["aaaa", "cccbb"]}, "numpy")
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_the_store_gives_all_members_back(tmp_path, toy_registry, toy_backbone, table):
    """A second run predicts the same without training."""
    first, second = (
        run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, ensemble=2) for _ in range(2)
    )
    assert second.metrics["tasks"]["T"]["stages"][-1]["from_store"] is True
    rows = {"letters": ["abc", "aabbcc"]}
    one, other = (made.predictor.predict(rows, "numpy") for made in (first, second))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_ensemble_of_text_is_refused(tmp_path, toy_registry, toy_backbone, table):
    """Written texts have no mean."""
    with pytest.raises(ConfigError, match="ensemble is not possible: the task writes text"):
        run(
            tmp_path,
            toy_registry,
            toy_backbone,
            table,
            {"kind": "text"},
            "<Letters>{letters} <T> {kind}",
            ensemble=2,
        )


def test_an_ensemble_of_a_given_tag_is_refused(tmp_path, toy_registry, toy_backbone, table):
    """A domain tag that is enriched belongs to one function tag."""
    with pytest.raises(ConfigError, match=r"ensemble is not possible: stages\.task\.enrich"):
        run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, ensemble=2, enrich=True)
