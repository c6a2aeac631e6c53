"""The head is chosen after training: linear, kernel, or kernel with features; predictions agree."""

import types

import numpy as np
import pytest
import torch
from small_runs import DOSED, PLAIN, SHARE, SMALL, run, write_table

from taglm_core.data.readers import read_table
from taglm_core.errors import ConfigError, PluginError
from taglm_core.inference.loading import load_predictor
from taglm_core.model.kernel_head import KERNEL, KernelHead
from taglm_core.progress import Silent
from taglm_core.store.artifact import find_artifact, load_artifact
from taglm_core.store.tagstore import TagStore
from taglm_core.training import head_choice, kernel_fit, tree_fit
from taglm_core.training.head_choice import Choice, Errors, _choice
from taglm_core.training.kernel_fit import fit_more_points
from taglm_core.training.plan import make_plans
from taglm_core.training.settings import run_config
from taglm_core.training.tag_choice import Start, choose_tag, why_untrained


class Said(Silent):
    """Remembers what a run says."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        """Keep a line."""
        self.lines.append(text)


@pytest.fixture
def table(tmp_path):
    """Write a table of strings, doses and targets."""
    return write_table(tmp_path)


def test_features_that_decide_are_chosen_and_said(tmp_path, toy_registry, toy_backbone, table):
    """The share of a is a descriptor; the predictor reads it again, by the plugin's name."""
    said = Said()
    made = run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, said)
    task_model = made.predictor.task_model
    assert isinstance(task_model.head, KernelHead)
    (record,) = task_model.features.records
    assert (record.domain, record.kind, record.width) == ("toy/Letters", "descriptors", 3)
    assert "head of the untrained tag: kernel with descriptors of letters" in said.lines
    stage = made.metrics["tasks"]["T"]["stages"][-1]
    choice = stage["head_choice"]["T"]
    assert choice["chosen"] == "kernel with descriptors of letters"
    costs = choice["mean_squared_errors"]
    assert costs[choice["chosen"]]["valid"] < 0.5 * costs["linear"]["valid"]
    assert made.metrics["tasks"]["T"]["splits"]["test"]["metrics"]["r2"] > 0.9


def test_a_predictor_gives_the_numbers_of_its_run(tmp_path, toy_registry, toy_backbone, table):
    """Descriptors and a number in a text field; a cell that is no number is an error of its row."""
    made = run(
        tmp_path,
        toy_registry,
        toy_backbone,
        table,
        {"kind": "regression", "columns": ["share", "reply"]},
        DOSED,
        features="on",
    )
    kinds = [record.kind for record in made.predictor.task_model.features.records]
    assert kinds == ["descriptors", "number"]
    then = read_table(made.folder / "predictions" / "test.csv").columns
    rows = {"letters": then["letters"], "dose": then["dose"]}
    now = made.predictor.predict(rows, "dict")
    for name in made.predictor.names:
        np.testing.assert_allclose(now[name], np.array(then[name], float), atol=2e-5)
    assert made.metrics["tasks"]["T"]["splits"]["test"]["metrics"]["r2.reply"] > 0.8
    odd = made.predictor.predict({"letters": ["ab", "abc"], "dose": ["1", "high"]}, "dict")
    assert odd["error"] == [None, "dose: 'high' is not a number"]
    assert odd[made.predictor.names[0]][1] is None


def test_classes_keep_probabilities(tmp_path, toy_registry, toy_backbone, table):
    """The logits of a kernel head are scaled by the validation likelihood."""
    target = {"kind": "classification", "columns": ["kind"]}
    made = run(tmp_path, toy_registry, toy_backbone, table, target, PLAIN, features="on")
    found = made.predictor.predict_proba({"letters": ["aaaa", "cccbb"]}, "numpy")
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    classes = list(made.predictor.task_model.classes)
    assert found[0, classes.index("much")] > 0.8
    assert found[1, classes.index("little")] > 0.8


