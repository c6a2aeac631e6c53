"""The core's metrics as specs: names, directions, formulas; numpy is imported when one is used."""

from taglm_core.specs.resources import Metric

_FUNCTIONS = "taglm_core.data.metrics"


def _metric(name: str, kind: str, description: str, greater_is_better: bool = True) -> Metric:
    return Metric(
        name=name,
        function=f"{_FUNCTIONS}:{name}",
        kind=kind,
        greater_is_better=greater_is_better,
        description=description,
    )


METRICS: tuple[Metric, ...] = (
    _metric("mae", "regression", "mean |prediction - truth|, in the target's units", False),
    _metric(
        "rmse", "regression", "sqrt(mean (prediction - truth)^2), in the target's units", False
    ),
    _metric("mse", "regression", "mean (prediction - truth)^2", False),
    _metric("r2", "regression", "1 - sum (prediction - truth)^2 / sum (truth - mean truth)^2"),
    _metric("pearson", "regression", "linear correlation of prediction and truth"),
    _metric("spearman", "regression", "linear correlation of their ranks, ties at the mean rank"),
    _metric(
        "concordance",
        "regression",
        "share of the pairs with different truth that are in the right order, equal predictions "
        "count half (Gönen and Heller 2005; the CI of drug-target papers)",
    ),
    _metric(
        "auroc",
        "classification",
        "area under the ROC curve (Mann-Whitney); several classes: mean of one against the rest",
    ),
    _metric(
        "auprc",
        "classification",
        "average precision, sum of (recall step x precision); several classes: mean of one against "
        "the rest",
    ),
    _metric(
        "accuracy", "classification", "share of rows whose most probable class is the true one"
    ),
    _metric(
        "mcc",
        "classification",
        "Matthews correlation of predicted and true class, for several classes R_K (Gorodkin 2004)",
    ),
    _metric(
        "f1",
        "classification",
        "2 TP / (2 TP + FP + FN) of class 1; several classes: mean over the classes that occur",
    ),
    _metric("logloss", "classification", "mean -ln P(true class), in nats", False),
    _metric("exact_match", "text", "share of outputs equal to the reference, outer spaces ignored"),
)
