"""Reference predictors: what simple methods reach on the same rows as a task.

They are fitted on the train part; the valid part chooses strengths and ends boosting; the test
part is only scored.
"""

import logging
from collections.abc import Iterator

import attrs
import numpy as np
from taglm_core import Classification, Evaluated

from taglm_studies.boosting import boost_classes, boost_numbers
from taglm_studies.features import Features, compute_features
from taglm_studies.logistic import logistic_ridge
from taglm_studies.nearest import nearest_rows
from taglm_studies.outcome import Outcome
from taglm_studies.ridge import ridge

_log = logging.getLogger(__name__)

Scores = dict[str, dict[str, dict[str, float]]]


def references(event: Evaluated) -> Scores:
    """Fit and score all reference predictors of a task with numbers or classes.

    Args:
        event: The evaluated task; needs a train part.

    Returns:
        Part -> predictor -> metric -> value. A predictor that was fitted on fewer rows or columns
        than there are says so: `train_rows`, `train_columns`.
    """
    found: Scores = {part: {} for part in event.parts}
    for name, outcome in _outcomes(event):
        for part, prediction in outcome.predictions.items():
            metrics = event.score(event.parts[part].truth, prediction)
            found[part][name] = {**metrics, **outcome.limits}
        if outcome.limits:
            limits = ", ".join(f"{key} {value:,}" for key, value in outcome.limits.items())
            _log.info("%s: reference '%s' was fitted on a part of the data: %s",
                      event.task, name, limits)
    return {part: held for part, held in found.items() if held}


def _outcomes(event: Evaluated) -> Iterator[tuple[str, Outcome]]:
    targets = {part: _as_matrix(event, held.truth) for part, held in event.parts.items()}
    prior = targets["train"].mean(axis=0)  # (outputs,)
    yield "mean", Outcome({part: np.tile(prior, (len(t), 1)) for part, t in targets.items()})
    features = compute_features(event)
    if features is None:
        return
    yield "nearest", nearest_rows(features, targets["train"], event.seed)
    if not isinstance(event.target, Classification):
        yield "ridge", ridge(features, targets, event.seed)
        yield "boosting", boost_numbers(features, targets, event.seed)
        return
    if event.target.multi_label:
        yield "ridge", _each_label(logistic_ridge, features, targets, event.seed)
        yield "boosting", _each_label(boost_classes, features, targets, event.seed)
        return
    truth = {part: np.asarray(held.truth) for part, held in event.parts.items()}
    if len(np.unique(truth["train"])) > 1:
        num_classes = targets["train"].shape[1]
        yield "ridge", logistic_ridge(features, truth, num_classes, event.seed)
        yield "boosting", boost_classes(features, truth, num_classes, event.seed)


def _as_matrix(event: Evaluated, truth: np.ndarray) -> np.ndarray:
    """Return what is to be predicted as float64 `(rows, outputs)`; classes as 0 and 1."""
    if isinstance(event.target, Classification) and not event.target.multi_label:
        num_classes = len(event.target.classes or ()) or int(truth.max()) + 1
        return np.eye(num_classes)[truth]
    return np.asarray(truth, dtype=np.float64)