def test_the_store_gives_a_kernel_head_back(tmp_path, toy_registry, toy_backbone, table):
    """A second run of the same settings trains nothing and predicts the same."""
    first, second = (
        run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, features="on")
        for _ in range(2)
    )
    assert second.metrics["tasks"]["T"]["stages"][-1]["from_store"] is True
    rows = {"letters": ["abc", "aabbcc"]}
    one, other = (made.predictor.predict(rows, "numpy") for made in (first, second))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_another_number_of_columns_is_an_error(
    tmp_path, toy_registry, toy_backbone, table, monkeypatch
):
    """A newer plugin may compute more descriptors than the head was trained with."""
    import toy_plugin

    made = run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, features="on")
    monkeypatch.setattr(toy_plugin, "descriptors", lambda rows: np.ones((len(rows), 4)))
    newer = load_predictor(load_artifact(find_artifact(made.folder)), toy_registry)
    with pytest.raises(PluginError, match="trained with 3 columns"):
        newer.predict({"letters": ["abc"]})


@pytest.mark.parametrize(
    ("settings", "target", "message"),
    [
        ({"head": "linear", "features": "on"}, SHARE, "needs stages.task.head=auto, kernel or mlp"),
        ({"head": KERNEL, "huber": 0.3}, SHARE, "stages.task.huber is set"),
        ({"head": KERNEL}, {**SHARE, "censored_below": 0.1}, "the target is left-censored"),
        ({"head": KERNEL, "head_init": "mean_embedding"}, SHARE, "needs stages.task.head_init=fit"),
    ],
)
def test_what_cannot_be_is_refused_before_training(
    settings, target, message, tmp_path, toy_registry, toy_backbone, table
):
    """No run goes on with another head than the one it names."""
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, toy_registry, toy_backbone, table, target, PLAIN, **settings)


def test_a_computed_label_is_not_read_off_descriptors(tmp_path, toy_registry, toy_backbone):
    """`auto` leaves them out there, since label and descriptors come from the same formulas."""
    config = run_config(
        "test",
        {"task": "ShareA", "backbone": str(toy_backbone), "stages": {"task": SMALL}},
        registry=toy_registry,
    )
    (plan,) = make_plans(config, toy_registry, TagStore(tmp_path / "store"))
    from taglm_core.training.head_choice import _candidates

    is_computed = plan.task.spec.target.compute is not None
    train = {"letters": ["abc", "cab"]}
    names = [name for name, _ in _candidates(plan, train, None)]
    assert names == ([KERNEL] if is_computed else [KERNEL, f"{KERNEL} with descriptors of letters"])
    assert is_computed


def test_the_choice_of_an_older_record_is_taken(tmp_path, toy_registry, toy_backbone, table):
    """It does not name the sources: all that there are, or none where the states sufficed."""
    data = {
        "task": {"name": "T", "template": PLAIN, "target": SHARE},
        "data": {"file": str(table), "split": {"method": "random"}},
        "backbone": str(toy_backbone),
        "stages": {"task": SMALL},
    }
    config = run_config("test", data)
    (plan,) = make_plans(config, toy_registry, TagStore(tmp_path / "store"))
    train = {"letters": ["abc", "cab"]}
    for name, sources in (
        (KERNEL, None),
        (f"{KERNEL} with descriptors of letters", [["letters", "descriptors"]]),
    ):
        ((found, reader),) = head_choice._candidates(plan, train, {"chosen": name})
        assert found == name
        assert (reader and reader.sources) == sources


def test_the_rows_and_points_of_a_kernel_head_are_bounded(
    tmp_path, toy_registry, toy_backbone, table, monkeypatch
):
    """Of more training rows as many are drawn; without cross-validation the valid split decides."""
    monkeypatch.setattr(head_choice, "MOST_ROWS", 60)
    monkeypatch.setattr(kernel_fit, "FEW_POINTS", 20)
    monkeypatch.setattr(kernel_fit, "MOST_POINTS", 20)
    monkeypatch.setattr(head_choice, "MOST_CROSS_VALIDATED", 50)
    made = run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, features="on")
    assert made.predictor.task_model.head.points.shape[0] == 20
    (choice,) = made.metrics["tasks"]["T"]["stages"][-1]["head_choice"].values()
    (costs,) = choice["mean_squared_errors"].values()
    assert costs["cross_validated"] is None
    assert made.metrics["tasks"]["T"]["splits"]["test"]["metrics"]["r2"] > 0.7


