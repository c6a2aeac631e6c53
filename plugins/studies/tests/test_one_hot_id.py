"""Baselines of pairs: IDs alone, words as columns, both orders of a symmetric task."""

import attrs
import numpy as np
import pytest

import taglm_studies
from taglm_core import Classification, Regression, SplitData, TaskData
from taglm_core.data import metrics
from taglm_core.plugins import load_registry
from taglm_core.training.baselines import fit_baselines
from taglm_studies.features import compute_features
from taglm_studies.one_hot_id import interacting_ids, recurring_ids
from taglm_studies.orders import both_orders, mean_of_orders

pytestmark = pytest.mark.filterwarnings("error")


def counts(rows):
    """Count three letters and give a constant."""
    counts.calls += 1
    return np.array([[*(row.count(c) for c in "abc"), 7.0] for row in rows], dtype=np.float32)


counts.calls = 0


def score(truth, prediction):
    """Score numbers, or classes."""
    if truth.dtype.kind == "f":
        assert truth.shape == prediction.shape
        return {"mse": metrics.mse(truth[:, 0], prediction[:, 0])}
    if truth.ndim == 2:
        return {"mse": float(np.square(truth - prediction).mean())}
    assert np.allclose(prediction.sum(axis=1), 1.0)
    return {"accuracy": metrics.accuracy(truth, prediction)}


def make(symmetric=(), target=None, label=None, cold=False):
    """Build pairs of 12 drugs on 5 lines whose value is a sum of effects of each."""
    rng = np.random.default_rng(0)
    drugs = ["".join(rng.choice(list("abc"), size=6)) + str(i) for i in range(12)]
    effect = dict(zip(drugs, rng.normal(size=12), strict=True))
    line_effect = dict(zip("PQRST", rng.normal(size=5), strict=True))
    splits = {}
    for split, size in (("train", 400), ("valid", 80), ("test", 80)):
        one, two = (list(rng.choice(drugs, size)) for _ in range(2))
        line = list(rng.choice(list("PQRST"), size))
        if cold and split == "test":
            one = [f"new{i}" for i in range(size)]
        value = [
            effect.get(a, 0.0) + effect[b] + 2 * line_effect[c]
            for a, b, c in zip(one, two, line, strict=True)
        ]
        truth = np.array(value)[:, None]
        splits[split] = SplitData(
            fields={"one": one, "two": two},
            texts={"line": line},
            truth=truth if label is None else label(truth),
        )
    return TaskData(
        task="toy",
        target=target or Regression(names=("y",)),
        splits=splits,
        features={"one": counts, "two": counts},
        seed=0,
        symmetric=symmetric,
    )


def fit(data):
    """Fit the plugin's baselines as a run does; return split -> baseline -> metrics."""
    registry = load_registry(only=(), extra=[("studies", taglm_studies)])
    found = fit_baselines(("all",), registry, data, score)
    assert registry.failures == []
    return found.scores


def run(data):
    """Return the scores of the test split."""
    return fit(data)["test"]


def test_ids_find_additive_effects():
    """A sum of effects is found nearly exactly; three letter counts cannot do that."""
    found = run(make())
    names = {"mean", "one_hot_id", "one_hot_id_interactions", "nearest", "ridge", "boosting"}
    assert names == set(found)
    assert found["one_hot_id"]["mse"] < 0.01 * found["mean"]["mse"]


def test_unknown_ids_get_the_mean_of_their_kind():
    """A new drug has no column; the rest still counts."""
    found = run(make(cold=True))
    assert 0.01 * found["mean"]["mse"] < found["one_hot_id"]["mse"] < found["mean"]["mse"]


def test_interactions_find_what_a_drug_does_on_a_line():
    """An effect of a drug on a line is no sum of one of the drug and one of the line."""
    data = make()
    for split in data.splits.values():
        drugs, lines = split.fields["one"], split.texts["line"]
        split.truth[:, 0] = [
            (-1.0) ** (hash_of(a) + ord(b)) for a, b in zip(drugs, lines, strict=True)
        ]
    found = run(data)
    assert found["one_hot_id"]["mse"] > 0.5 * found["mean"]["mse"]
    assert found["one_hot_id_interactions"]["mse"] < 0.05 * found["mean"]["mse"]


def hash_of(drug):
    """Return a number of a drug that is the same in every process."""
    return int(drug[6:])


