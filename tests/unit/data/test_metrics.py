"""Metrics agree with scikit-learn and scipy, and are NaN, quietly, where they are undefined."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest

from taglm_core.data import metrics
from taglm_core.specs import Metric
from taglm_core.specs.reference import resolve

sklearn_metrics = pytest.importorskip("sklearn.metrics")
stats = pytest.importorskip("scipy.stats")

pytestmark = pytest.mark.filterwarnings("error")
REGRESSION = ["mae", "rmse", "mse", "r2", "pearson", "spearman", "concordance"]
CLASSIFICATION = ["auroc", "auprc", "accuracy", "mcc", "f1", "logloss"]


def numbers(seed, rows=200, ties=False):
    """Return truth and noisy predictions."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=rows)
    prediction = truth + rng.normal(size=rows)
    return (truth.round(1), prediction.round(1)) if ties else (truth, prediction)


def classes(seed, num_classes, rows=300, ties=False):
    """Return classes and noisy probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(num_classes, size=rows)
    scores = rng.normal(size=(rows, num_classes)) + 1.5 * np.eye(num_classes)[truth]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    if ties:
        probabilities = (probabilities * 5).round() / 5 + 1e-3
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    return truth, probabilities


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_regression_agrees_with_the_libraries(seed, ties):
    """Published numbers are made with these libraries."""
    truth, prediction = numbers(seed, ties=ties)
    expected = {
        "mae": sklearn_metrics.mean_absolute_error(truth, prediction),
        "mse": sklearn_metrics.mean_squared_error(truth, prediction),
        "rmse": sklearn_metrics.mean_squared_error(truth, prediction) ** 0.5,
        "r2": sklearn_metrics.r2_score(truth, prediction),
        "pearson": stats.pearsonr(truth, prediction).statistic,
        "spearman": stats.spearmanr(truth, prediction).statistic,
    }
    for name, value in expected.items():
        assert getattr(metrics, name)(truth, prediction) == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("rows", [2, 3, 17, 64])
@pytest.mark.parametrize("ties", [False, True])
def test_concordance_counts_every_pair(rows, ties):
    """The fast count equals the definition."""
    truth, prediction = numbers(rows, rows=rows, ties=ties)
    score = num_pairs = 0.0
    for i, j in itertools.combinations(range(rows), 2):
        if truth[i] != truth[j]:
            num_pairs += 1
            agree = (truth[i] - truth[j]) * (prediction[i] - prediction[j])
            score += 1.0 if agree > 0 else 0.5 if agree == 0 else 0.0
    assert metrics.concordance(truth, prediction) == pytest.approx(score / num_pairs, abs=1e-12)


def test_concordance_of_many_rows_and_ties():
    """Kendall's tau counts the same pairs; most Davis affinities are equal."""
    truth, prediction = numbers(5, rows=30_000)
    tau = stats.kendalltau(truth, prediction).statistic
    assert metrics.concordance(truth, prediction) == pytest.approx((tau + 1) / 2, abs=1e-9)
    assert metrics.concordance(truth, np.zeros(30_000)) == 0.5
    assert metrics.concordance(truth, -truth) == 0.0


@pytest.mark.parametrize("num_classes", [2, 3, 5])
@pytest.mark.parametrize("ties", [False, True])
def test_classification_agrees_with_scikit_learn(num_classes, ties):
    """Two classes: class 1; several: one against the rest."""
    truth, probabilities = classes(num_classes, num_classes, ties=ties)
    said = probabilities.argmax(axis=1)
    is_true = np.eye(num_classes, dtype=int)[truth]
    binary = num_classes == 2
    expected = {
        "auroc": sklearn_metrics.roc_auc_score(
            truth, probabilities[:, 1] if binary else probabilities, multi_class="ovr"
        ),
        "auprc": sklearn_metrics.average_precision_score(truth, probabilities[:, 1])
        if binary
        else sklearn_metrics.average_precision_score(is_true, probabilities, average="macro"),
        "accuracy": sklearn_metrics.accuracy_score(truth, said),
        "mcc": sklearn_metrics.matthews_corrcoef(truth, said),
        "f1": sklearn_metrics.f1_score(truth, said, average="binary" if binary else "macro"),
        "logloss": sklearn_metrics.log_loss(truth, probabilities),
    }
    for name, value in expected.items():
        assert getattr(metrics, name)(truth, probabilities) == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("name", REGRESSION)
def test_undefined_regression_is_nan(name):
    """A metric may be undefined for a split without that ending the run."""
    metric = getattr(metrics, name)
    empty, one = np.array([]), np.array([1.0])
    assert math.isnan(metric(empty, empty))
    assert math.isnan(metric(np.array([1.0, 2.0]), np.array([1.0, np.nan])))
    assert math.isnan(metric(np.array([1.0, np.inf]), np.array([1.0, 2.0])))
    is_difference = name in ("mae", "rmse", "mse")
    assert math.isnan(metric(one, one)) != is_difference
    assert math.isnan(metric(np.ones(5), np.arange(5.0))) != is_difference


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_correlation_with_a_constant_is_nan(name):
    """The mean predictor has no correlation."""
    assert math.isnan(getattr(metrics, name)(np.arange(5.0), np.full(5, 0.1)))


@pytest.mark.parametrize("name", REGRESSION)
def test_absurd_predictions_do_not_warn(name):
    """A diverged run still ends with a metrics file."""
    truth = np.array([1.0, 2.0, 3.0])
    value = getattr(metrics, name)(truth, np.array([1e200, -1e300, 2.0]))
    assert not math.isnan(value)