def test_a_few_more_rows_are_not_worth_another_fit(
    tmp_path, toy_registry, toy_backbone, table, monkeypatch
):
    """A quarter more has to be there."""
    monkeypatch.setattr(head_choice, "MOST_ROWS", 60)
    fitted = []
    monkeypatch.setattr(
        head_choice, "fit_more_points", lambda *args: fitted.append(args) or fit_more_points(*args)
    )
    counts = []
    for points in (50, 45):
        monkeypatch.setattr(kernel_fit, "FEW_POINTS", points)
        run(tmp_path / str(points), toy_registry, toy_backbone, table, SHARE, PLAIN, features="on")
        counts.append(len(fitted))
    assert counts == [0, 1]


@pytest.mark.parametrize("is_better", [True, False])
@pytest.mark.parametrize("target", [SHARE, {"kind": "classification", "columns": ["kind"]}])
def test_the_chosen_head_compares_with_more_rows_if_that_is_better(
    tmp_path, toy_registry, toy_backbone, table, monkeypatch, target, is_better
):
    """Otherwise it stays as it was chosen, with its offset. Its trees keep their share."""
    for module in (kernel_fit, tree_fit):
        monkeypatch.setattr(module, "share_of", lambda *given: 0.25)
    monkeypatch.setattr(kernel_fit, "FEW_POINTS", 20)
    monkeypatch.setattr(kernel_fit, "MOST_POINTS", 50)
    compared = []
    decided = lambda decide: compared.append(decide()) or is_better  # noqa: E731
    monkeypatch.setattr(head_choice, "processes", types.SimpleNamespace(decided=decided))
    made = run(tmp_path, toy_registry, toy_backbone, table, target, PLAIN, features="on")
    (choice,) = made.metrics["tasks"]["T"]["stages"][-1]["head_choice"].values()
    assert len(compared) == 1
    assert choice.get("points", 20) == (50 if is_better else 20)
    head = made.predictor.task_model.head
    assert head.points.shape[0] == (50 if is_better else 20)
    assert choice["trees"] == {"count": len(head.trees.root), "share": 0.25}
    counted = torch.full_like(head.trees.weight[:, 0], 0.25 * choice.get("scale", 1.0))
    torch.testing.assert_close(head.trees.weight[:, 0].detach(), counted)
    then = made.metrics["tasks"]["T"]["splits"]["test"]["metrics"]
    assert then.get("r2", then.get("accuracy")) > 0.5


@pytest.mark.parametrize(
    ("after", "tag"),
    [
        ([0.97] * 40, "trained"),
        ([0.99] * 40, "untrained"),  # less than 2 %
        ([0.0] * 6 + [1.0] * 34, "trained"),  # 15 % better, 2.6 standard errors
        ([-2.0] * 2 + [1.0] * 38, "untrained"),  # 15 % better by two rows
    ],
)
def test_the_untrained_tag_stays_if_training_gains_too_little(after, tag):
    """Early stopping has chosen by the same rows, so that a gain must exceed its own doubt."""
    taken = []
    model, said = types.SimpleNamespace(become=taken.append), Said()
    start = Start("first", Choice({"chosen": "kernel"}, torch.ones(40)))
    found = choose_tag(start, Choice({"chosen": "linear"}, torch.tensor(after)), model, said)
    assert found["tag"] == tag
    assert found["chosen"] == {"trained": "linear", "untrained": "kernel"}[tag]
    assert taken == ([] if tag == "trained" else ["first"])
    assert [line[:26] for line in said.lines] == ["function tag: untrained, s"] * len(taken)