def test_pairs_measured_once_are_not_crossed():
    """A drug and a target that meet once say nothing about another row."""
    data = make()
    drugs = [f"d{i}" for i in range(20)]
    pairs = [(a, b) for a in drugs for b in drugs]
    split = SplitData(
        fields={"one": [a for a, _ in pairs], "two": [b for _, b in pairs]},
        truth=data.splits["train"].truth,
    )
    only = attrs.evolve(data, splits={"train": split})
    assert recurring_ids(only) is not None
    assert interacting_ids(only) is None


def test_two_names_of_one_thing_are_taken_once():
    """A drug's name and its structure decide each other."""
    data = make()
    train = data.splits["train"]
    train.texts["name"] = [drug.upper() for drug in train.fields["one"]]
    for split in ("valid", "test"):
        data.splits[split].texts["name"] = [d.upper() for d in data.splits[split].fields["one"]]
    assert "name" not in interacting_ids(data).fields


def test_fields_that_never_recur_are_no_ids():
    """Molecules that are all different have nothing to add up."""
    data = make()
    rows = [f"a{i}" for i in range(400)]
    train = data.splits["train"]
    alone = SplitData(fields={"one": rows}, truth=train.truth)
    only = TaskData(
        task="toy",
        target=data.target,
        splits={"train": alone},
        features={},
        seed=0,
    )
    assert recurring_ids(only) is None
    assert set(fit(only)["train"]) == {"mean", "tfidf"}


def test_classes_and_labels():
    """Both kinds of classes have the baseline too."""
    two = make(
        target=Classification(names=("y",), classes=("low", "high")),
        label=lambda truth: (truth[:, 0] > 0).astype(np.int64),
    )
    assert run(two)["one_hot_id"]["accuracy"] > 0.9
    labels = make(
        target=Classification(names=("y", "z"), multi_label=True),
        label=lambda truth: np.concatenate([truth > 0, truth < 0.5], axis=1).astype(np.int64),
    )
    found = run(labels)
    assert found["one_hot_id"]["mse"] < 0.5 * found["mean"]["mse"]


def test_words_are_columns_and_constant_features_are_left_out():
    """The cell line helps the ridge; each distinct row is asked for once."""
    data = make()
    counts.calls = 0
    features = compute_features(data)
    assert counts.calls == 2
    assert len(features.matrices[0]) == 12
    assert features.num_columns == 3 + 3 + 5
    lines = features.of("train", np.arange(3))[:, 6:]
    assert lines.sum() == 3
    assert run(data)["ridge"]["mse"] < 0.9 * run(make_without_lines(data))["ridge"]["mse"]


def make_without_lines(data):
    """Drop the words."""
    splits = {name: attrs.evolve(split, texts={}) for name, split in data.splits.items()}
    return attrs.evolve(data, splits=splits)


def test_both_orders_give_one_answer():
    """Swapping the test rows of a symmetric task changes no baseline."""
    data = make(symmetric=(("one", "two"),))
    held = data.splits["test"]
    mirrored = attrs.evolve(held, fields={"one": held.fields["two"], "two": held.fields["one"]})
    other = attrs.evolve(data, splits={**data.splits, "test": mirrored})
    first, second = run(data), run(other)
    for name, values in first.items():
        assert values["mse"] == pytest.approx(second[name]["mse"], rel=1e-4, abs=1e-6), name
    doubled = both_orders(data)
    assert len(doubled.splits["train"].truth) == 800
    assert doubled.splits["train"].fields["one"][400:] == data.splits["train"].fields["two"]
    assert doubled.splits["train"].texts["line"][400:] == data.splits["train"].texts["line"]


def test_the_mean_of_orders():
    """Row i meets row i of the other order."""
    stacked = np.array([[1.0], [2.0], [3.0], [6.0]])
    np.testing.assert_array_equal(mean_of_orders(stacked, 2), [[2.0], [4.0]])
    assert mean_of_orders(stacked, 4) is stacked


def test_sums_over_distinct_rows_are_the_sums_over_all_rows():
    """Pairs take the short way to the same normal equations."""
    from taglm_studies import ridge

    data = make()
    features = compute_features(data)
    rows, targets = np.arange(5, 400), data.splits["train"].truth[5:]
    assert 2 * sum(len(matrix) for matrix in features.matrices) <= len(rows)
    long = ridge._sums(features, rows, targets)
    short = ridge._sums_of_distinct(features, rows, targets)
    for one, other in zip(long, short, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)