def test_whole_numbers_do_not_overflow():
    """Counts in a small integer type are squared in double precision."""
    truth = np.array([100, -100, 100], dtype=np.int8)
    assert metrics.mse(truth, -truth) == 40_000
    assert metrics.r2(truth, truth) == 1


def test_extreme_numbers_are_correlated():
    """Squares that would overflow or vanish are not taken."""
    for scale in (1e-300, 1e300):
        truth = np.array([1.0, 2.0, 4.0]) * scale
        prediction = np.array([1.0, 3.0, 3.5])
        expected = metrics.pearson(np.array([1.0, 2.0, 4.0]), prediction)
        assert metrics.pearson(truth, prediction) == pytest.approx(expected, rel=1e-12)


def test_large_offsets_keep_their_digits():
    """Centred in double precision, whatever precision the arrays have."""
    truth = np.arange(100.0) + 1e8
    assert metrics.pearson(truth, truth * 2) == pytest.approx(1.0, abs=1e-12)
    assert metrics.r2(truth, truth) == 1.0
    single = np.arange(3, dtype=np.float32) / 3
    assert metrics.mae(single, single + np.float32(1)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_undefined_classification_is_nan(name):
    """No rows, values that are not finite, one class only."""
    metric = getattr(metrics, name)
    assert math.isnan(metric(np.zeros(0, dtype=int), np.zeros((0, 2))))
    assert math.isnan(metric(np.array([0, 1]), np.array([[0.5, 0.5], [np.nan, 0.5]])))
    constant = metric(np.zeros(3, dtype=int), np.array([[0.9, 0.1]] * 3))
    assert math.isnan(constant) == (name not in ("accuracy", "logloss"))


def test_classes_that_do_not_occur_are_left_out():
    """A rare class may be missing in the test split."""
    truth = np.array([0, 1, 0, 1])
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1], [0.6, 0.4, 0.0]])
    assert metrics.auroc(truth, probabilities) == pytest.approx((0.625 + 0.875) / 2)
    assert metrics.f1(truth, probabilities) == pytest.approx((0.8 + 2 / 3) / 2)


def test_edges_of_single_metrics():
    """Conventions where a formula divides nothing by nothing."""
    truth = np.array([0, 1, 1])
    certain = np.array([[0.0, 1.0]] * 3)
    assert metrics.mcc(truth, certain) == 0.0
    assert metrics.logloss(truth, certain) == pytest.approx(-np.log(np.finfo(float).eps) / 3)
    assert metrics.f1(np.zeros(2, dtype=int), np.array([[0.1, 0.9]] * 2)) == 0.0


def test_exact_match():
    """Outer spaces do not count, everything else does."""
    assert metrics.exact_match(["a b", "c", "d"], [" a b\n", "C", "d"]) == pytest.approx(2 / 3)
    assert math.isnan(metrics.exact_match([], []))


@pytest.mark.parametrize("spec", metrics.METRICS, ids=lambda spec: spec.name)
def test_registered_metrics_resolve(spec):
    """Each spec names its function, and better predictions score better."""
    assert isinstance(spec, Metric)
    assert spec.description
    metric = resolve(spec.function, spec.name)
    assert metric is getattr(metrics, spec.name)
    if spec.kind == "text":
        good, bad = metric(["a"], ["a"]), metric(["a"], ["b"])
    elif spec.kind == "regression":
        truth, prediction = numbers(0)
        good, bad = metric(truth, prediction), metric(truth, -prediction)
    else:
        truth, probabilities = classes(0, 2)
        good, bad = metric(truth, probabilities), metric(truth, probabilities[:, ::-1])
    assert (good > bad) == spec.greater_is_better


def test_specs_do_not_import_numpy():
    """Starting the program lists metrics without paying for arrays."""
    code = "import sys, taglm_core.specs.metrics; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numbers_are_those_before_the_libraries():
    """What runs reported when these were formulas of our own, to rounding."""
    truth, prediction = numbers(7, ties=True)
    expected = {
        "mae": 0.758,
        "rmse": 0.9747307320486002,
        "mse": 0.9501,
        "r2": -0.24852205331350774,
        "pearson": 0.6749995736650277,
        "spearman": 0.6544463224359554,
        "concordance": 0.7413471018629028,
    }
    for name, value in expected.items():
        assert getattr(metrics, name)(truth, prediction) == pytest.approx(value, rel=1e-12), name
    truth, probabilities = classes(7, 3, ties=True)
    expected = {
        "auroc": 0.9136523818459624,
        "auprc": 0.8420871100137886,
        "accuracy": 0.78,
        "mcc": 0.6762607281473423,
        "f1": 0.7788970288970289,
        "logloss": 0.6104469573656616,
    }
    for name, value in expected.items():
        got = getattr(metrics, name)(truth, probabilities)
        assert got == pytest.approx(value, rel=1e-12), name


def test_starting_the_program_loads_no_library_of_metrics():
    """`taglm --help` and `import taglm` stay quick: scikit-learn takes a second."""
    code = "import sys, taglm, taglm_core.cli.main, taglm_core.data.metrics; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"sklearn", "scipy"} & set(done.stdout.split())


def test_no_correlation_is_0():
    """A table that says -1.471e-17 looks like a fault."""
    truth = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    for seed in range(200):
        prediction = np.random.default_rng(seed).integers(1, 4, size=6).astype(float)
        for score in (metrics.pearson, metrics.spearman):
            value = score(truth, prediction)
            assert math.isnan(value) or value == 0 or abs(value) > 1e-6
