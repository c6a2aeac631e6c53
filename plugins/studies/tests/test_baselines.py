"""Baselines: fitted on train only, scored as the task is, in the task's shapes."""

import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import taglm_studies
from taglm_core import Classification, Regression, SplitData, TaskData, Text
from taglm_core.data import metrics
from taglm_core.errors import ShapeError
from taglm_core.plugins import load_registry
from taglm_core.training.baselines import fit_baselines
from taglm_studies import boosting, forest, logistic, nearest
from taglm_studies.features import compute_features, make_fold, sample_rows
from taglm_studies.nearest import nearest_rows
from taglm_studies.ridge import ridge

pytestmark = pytest.mark.filterwarnings("error")

REGRESSION = Regression(names=("a", "b"))
SIZES = {"train": 300, "valid": 60, "test": 60}


def numbers_of(rows):
    """Give each row the six numbers written in it as features."""
    return np.array([[float(word) for word in row.split()] for row in rows], dtype=np.float32)


def score(truth, prediction):
    """Score as a task does: shapes must agree."""
    assert len(truth) == len(prediction)
    if truth.dtype.kind == "f":
        assert truth.shape == prediction.shape
        return {"mae": metrics.mae(truth[:, 0], prediction[:, 0])}
    if truth.ndim == 2:
        assert truth.shape == prediction.shape
        return {"logloss": metrics.logloss(truth[:, 0], np.eye(2)[truth[:, 0]])}
    assert np.allclose(prediction.sum(axis=1), 1.0)
    return {
        "accuracy": metrics.accuracy(truth, prediction),
        "auroc": metrics.auroc(truth, prediction),
    }


def make_data(target, truth_of, splits=("train", "valid", "test"), fields=("x",), **changes):
    """Build a task whose truth is a function of the features."""
    rng = np.random.default_rng(0)
    made = {}
    for split in splits:
        features = {f: rng.poisson(1.0, size=(SIZES[split], 6)) for f in fields}
        truth = truth_of(np.concatenate(list(features.values()), axis=1), rng)
        rows = {f: [" ".join(map(str, row)) for row in values] for f, values in features.items()}
        made[split] = SplitData(fields=rows, truth=truth)
    return data_of(
        made, **{"target": target, "features": dict.fromkeys(fields, numbers_of)} | changes
    )


def data_of(splits, **changes):
    """Build a task of given splits."""
    values = {
        "task": "toy",
        "target": REGRESSION,
        "splits": splits,
        "features": {"x": numbers_of},
        "seed": 3,
    }
    return TaskData(**values | changes)


def split_of(rows, truth=None):
    """Build a split with one field; its truth is 0 when not given."""
    truth = np.zeros((len(rows), 1)) if truth is None else truth
    return SplitData(fields={"x": rows}, truth=truth)


def linear(x, rng):
    """Return two targets, the second constant in its first column."""
    weights = np.arange(x.shape[1])
    return np.stack([x @ weights + rng.normal(size=len(x)) * 0.1, x[:, 0] * 100.0], axis=1)


def fit(data, score=score, names=("all",)):
    """Fit the plugin's baselines as a run does."""
    registry = load_registry(only=(), extra=[("studies", taglm_studies)])
    found = fit_baselines(names, registry, data, score)
    assert registry.failures == []
    return found


def run(data, score=score):
    """Return split -> baseline -> metrics."""
    return fit(data, score).scores


