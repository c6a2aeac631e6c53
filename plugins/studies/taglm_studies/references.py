"""Reference predictors: what simple methods reach on the same rows as a task.

They are fitted on the train part; the valid part chooses strengths and ends boosting; the test
part is only scored.
"""

import logging
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from taglm_core import Classification, Evaluated
from taglm_studies.boosting import boost_classes, boost_numbers
from taglm_studies.features import Features, Fold, compute_features, make_fold
from taglm_studies.identities import (
    Identities,
    find_crossed,
    find_identities,
    identity_classes,
    identity_numbers,
)
from taglm_studies.logistic import logistic_ridge
from taglm_studies.nearest import nearest_rows
from taglm_studies.orders import both_orders, mean_of_orders
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
    for name, outcome in outcomes(both_orders(event)):
        for part, prediction in outcome.predictions.items():
            truth = event.parts[part].truth
            metrics = event.score(truth, mean_of_orders(prediction, len(truth)))
            found[part][name] = {**metrics, **outcome.limits}
        if outcome.limits:
            limits = ", ".join(f"{key} {value:,}" for key, value in outcome.limits.items())
            _log.info(
                "%s: reference '%s' was fitted on a part of the data: %s", event.task, name, limits
            )
    return {part: held for part, held in found.items() if held}


def outcomes(event: Evaluated) -> Iterator[tuple[str, Outcome]]:
    """Fit the predictors one after the other and give each with its name."""
    target = event.target
    targets = _as_outputs(event)
    prior = targets["train"].mean(axis=0)  # (outputs,)
    yield "mean", Outcome({part: np.tile(prior, (len(t), 1)) for part, t in targets.items()})
    seed = event.seed
    fold = make_fold(len(targets["train"]), len(targets.get("valid", ())), seed)
    yield from _by_identity(event, targets, fold)
    features = compute_features(event)
    if features is None:
        return
    yield "nearest", nearest_rows(features, targets["train"], seed)
    if not isinstance(target, Classification):
        yield "ridge", ridge(features, targets, fold)
        yield "boosting", boost_numbers(features, targets, fold, seed)
    elif target.multi_label:
        num_labels = targets["train"].shape[1]
        boost = partial(boost_classes, num_fits=num_labels)
        yield "ridge", _each_label(logistic_ridge, features, targets, fold, seed)
        yield "boosting", _each_label(boost, features, targets, fold, seed)
    else:
        truth = {part: np.asarray(held.truth) for part, held in event.parts.items()}
        num_classes = targets["train"].shape[1]
        if len(np.unique(truth["train"][fold.fit])) < 2:
            _log.warning("%s: the train part has one class only, nothing to fit", event.task)
            return
        yield "ridge", logistic_ridge(features, truth, num_classes, fold, seed)
        yield "boosting", boost_classes(features, truth, num_classes, fold, seed)


def _by_identity(
    event: Evaluated, targets: dict[str, np.ndarray], fold: Fold
) -> Iterator[tuple[str, Outcome]]:
    """Give the ridge on identities when the values of a field recur, and on recurring pairs."""
    found = {"identities": find_identities(event), "crossed identities": find_crossed(event)}
    for name, identities in found.items():
        if identities is not None:
            _log.info("%s: %s of %s", event.task, name, ", ".join(identities.fields))
            yield from _on_identities(name, identities, event, targets, fold)


def _on_identities(
    name: str, identities: Identities, event: Evaluated, targets: dict[str, np.ndarray], fold: Fold
) -> Iterator[tuple[str, Outcome]]:
    if not isinstance(event.target, Classification):
        yield name, identity_numbers(identities, targets, fold)
    elif event.target.multi_label:
        fit = partial(_identity_label, identities)
        yield name, _each_label(fit, None, targets, fold, event.seed)
    else:
        truth = {part: np.asarray(held.truth) for part, held in event.parts.items()}
        if len(np.unique(truth["train"][fold.fit])) > 1:
            num_classes = targets["train"].shape[1]
            yield name, identity_classes(identities, truth, num_classes, fold)


def _identity_label(
    identities: Identities,
    features: None,
    truth: dict[str, np.ndarray],
    num_classes: int,
    fold: Fold,
    seed: int,
) -> Outcome:
    return identity_classes(identities, truth, num_classes, fold)


def _as_outputs(event: Evaluated) -> dict[str, np.ndarray]:
    """Return for each part what is to be predicted as float64 `(rows, outputs)`.

    Outputs are the numbers, the labels, or one column of 0 and 1 for each class.
    """
    truth = {part: np.asarray(held.truth) for part, held in event.parts.items()}
    if not isinstance(event.target, Classification) or event.target.multi_label:
        return {part: values.astype(np.float64) for part, values in truth.items()}
    highest = max(int(values.max()) for values in truth.values() if len(values))
    num_classes = max(len(event.target.classes or ()), highest + 1)
    return {part: np.eye(num_classes)[values] for part, values in truth.items()}


def _each_label(
    fit: Callable[..., Outcome],
    features: Features | None,
    targets: dict[str, np.ndarray],
    fold: Fold,
    seed: int,
) -> Outcome:
    """Fit one label after the other; a label that never varies in train keeps its value."""
    predictions = {part: np.empty(values.shape) for part, values in targets.items()}
    limits: dict[str, float] = {}
    for label in range(targets["train"].shape[1]):
        truth = {part: values[:, label].astype(np.int64) for part, values in targets.items()}
        if len(np.unique(truth["train"][fold.fit])) < 2:
            for made in predictions.values():
                made[:, label] = truth["train"][fold.fit][0]
            continue
        outcome = fit(features, truth, 2, fold, seed)
        for part, made in predictions.items():
            made[:, label] = outcome.predictions[part][:, 1]
        limits |= outcome.limits
    return Outcome(predictions, limits)
