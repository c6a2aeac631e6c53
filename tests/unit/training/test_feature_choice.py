"""A head with hidden layers reads features where that validates better; predictions agree."""

import numpy as np
import pytest
import torch
from small_runs import DOSED, PLAIN, SHARE, Lines, run, write_table
from torch import nn

from taglm_core.data.readers import read_table
from taglm_core.model.feature_head import FeatureHead
from taglm_core.model.features import CATEGORY, FeatureReader, FeatureRecord
from taglm_core.training.head_fitter import fit_seconds
from taglm_core.training.head_loss import HeadLoss

PASSES = {"head": "mlp", "head_options": {"units": 16}, "fit_epochs": 15}
FEW = {**PASSES, "fit_epochs": 3}
"""For tests of what is read, not of how well."""


@pytest.fixture
def table(tmp_path):
    """Write a table of strings, doses and targets."""
    return write_table(tmp_path)


def test_features_that_decide_are_chosen(tmp_path, toy_registry, toy_backbone, table):
    """The predictor reads them again: its numbers are those of the run, also from the store."""
    first, second = (
        run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, **PASSES) for _ in range(2)
    )
    task_model = first.predictor.task_model
    assert isinstance(task_model.head, FeatureHead)
    choice = first.metrics["tasks"]["T"]["stages"][-1]["head_choice"]["T"]
    losses = choice["valid_losses"]
    assert "descriptors of letters" in choice["chosen"]
    assert losses[choice["chosen"]] == min(losses.values()) < 0.98 * losses["states"]
    in_full = "in full" in choice["chosen"]
    assert float(task_model.head.weight_of_states) == pytest.approx(choice["weight_of_states"])
    assert choice["weight_of_states"] == (1.0 if in_full else 0.03)
    assert sum("in full" in name for name in losses) == 1
    assert second.metrics["tasks"]["T"]["stages"][-1]["from_store"] is True
    then = read_table(first.folder / "predictions" / "test.csv").columns
    for made in (first, second):
        (name,) = made.predictor.names
        now = made.predictor.predict({"letters": then["letters"]}, "numpy")
        np.testing.assert_allclose(now, np.array(then[name], float), atol=2e-5)


def test_features_off_leaves_the_states(tmp_path, toy_registry, toy_backbone, table):
    """Nothing is compared then."""
    made = run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, features="off", **FEW)
    assert made.predictor.task_model.features is None
    assert made.metrics["tasks"]["T"]["stages"][-1]["head_choice"] == {}


def test_members_of_an_ensemble_read_the_same(tmp_path, toy_registry, toy_backbone, table):
    """The first one chooses."""
    settings = {"ensemble": 2, "features": "on", **FEW}
    made = run(tmp_path, toy_registry, toy_backbone, table, SHARE, DOSED, **settings)
    task_model = made.predictor.task_model
    (other,) = task_model.others
    assert other.features.records == task_model.features.records
    assert other.head.weight_of_states == task_model.head.weight_of_states


def test_what_does_not_fit_the_time_is_left_out(
    tmp_path, toy_registry, toy_backbone, table, monkeypatch
):
    """It is said, and the states alone are read; who asks for features gets them."""
    for module in ("feature_choice", "head_cost"):
        monkeypatch.setattr(f"taglm_core.training.{module}.fit_seconds", lambda *facts: 900.0)
    lines = Lines()
    task = (tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, lines)
    made = run(*task, seconds=60.0, **FEW)
    assert made.predictor.task_model.features is None
    line, _ = [line for line in lines.said if "no head of T with states, " in line]
    assert line.startswith("time 60 s: ")
    assert "about 15 min" in line
    plan = made.metrics["time"]
    assert [each["is_in_time"] for each in plan["heads with features"].values()] == [False, False]
    assert plan["<local/T>"]["head_fits"] == 0
    asked = run(*task, seconds=60.0, features="on", **FEW)
    assert isinstance(asked.predictor.task_model.head, FeatureHead)
    _timing_changes_nothing(asked.predictor.task_model)


def _timing_changes_nothing(task_model):
    """More passes take longer; head, scaling and random numbers stay as they were."""
    own, scaling, heads = task_model.head, task_model.scaling, [nn.Linear(5, 1), nn.Linear(5, 1)]
    before = [value.clone() for value in own.state_dict().values()]
    loss, numbers = HeadLoss(task_model), np.linspace(0, 1, 50)[:, None]
    random = torch.random.get_rng_state()
    few, many = (
        fit_seconds(loss, head, 5, loss.targets(numbers), numbers[:9], epochs)
        for head, epochs in zip(heads, (1, 1000), strict=True)
    )
    assert many > 20 * few > 0
    assert task_model.head is own
    assert task_model.scaling is scaling
    assert torch.equal(torch.random.get_rng_state(), random)
    for value, was in zip(own.state_dict().values(), before, strict=True):
        assert torch.equal(value, was)


def test_columns_that_do_not_vary_are_not_read():
    """Outside the training rows such a column may be anything; others are cut off."""
    head = FeatureHead([nn.Linear(3, 1)], 1, 2)
    rows = torch.tensor([[1.0, 5.0, -1.0], [3.0, 5.0, 1.0]])
    head.adapt_to(rows)
    scaled = head.scaled(torch.tensor([[3.0, 900.0, 100.0]]))
    torch.testing.assert_close(scaled, torch.tensor([[0.03, 0.0, 5.0]]))


def test_members_are_fitted_each_for_itself_and_averaged():
    """In training each has its own outputs, hence its own loss."""
    members = [nn.Linear(2, 1), nn.Linear(2, 1)]
    head = FeatureHead(members, 1, 1)
    head.adapt_to(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
    rows = torch.tensor([[1.0, 0.5], [0.0, 1.0], [2.0, 0.0]])
    alone = [member(head.scaled(rows)) for member in members]
    torch.testing.assert_close(head.eval()(rows), (alone[0] + alone[1]) / 2)
    torch.testing.assert_close(head.train()(rows), torch.cat(alone))


def test_categories_are_columns_and_an_unknown_one_is_none(toy_registry):
    """Each value of training has a column; another value has zeros and is no error."""
    record = FeatureRecord(field="cell", kind=CATEGORY, width=2, values=("A549", "T47D"))
    reader = FeatureReader.of_records([record], toy_registry)
    fields = {"cell": ["T47D", "new", "A549"]}
    assert reader.errors(fields) == [None, None, None]
    assert reader.read(fields).tolist() == [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