@pytest.mark.parametrize(
    ("features", "after", "is_trained"),
    [
        ("auto", [0.97] * 40, True),
        ("auto", [0.99] * 40, False),  # less than 2 %
        ("auto", [-2.0] * 2 + [1.0] * 38, False),  # 15 % better by two rows
        ("on", [1.0] * 40, True),  # asked for
    ],
)
def test_a_tag_is_not_trained_if_its_states_add_too_little(features, after, is_trained):
    """What validation cannot tell of all that the states bring, it cannot tell of training."""
    settings = types.SimpleNamespace(features=features)
    stages = types.SimpleNamespace(task=settings)
    plan = types.SimpleNamespace(config=types.SimpleNamespace(stages=stages))
    choice = Choice({"chosen": "kernel with x"}, torch.tensor(after), torch.ones(40))
    said = Said()
    found = why_untrained(plan, Start("first", choice), said)
    assert (found is None) == is_trained
    assert [line[:26] for line in said.lines] == ["function tag: not trained,"] * (not is_trained)
    if found is not None:
        assert (found["chosen"], found["tag"]) == ("kernel with x", "untrained")
        assert found["states"]["without_states"] == 1.0
    no_features = Choice({"chosen": "kernel"}, torch.tensor(after))
    assert why_untrained(plan, Start("first", no_features), said) is None
    assert why_untrained(plan, None, said) is None


def test_a_head_that_needs_no_states_leaves_the_tag_untrained(
    tmp_path, toy_registry, toy_backbone, table
):
    """The run ends with the head of the untrained tag, no step taken; `features: on` takes them."""
    found = {}
    for features in ("auto", "on"):
        folder = tmp_path / features
        made = run(folder, toy_registry, toy_backbone, table, SHARE, PLAIN, features=features)
        found[features] = made.metrics["tasks"]["T"]["stages"][-1]
        (chosen,) = found[features]["head_choice"].values()
        assert chosen["chosen"] == "kernel with descriptors of letters"
    assert found["on"]["steps"] > 0
    assert (found["auto"]["steps"], found["auto"]["best_step"]) == (0, 0)
    assert set(found["auto"]["trained"]) == {"head T"}
    assert set(found["on"]["trained"]) > {"head T"}
    (chosen,) = found["auto"]["head_choice"].values()
    assert chosen["tag"] == "untrained"
    gained = chosen["states"]["without_states"] - chosen["states"]["with_states"]
    assert gained < 2 * chosen["states"]["standard_error"]


def test_a_tag_without_a_kernel_head_before_it_stays():
    """There is nothing to go back to."""
    assert choose_tag(None, Choice({"chosen": "linear"}), None, None) == {"chosen": "linear"}


def test_a_tag_that_training_spoils_is_given_up(tmp_path, toy_registry, toy_backbone, table):
    """With or without training in between, the untrained tag and its head predict the same."""
    rows = {"letters": ["abc", "aabbcc", "ccab"]}
    found = []
    for lr in (1e-9, 1e3):
        made = run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, lr=lr, features="on")
        (chosen,) = made.metrics["tasks"]["T"]["stages"][-1]["head_choice"].values()
        assert chosen["tag"] == "untrained"
        found.append(made.predictor.predict(rows, "numpy"))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_an_untrained_tag_does_not_stand_before_an_enriched_one(
    tmp_path, toy_registry, toy_backbone, table
):
    """Its head was fitted to states behind the domain tag of before, which training has moved."""
    given = {"enrich": True, "lr": 1e3, "features": "on"}
    made = run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, **given)
    (chosen,) = made.metrics["tasks"]["T"]["stages"][-1]["head_choice"].values()
    assert chosen["chosen"] == "kernel with descriptors of letters"
    assert "tag" not in chosen


def errors(valid, cross=None):
    """Return errors with these mean squares."""
    left_out = None if cross is None else torch.full((1, 1), cross**0.5)
    return Errors(torch.full((1, 1), valid**0.5), left_out)


def test_the_simplest_head_that_nothing_clearly_beats_is_chosen():
    """A kernel head has to gain 1 %, one with features 2 %."""
    cases = {
        "linear": {"linear": 1.0, "kernel": 0.995, "kernel with x": 0.985},
        "kernel": {"linear": 1.0, "kernel": 0.9, "kernel with x": 0.89},
        "kernel with x": {"linear": 1.0, "kernel": 1.1, "kernel with x": 0.9},
    }
    for wanted, costs in cases.items():
        assert _choice({name: errors(cost) for name, cost in costs.items()}) == wanted
    assert errors(1.0, 0.25).cost == pytest.approx(0.625)
