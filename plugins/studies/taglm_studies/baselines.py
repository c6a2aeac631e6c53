"""Baselines: what simple methods reach on the same rows as a task.

They are fitted on the train split; the valid split chooses penalties and ends boosting; the test
split is only predicted. What several of them need (features, both orders of pairs) is computed once
and kept in `TaskData.shared`.
"""

import logging
from collections.abc import Callable
from functools import partial

import attrs
import numpy as np

from taglm_core import BaselineResult, Classification, TaskData
from taglm_studies.boosting import boost_classes, boost_numbers
from taglm_studies.features import (
    Features,
    Fold,
    compute_features,
    make_fold,
    without_the_answer,
)
from taglm_studies.forest import forest_classes, forest_numbers
from taglm_studies.logistic import logistic_ridge
from taglm_studies.nearest import nearest_rows
from taglm_studies.one_hot_id import (
    OneHotRows,
    interacting_ids,
    one_hot_classes,
    one_hot_numbers,
    recurring_ids,
)
from taglm_studies.orders import both_orders, mean_of_orders
from taglm_studies.ridge import ridge
from taglm_studies.tfidf import tfidf_rows

_log = logging.getLogger(__name__)


@attrs.define
class _Prepared:
    """What the baselines of a task share."""

    data: TaskData
    """The rows; those of a symmetric task in both orders."""
    targets: dict[str, np.ndarray]
    """Split -> what is predicted as float64 `(rows, outputs)`."""
    fold: Fold
    _features: Features | None = None
    _descriptors: Features | None = None

    @property
    def features(self) -> Features | None:
        """Features of all splits, computed at the first use; None when no domain has any."""
        if self._features is None:
            self._features = compute_features(self.data)
        return self._features

    @property
    def descriptors(self) -> Features | None:
        """Descriptors of all splits, without those that a computed label is."""
        if self._descriptors is None and self.data.descriptors:
            features = compute_features(self.data, self.data.descriptors)
            if features is not None and getattr(self.data.target, "compute", None) is not None:
                features, num_left_out = without_the_answer(features, self.targets["train"])
                if num_left_out:
                    _log.info(
                        "%s: descriptors that equal the label are not used: %d",
                        self.data.task,
                        num_left_out,
                    )
            self._descriptors = features
        return self._descriptors

    @property
    def truth(self) -> dict[str, np.ndarray]:
        """Split -> truth as it is given, such as class indices."""
        return {split: np.asarray(rows.truth) for split, rows in self.data.splits.items()}

    @property
    def has_classes(self) -> bool:
        """Whether one class out of several is predicted."""
        target = self.data.target
        return isinstance(target, Classification) and not target.multi_label

    @property
    def has_labels(self) -> bool:
        """Whether several yes-or-no labels are predicted."""
        target = self.data.target
        return isinstance(target, Classification) and target.multi_label

    @property
    def is_constant(self) -> bool:
        """Whether the fitted rows are all of one class, so that nothing can be fitted."""
        return len(np.unique(self.truth["train"][self.fold.fit])) < 2


def _prepare(data: TaskData) -> _Prepared | None:
    """Return what the baselines share, None when there is no row to fit."""
    if "train" not in data.splits:
        return None
    if "studies" not in data.shared:
        doubled = both_orders(data)
        targets = _as_outputs(doubled)
        num_train, num_valid = len(targets["train"]), len(targets.get("valid", ()))
        fold = make_fold(num_train, num_valid, data.seed)
        data.shared["studies"] = _Prepared(doubled, targets, fold)
    prepared: _Prepared = data.shared["studies"]
    return prepared


def _outcome(
    fit: Callable[[_Prepared], BaselineResult | None], data: TaskData
) -> BaselineResult | None:
    """Fit a baseline; return its predictions, the mean over the orders of each row.

    Args:
        fit: Is given what the baselines share; returns None when it has nothing to fit.
        data: The task.
    """
    prepared = _prepare(data)
    outcome = fit(prepared) if prepared is not None else None
    if outcome is None:
        return None
    predictions = {
        split: mean_of_orders(values, len(data.splits[split].truth))
        for split, values in outcome.predictions.items()
    }
    return BaselineResult(predictions, outcome.limits)


def mean(data: TaskData) -> BaselineResult | None:
    """Predict the mean of the train split, or its class frequencies."""

    def fit(prepared: _Prepared) -> BaselineResult:
        prior = prepared.targets["train"].mean(axis=0)  # (outputs,)
        return BaselineResult({s: np.tile(prior, (len(t), 1)) for s, t in prepared.targets.items()})

    return _outcome(fit, data)


def one_hot_id(data: TaskData) -> BaselineResult | None:
    """Fit a ridge on one column for each value of the fields whose values recur."""
    return _outcome(lambda prepared: _on_ids(recurring_ids(prepared.data), prepared), data)


def one_hot_id_interactions(data: TaskData) -> BaselineResult | None:
    """Fit the ridge on recurring pairs of values too, such as a drug on a cell line."""
    return _outcome(lambda prepared: _on_ids(interacting_ids(prepared.data), prepared), data)