def test_importing_the_plugin_is_cheap():
    """Starting the program must not cost scikit-learn."""
    code = (
        "import sys, taglm_studies; taglm_studies.register_commands(); "
        "assert not {'numpy', 'sklearn', 'scipy', 'typer'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_entry_point_and_version():
    """The distribution names the module that holds the hooks."""
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    assert project["entry-points"]["taglm"] == {"studies": "taglm_studies"}
    assert project["version"] == taglm_studies.__version__


def test_regression_baselines():
    """All four, on the splits they belong to, better than the mean where the data are linear."""
    found = run(make_data(REGRESSION, linear))
    assert set(found["test"]) == {"mean", "nearest", "ridge", "boosting"}
    assert set(found["valid"]) == set(found["test"])
    assert set(found["train"]) == {"mean", "ridge", "boosting"}
    errors = {name: held["mae"] for name, held in found["test"].items()}
    assert errors["ridge"] < 0.15
    assert errors["ridge"] < errors["boosting"] < errors["mean"]
    assert errors["nearest"] < errors["mean"]
    assert all(set(held) == {"mae"} for held in found["test"].values())


def test_baselines_are_deterministic():
    """The same seed gives the same numbers."""
    data = make_data(REGRESSION, linear)
    assert run(data) == run(data)


def test_the_test_split_is_only_scored():
    """Changing the truth of the test split may not change a prediction."""
    data = make_data(REGRESSION, linear)
    seen = []

    def record(truth, prediction):
        seen.append(prediction)
        return {}

    def predictions(truth):
        test = split_of(data.splits["test"].fields["x"], truth)
        seen.clear()
        run(data_of({**data.splits, "test": test}), record)
        return list(seen)

    first = predictions(data.splits["test"].truth)
    second = predictions(data.splits["test"].truth * 7 + 5)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_features_only_the_mean_and_tfidf():
    """A text domain has no features; its words can be counted."""
    found = run(make_data(REGRESSION, linear, features={}))
    assert {name for held in found.values() for name in held} == {"mean", "tfidf"}


def test_descriptors_have_trees_of_their_own():
    """A forest and boosting read the descriptors, the others the features."""

    def slow(rows):
        time.sleep(0.02)
        return numbers_of(rows)

    found = fit(make_data(REGRESSION, linear, features={}, descriptors={"x": slow}))
    errors = {name: held["mae"] for name, held in found.scores["test"].items()}
    assert set(errors) == {"mean", "tfidf", "boosting_descriptors", "forest_descriptors"}
    assert errors["forest_descriptors"] < 0.6 * errors["mean"]
    assert errors["boosting_descriptors"] < 0.6 * errors["mean"]
    assert found.facts["forest_descriptors"]["feature_seconds"] > 0
    assert found.facts["mean"]["feature_seconds"] == 0


@pytest.mark.parametrize("num_classes", [2, 3])
def test_trees_on_descriptors_classify(num_classes):
    """Probabilities for every class that the target names, also one that train has not."""
    names = tuple(f"c{k}" for k in range(num_classes + 1))
    target = Classification(names="c", classes=names)
    made = make_data(
        target,
        lambda x, rng: np.minimum(x[:, 0], num_classes - 1),
        features={},
        descriptors={"x": numbers_of},
    )
    found = run(made)["test"]
    assert found["forest_descriptors"]["accuracy"] > 0.9
    assert found["boosting_descriptors"]["accuracy"] > 0.9


def test_forest_rows_are_bounded(monkeypatch):
    """A forest takes rows up to a bound, and says so."""
    monkeypatch.setattr(forest, "MOST_TRAIN_ROWS", 100)
    made = make_data(REGRESSION, linear, features={}, descriptors={"x": numbers_of})
    assert fit(made).facts["forest_descriptors"]["train_rows"] == 100


def test_a_descriptor_that_is_the_label_is_left_out(caplog):
    """The logP of RDKit among the descriptors would answer the task whose label is that logP."""
    caplog.set_level("INFO")
    errors = {}
    for compute in (None, "labels:first"):
        target = Regression(names=("y",), compute=compute)
        made = make_data(
            target, lambda x, rng: x[:, :1] * 2.0, features={}, descriptors={"x": numbers_of}
        )
        errors[compute] = run(made)["test"]["forest_descriptors"]["mae"]
    assert errors[None] < 0.5 * errors["labels:first"]
    assert "descriptors that equal the label are not used: 1" in caplog.text


def test_words_of_texts_are_counted():
    """The sentiment of a text is in its words; a cell line alone is no text."""
    rng = np.random.default_rng(0)
    splits = {}
    for split, size in SIZES.items():
        truth = rng.integers(2, size=size)
        texts = [f"it was {'fine' if t else 'dull'} number {i}" for i, t in enumerate(truth)]
        splits[split] = SplitData(fields={}, texts={"text": texts}, truth=truth)
    target = Classification(names="c", classes=("a", "b"))
    assert run(data_of(splits, target=target, features={}))["test"]["tfidf"]["accuracy"] == 1.0
    lines = {
        s: SplitData(fields={}, texts={"cell": ["A", "B"] * (len(h.truth) // 2)}, truth=h.truth)
        for s, h in splits.items()
    }
    assert "tfidf" not in run(data_of(lines, target=target, features={}))["test"]


def test_text_and_missing_train_give_nothing():
    """There is nothing to fit."""
    assert run(make_data(Text(), linear)) == {}
    assert run(make_data(REGRESSION, linear, splits=("test",))) == {}


@pytest.mark.parametrize("splits", [("train",), ("train", "test")])
def test_a_missing_valid_split_is_replaced_by_a_tenth_of_train(splits):
    """Strengths and early stopping need rows that were not fitted."""
    found = run(make_data(REGRESSION, linear, splits=splits))
    assert set(found) == set(splits)
    assert found["train"]["ridge"]["mae"] < 0.2


def test_several_fields_are_joined():
    """Each field adds its features."""
    found = run(make_data(REGRESSION, linear, fields=("x", "y")))
    assert found["test"]["ridge"]["mae"] < 0.2
    assert found["test"]["nearest"]["mae"] < found["test"]["mean"]["mae"]


@pytest.mark.parametrize("num_classes", [2, 3])
def test_classification_baselines(num_classes):
    """Probabilities for every class that the target names, also one that train has not."""

    def truth(x, rng):
        return np.minimum(x[:, 0], num_classes - 1)

    names = tuple(f"c{k}" for k in range(num_classes + 1))
    found = run(make_data(Classification(names="c", classes=names), truth))
    assert set(found["test"]) == {"mean", "nearest", "ridge", "boosting"}
    assert found["test"]["ridge"]["accuracy"] > found["test"]["mean"]["accuracy"] + 0.1
    assert found["test"]["boosting"]["accuracy"] > 0.9
    assert found["test"]["mean"]["auroc"] == 0.5


def test_classes_of_valid_that_train_has_not():
    """They cannot be fitted and may not end the run."""
    data = make_data(
        Classification(names="c", classes=("a", "b", "c")), lambda x, rng: np.minimum(x[:, 0], 1)
    )
    data.splits["valid"].truth[:] = 2
    assert run(data)["test"]["boosting"]["accuracy"] > 0.9


def test_one_class_alone_leaves_mean_and_nearest(caplog):
    """Nothing can be fitted to constant classes."""
    data = make_data(
        Classification(names="c", classes=("a", "b")), lambda x, rng: np.zeros(len(x), int)
    )
    assert set(run(data)["test"]) == {"mean", "nearest"}
    assert "one class only" in caplog.text


def test_multi_label_baselines():
    """Each label is a problem of its own; one that never varies keeps its value."""
    found = {}

    def keep(truth, prediction):
        found[len(found)] = (truth, prediction)
        return {"x": 1.0}

    def truth(x, rng):
        return np.stack([x[:, 0] > 0, x[:, 1] > 1, np.ones(len(x))], axis=1).astype(int)

    target = Classification(names=("p", "q", "r"), multi_label=True)
    result = run(make_data(target, truth), keep)
    assert set(result["test"]) == {"mean", "nearest", "ridge", "boosting"}
    for true, prediction in found.values():
        assert prediction.shape == true.shape
        assert prediction[:, 2].tolist() == [1.0] * len(true)
    true, prediction = found[len(found) - 1]
    assert ((prediction > 0.5) == true).mean() > 0.95


def test_bounds_are_stated(monkeypatch, caplog):
    """A baseline fitted on a part of the data says so in its facts and in the log."""
    caplog.set_level("INFO")
    monkeypatch.setattr(nearest, "MOST_TRAIN_ROWS", 100)
    monkeypatch.setattr(boosting, "FREE_CELLS", 0)
    monkeypatch.setattr(boosting, "MOST_COLUMNS", 4)
    monkeypatch.setattr(boosting, "FEWEST_COLUMNS", 4)
    monkeypatch.setattr(boosting, "MOST_CELLS", 4 * 200)
    found = fit(make_data(REGRESSION, linear)).facts
    assert found["nearest"]["train_rows"] == 100
    assert found["boosting"]["train_rows"] == 200
    assert found["boosting"]["train_columns"] == 4
    assert "train_rows" not in found["ridge"]
    assert "'nearest' uses a part of the data: train_rows 100" in caplog.text


def test_logistic_bound_is_stated(monkeypatch):
    """Logistic regression takes rows up to a bound."""
    monkeypatch.setattr(logistic, "MOST_TRAIN_ROWS", 100)
    target = Classification(names="c", classes=("a", "b"))
    found = fit(make_data(target, lambda x, rng: np.minimum(x[:, 0], 1)))
    assert found.facts["ridge"]["train_rows"] == 100


def test_boosting_keeps_the_columns_that_matter(monkeypatch):
    """Left-out columns are those that go with the target least."""
    monkeypatch.setattr(boosting, "FREE_CELLS", 0)
    monkeypatch.setattr(boosting, "MOST_COLUMNS", 1)
    monkeypatch.setattr(boosting, "FEWEST_COLUMNS", 1)
    data = make_data(Regression(names="y"), lambda x, rng: x[:, 4:5] * 2.0)
    assert run(data)["test"]["boosting"]["mae"] < 0.05


def test_features_are_computed_once_for_each_distinct_row():
    """A drug may stand in thousands of pairs."""
    calls = []

    def count(rows):
        calls.extend(rows)
        return np.ones((len(rows), 2), np.float32)

    split = split_of(["a", "b", "a"])
    data = data_of({"train": split, "test": split}, features={"x": count})
    features = compute_features(data)
    assert calls == ["a", "b"]
    assert features.index["test"].tolist() == [[0], [1], [0]]
    assert features.of("test", slice(0, 3)).shape == (3, 2)


def test_features_that_are_not_finite_are_counted(caplog):
    """A descriptor may fail for some molecules; the feature function's own array is left alone."""
    made = np.array([[1.0, np.nan], [np.inf, 2.0]], np.float32)
    data = data_of({"train": split_of(["a", "b"])}, features={"x": lambda rows: made})
    assert compute_features(data).matrices[0].tolist() == [[1.0, 0.0], [0.0, 2.0]]
    assert "2 features of 'x' are not finite" in caplog.text
    assert np.isnan(made[0, 1])


def test_wrong_number_of_features_is_explained():
    """The message names task, field and shapes."""
    data = make_data(REGRESSION, linear, features={"x": lambda rows: np.ones((1, 2))})
    with pytest.raises(ShapeError, match=r"task toy: the features of 'x' have the shape \(1, 2\)"):
        compute_features(data)


def test_ridge_agrees_with_scikit_learn():
    """The normal equations give the minimum of the same cost."""
    data = make_data(Regression(names="y"), lambda x, rng: linear(x, rng)[:, :1])
    features = compute_features(data)
    truth = {split: held.truth for split, held in data.splits.items()}
    made = ridge(features, truth, make_fold(300, 60, 0)).predictions["test"]
    x = features.of("train", slice(0, 300)).astype(float)
    centered = x - x.mean(axis=0)
    costs = []
    for alpha in (1e-4, 1e-3, 1e-2):
        alpha = alpha * np.square(centered).sum() / 6
        model = Ridge(alpha=alpha).fit(x, truth["train"])
        costs.append(np.abs(model.predict(features.of("test", slice(0, 60))) - made[:, 0]).max())
    assert min(costs) < 1e-2


def test_ridge_of_few_distinct_rows_and_many_features():
    """Drug-target pairs repeat a few drugs; rounding may then outweigh the weakest penalties."""
    rng = np.random.default_rng(0)
    values = rng.poisson(0.1, (10, 300)).astype(np.float32) * 1000
    rows = {split: [str(i) for i in rng.integers(10, size=n)] for split, n in SIZES.items()}
    splits = {p: split_of(held, np.array([[float(r)] for r in held])) for p, held in rows.items()}
    data = data_of(splits, features={"x": lambda rows: values[[int(row) for row in rows]]})
    assert run(data)["test"]["ridge"]["mae"] < 0.1


def test_nearest_is_the_most_similar_row():
    """Agrees with the definition, for Tanimoto and for the cosine."""
    rng = np.random.default_rng(1)
    for shift in (0, -1):
        values = {
            split: rng.poisson(1.0, (n, 6)) + shift for split, n in (("train", 40), ("test", 9))
        }
        rows = {split: [" ".join(map(str, row)) for row in v] for split, v in values.items()}
        data = data_of({split: split_of(held) for split, held in rows.items()})
        found = nearest_rows(compute_features(data), np.arange(40.0)[:, None], 0)
        a, b = values["test"].astype(float), values["train"].astype(float)
        dot = a @ b.T
        squares = np.square(a).sum(1)[:, None], np.square(b).sum(1)[None]
        if shift:
            wanted = dot / np.sqrt(squares[0] * squares[1])
        else:
            wanted = dot / (squares[0] + squares[1] - dot)
        chosen = found.predictions["test"][:, 0].astype(int)
        np.testing.assert_allclose(wanted[np.arange(9), chosen], wanted.max(axis=1), rtol=1e-5)


def test_sample_rows():
    """In order, without repetition, the same for the same seed."""
    assert sample_rows(3, 5, 0).tolist() == [0, 1, 2]
    chosen = sample_rows(100, 10, 1)
    assert len(set(chosen.tolist())) == 10
    assert chosen.tolist() == sorted(chosen.tolist()) == sample_rows(100, 10, 1).tolist()
    assert chosen.tolist() != sample_rows(100, 10, 2).tolist()


def test_features_are_computed_once_for_all_baselines():
    """They cost more than most fits, so their time is no fit's."""
    calls = []

    def slow(rows):
        calls.append(len(rows))
        time.sleep(0.002)  # the time is rounded to milliseconds
        return numbers_of(rows)

    found = fit(make_data(REGRESSION, linear, features={"x": slow}))
    assert len(calls) == 1
    assert set(found.facts) == {"mean", "nearest", "ridge", "boosting"}
    assert all(facts["fit_seconds"] >= 0 for facts in found.facts.values())
    assert found.feature_seconds > 0


@pytest.mark.parametrize("has_classes", [False, True])
def test_a_forest_is_the_same_whatever_the_number_of_cores(monkeypatch, has_classes):
    """It is grown by all of them, to the last digit as by one."""
    monkeypatch.setattr(forest, "NUM_TREES", 12)
    rng = np.random.default_rng(1)
    data = make_data(REGRESSION, linear)
    features = compute_features(data)
    if has_classes:
        truth = {s: rng.integers(0, 2, len(rows.truth)) for s, rows in data.splits.items()}
    else:
        truth = {s: np.asarray(rows.truth) for s, rows in data.splits.items()}
    grown = []
    for count in (1, 3):
        name = "RandomForestClassifier" if has_classes else "RandomForestRegressor"
        whole = getattr(forest, name)
        asked = []

        def made(*args, n_jobs, whole=whole, count=count, asked=asked, **options):
            asked.append(n_jobs)
            return whole(*args, n_jobs=count, **options)

        with monkeypatch.context() as patch:
            patch.setattr(forest, name, made)
            fold = make_fold(300, 60, 0)
            if has_classes:
                result = forest.forest_classes(features, truth, 2, fold, 0)
            else:
                result = forest.forest_numbers(features, truth, fold, 0)
        assert asked == [-1]
        grown.append(result.predictions["test"])
    np.testing.assert_array_equal(*grown)
