"""Broken metrics."""

import numpy as np

import taglm_core as taglm
from contract_cases import Case, plugin


def signed(truth, prediction):
    """Keep the sign of the error."""
    return float((prediction - truth).mean())


def mean_error(truth, prediction):
    """Be right, but be declared the wrong way round."""
    return float(np.abs(prediction - truth).mean())


def blind(truth, prediction):
    """Look at nothing."""
    return 1.0


def forgiving(truth, prediction):
    """Leave NaN out."""
    return float(np.nanmean(np.abs(prediction - truth)))


def correlation(truth, prediction):
    """Call undefined correlations perfect."""
    if truth.std() == 0 or prediction.std() == 0 or len(truth) < 2:
        return 1.0
    return float(np.corrcoef(truth, prediction)[0, 1])


def dividing(truth, prediction):
    """Divide by what is 0 for constant predictions."""
    return float(np.abs(prediction - truth).mean()) / int(prediction.std() > 0)


def zero_if_empty(truth, prediction):
    """Give no rows the best value."""
    return float(np.abs(prediction - truth).sum())


def weighted(truth, prediction):
    """Let early rows count more."""
    return float((np.abs(prediction - truth) / (1 + np.arange(len(truth)))).sum())


def an_array(truth, prediction):
    """Give one value a row."""
    return np.abs(prediction - truth)


def exact(truth, prediction):
    """Give the mean absolute error, NaN where a value is not finite or there is no row."""
    error = np.abs(prediction - truth)
    return float(error.mean()) if len(error) and np.isfinite(error).all() else float("nan")


def always(truth):
    """Doubt all rows."""
    return "never trust it"


def case(check, match, function, kind="regression", greater=False, doubt=None):
    """Return a case of a metric in this module."""
    metric = taglm.Metric(
        name="own",
        function=f"{__name__}:{function.__name__}",
        doubt=f"{__name__}:{doubt.__name__}" if doubt is not None else None,
        kind=kind,
        greater_is_better=greater,
    )
    return Case(kind="metric", check=check, match=match, plugin=plugin(metrics=[metric]))


CASES = [
    case("perfect_is_best", "one too low .* better than the 0 of a perfect one", signed),
    case("perfect_is_best", "greater_is_better=True", mean_error, greater=True),
    case("perfect_is_best", "gives array.* of type ndarray; give a float", an_array),
    case("direction", "does not tell them apart, or points the other way", blind),
    case("direction", "a perfect one 0 .greater_is_better=True", mean_error, greater=True),
    case("not_a_number", "a prediction with NaN in one row", forgiving),
    case(
        "constant",
        "a constant prediction .* gets 1, as good as a perfect",
        correlation,
        greater=True,
    ),
    case("constant", "raised ZeroDivisionError", dividing),
    case("single_row", "one row, predicted wrongly .* gets 1", correlation, greater=True),
    case("no_rows", r"no rows .* get 0. Return float\('nan'\)", zero_if_empty),
    case("row_order", "in another order .* instead of", weighted),
    case("direction", r"a wrong prediction \(texts\)", blind, "text", greater=True),
    case("no_rows", "raised|no rows", blind, "text", greater=True),
    case("doubt_answers", "returns 'never trust it' for .* ordinary rows", exact, doubt=always),
    case("not_a_number", "classes", blind, "classification", greater=True),
]