def tfidf(data: TaskData) -> BaselineResult | None:
    """Fit a ridge regression, or a logistic one for classes, on the words of the texts."""
    return _outcome(lambda prepared: _on_ids(tfidf_rows(prepared.data), prepared), data)


def nearest(data: TaskData) -> BaselineResult | None:
    """Predict each row by the most similar row of the train split."""

    def fit(prepared: _Prepared) -> BaselineResult | None:
        if prepared.features is None:
            return None
        return nearest_rows(prepared.features, prepared.targets["train"], data.seed)

    return _outcome(fit, data)


def ridge_regression(data: TaskData) -> BaselineResult | None:
    """Fit a ridge regression, or a logistic one for classes, on the features."""

    def fit(prepared: _Prepared) -> BaselineResult | None:
        features, targets, fold = prepared.features, prepared.targets, prepared.fold
        if features is None:
            return None
        if prepared.has_labels:
            return _each_label(logistic_ridge, features, targets, fold, data.seed)
        if not prepared.has_classes:
            return ridge(features, targets, fold)
        if _warn_constant(prepared):
            return None
        num_classes = targets["train"].shape[1]
        return logistic_ridge(features, prepared.truth, num_classes, fold, data.seed)

    return _outcome(fit, data)


def boosting(data: TaskData) -> BaselineResult | None:
    """Fit gradient-boosted trees on the features."""
    return _outcome(lambda p: _trees(boost_numbers, boost_classes, p.features, p), data)


def boosting_descriptors(data: TaskData) -> BaselineResult | None:
    """Fit gradient-boosted trees on the descriptors."""
    return _outcome(lambda p: _trees(boost_numbers, boost_classes, p.descriptors, p), data)


def forest_descriptors(data: TaskData) -> BaselineResult | None:
    """Fit a random forest on the descriptors."""
    return _outcome(lambda p: _trees(forest_numbers, forest_classes, p.descriptors, p), data)


def _trees(
    fit_numbers: Callable[..., BaselineResult],
    fit_classes: Callable[..., BaselineResult],
    features: Features | None,
    prepared: _Prepared,
) -> BaselineResult | None:
    """Fit trees of one kind to whatever the target is; None when there is nothing to fit."""
    if features is None or not features.num_columns:
        return None
    targets, fold, seed = prepared.targets, prepared.fold, prepared.data.seed
    width = targets["train"].shape[1]
    if prepared.has_labels:
        fit = partial(fit_classes, num_fits=width)
        return _each_label(fit, features, targets, fold, seed)
    if prepared.has_classes:
        if _warn_constant(prepared):
            return None
        return fit_classes(features, prepared.truth, width, fold, seed)
    return fit_numbers(features, targets, fold, seed)


def _warn_constant(prepared: _Prepared) -> bool:
    if prepared.is_constant:
        _log.warning("%s: the train split has one class only, nothing to fit", prepared.data.task)
    return prepared.is_constant


def _on_ids(ids: OneHotRows | None, prepared: _Prepared) -> BaselineResult | None:
    if ids is None:
        return None
    targets, fold = prepared.targets, prepared.fold
    if prepared.has_labels:
        fit = partial(_one_hot_label, ids)
        return _each_label(fit, None, targets, fold, prepared.data.seed)
    if not prepared.has_classes:
        return one_hot_numbers(ids, targets, fold)
    if prepared.is_constant:
        return None
    return one_hot_classes(ids, prepared.truth, targets["train"].shape[1], fold)


def _one_hot_label(
    ids: OneHotRows,
    features: None,
    truth: dict[str, np.ndarray],
    num_classes: int,
    fold: Fold,
    seed: int,
) -> BaselineResult:
    return one_hot_classes(ids, truth, num_classes, fold)


def _as_outputs(data: TaskData) -> dict[str, np.ndarray]:
    """Return for each split what is to be predicted as float64 `(rows, outputs)`.

    Outputs are the numbers, the labels, or one column of 0 and 1 for each class.
    """
    truth = {split: np.asarray(rows.truth) for split, rows in data.splits.items()}
    if not isinstance(data.target, Classification) or data.target.multi_label:
        return {split: values.astype(np.float64) for split, values in truth.items()}
    highest = max(int(values.max()) for values in truth.values() if len(values))
    num_classes = max(len(data.target.classes or ()), highest + 1)
    return {split: np.eye(num_classes)[values] for split, values in truth.items()}


def _each_label(
    fit: Callable[..., BaselineResult],
    features: Features | None,
    targets: dict[str, np.ndarray],
    fold: Fold,
    seed: int,
) -> BaselineResult:
    """Fit one label after the other; a label that never varies in train keeps its value."""
    predictions = {split: np.empty(values.shape) for split, values in targets.items()}
    limits: dict[str, float] = {}
    for label in range(targets["train"].shape[1]):
        truth = {split: values[:, label].astype(np.int64) for split, values in targets.items()}
        if len(np.unique(truth["train"][fold.fit])) < 2:
            for preds in predictions.values():
                preds[:, label] = truth["train"][fold.fit][0]
            continue
        outcome = fit(features, truth, 2, fold, seed)
        for split, preds in predictions.items():
            preds[:, label] = outcome.predictions[split][:, 1]
        limits |= outcome.limits
    return BaselineResult(predictions, limits)
