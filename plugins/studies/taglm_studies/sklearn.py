"""scikit-learn estimators: `TagRegressor` and `TagClassifier`, also as `taglm.TagRegressor`.

Inputs are texts: a list or column of strings, a 2-D array of them, or a DataFrame with one column a
field. What `check_estimator` cannot hold for such inputs is listed in `EXPECTED_FAILED_CHECKS`.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

import taglm
from taglm_studies.inputs import (
    SPLIT_COLUMN,
    check_lengths,
    checked_targets,
    columns_of,
    own_advice,
    with_splits,
)

__all__ = ["EXPECTED_FAILED_CHECKS", "TagClassifier", "TagRegressor"]

_TASK = "Target"
_FIELD = re.compile(r"(?<!\{)\{([A-Za-z_]\w*)\}(?!\})")

EXPECTED_FAILED_CHECKS = {
    "check_methods_subset_invariance": (
        "asks for 1e-7 between batches of different size; the backbone computes in fp32"
    ),
    "check_methods_sample_order_invariance": (
        "asks for 1e-7 between batches of different order; the backbone computes in fp32"
    ),
}
"""Check of scikit-learn -> why it can fail. The checks also skip quality (tag `poor_score`): they
train on random numbers, which are text here."""


class _TagEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """What both estimators share; parameters are described there."""

    def __init__(
        self,
        domain: str | Sequence[str | None] | None = None,
        *,
        template: str | None = None,
        backbone: str = "nano",
        preset: str = "default",
        tag_length: int | None = None,
        epochs: float | None = None,
        head: str | None = None,
        valid_fraction: float = 0.1,
        settings: Mapping[str, Any] | None = None,
        random_state: Any = 0,
        device: str = "auto",
    ) -> None:
        self.domain = domain
        self.template = template
        self.backbone = backbone
        self.preset = preset
        self.tag_length = tag_length
        self.epochs = epochs
        self.head = head
        self.valid_fraction = valid_fraction
        self.settings = settings
        self.random_state = random_state
        self.device = device

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.allow_nan = False
        tags.target_tags.required = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_predictor", None)  # is loaded again from the artifact
        return state

    def _fit(self, X: Any, targets: Mapping[str, list[Any]], target: dict[str, Any]) -> Self:
        """Train on columns of targets; keep the artifact as bytes, so that the estimator pickles.

        Args:
            X: Inputs.
            targets: Column -> values.
            target: Settings of the target.
        """
        names, columns = columns_of(X)
        fields, template = self._prompt(names, columns)
        validate_data(self, X=X, skip_check_array=True)
        self.template_ = template
        data = {**dict(zip(fields, columns.values(), strict=True)), **targets}
        data = with_splits(data, self._splits(targets))
        task = {
            "name": _TASK,
            "template": template,
            "target": {**target, "columns": list(targets)},
            "metrics": self._metrics(data, targets),
        }
        with own_advice():
            predictor = taglm.train(
                task, data, backbone=self.backbone, progress=False, **self._settings()
            )
        with tempfile.TemporaryDirectory(prefix="taglm-") as folder:
            saved = predictor.save(Path(folder) / "predictor")
            self.artifact_ = {file.name: file.read_bytes() for file in sorted(saved.iterdir())}
        self._predictor = predictor
        return self

    def _settings(self) -> dict[str, Any]:
        """Return the settings of the run; those of `settings` win."""
        seed = int(self.random_state) if isinstance(self.random_state, Integral) else 0
        settings = {
            "preset": self.preset,
            "seed": seed,
            "device": self.device,
            "data.split.column": SPLIT_COLUMN,
            "data.check": False,
            "precision": "fp32",  # what auto measures could differ between the folds
            "stages.task.tag_length": self.tag_length,
            "stages.task.epochs": self.epochs,
            "stages.task.head": self.head,
        }
        return {k: v for k, v in settings.items() if v is not None} | dict(self.settings or {})

    def _prompt(
        self, names: Sequence[str], columns: Mapping[str, list[Any]]
    ) -> tuple[list[str], str]:
        """Return the field that each column fills, and the template."""
        if self.template is not None:
            fields = list(dict.fromkeys(_FIELD.findall(self.template)))
            known = all(name in fields for name in names)
            if len(fields) != len(columns):
                raise ValueError(
                    f"template: it has the fields {', '.join(fields) or 'none'}, but X has "
                    f"{len(columns)} columns ({', '.join(names)})."
                )
            return (list(names) if known else fields), self.template
        domains = self.domain
        if domains is None or isinstance(domains, str):
            domains = [domains] * len(columns)
        if len(domains) != len(columns):
            raise ValueError(
                f"domain: {len(domains)} domains for {len(columns)} columns ({', '.join(names)})."
            )
        fields = [f"x{i}" for i in range(len(columns))]
        sentences = []
        for field, name, domain in zip(fields, names, domains, strict=True):
            words = re.sub(r"[^\w ]", " ", name).strip() or field
            sentences.append(f"The {words} is {f'<{domain}>' if domain else ''}{{{field}}}.")
        return fields, " ".join(sentences) + f" The answer is <{_TASK}>"

    def _splits(self, targets: Mapping[str, list[Any]]) -> np.ndarray:
        """Return whether each row is held out for early stopping; classes keep rows to train on."""
        if not 0 < self.valid_fraction < 1:
            raise ValueError(f"valid_fraction must be between 0 and 1, not {self.valid_fraction}.")
        count = len(next(iter(targets.values())))
        if count < 2:
            raise ValueError(f"n_samples={count}: 2 rows or more are needed, one to validate on.")
        wanted = min(max(1, round(count * self.valid_fraction)), count - 1)
        order = check_random_state(self.random_state).permutation(count)
        return self._held_out(order, wanted, targets)

    def _held_out(
        self, order: np.ndarray, wanted: int, targets: Mapping[str, list[Any]]
    ) -> np.ndarray:
        is_held_out = np.zeros(len(order), dtype=bool)
        is_held_out[order[:wanted]] = True
        return is_held_out

    def _metrics(
        self, data: Mapping[str, list[Any]], targets: Mapping[str, list[Any]]
    ) -> list[str]:
        raise NotImplementedError

    def _predict(self, X: Any, what: str) -> np.ndarray:
        check_is_fitted(self, "artifact_")
        names, columns = columns_of(X)
        validate_data(self, X=X, reset=False, skip_check_array=True)
        fields, _ = self._prompt(names, columns)
        data = dict(zip(fields, columns.values(), strict=True))
        predict = getattr(self._loaded(), what)
        with own_advice():
            preds: np.ndarray = predict(data, "numpy", on_error="raise", progress=False)
        return preds

    def _loaded(self) -> Any:
        """Return the predictor, after unpickling from the artifact."""
        if getattr(self, "_predictor", None) is None:
            with tempfile.TemporaryDirectory(prefix="taglm-") as folder:
                for name, content in self.artifact_.items():
                    (Path(folder) / name).write_bytes(content)
                self._predictor = taglm.load(folder, device=self.device)
        return self._predictor


class TagRegressor(RegressorMixin, _TagEstimator):  # type: ignore[misc]  # as above
    """A function tag and a head that predict numbers from texts on a frozen language model.

    The domain tag comes from the tag store; the first fit that needs it trains it, and all folds of
    a cross-validation and all points of a grid share it.

    Args:
        domain: Domain of every column, such as "SMILES"; a list: one for each column; None: plain
            text in the tokens of the language model.
        template: Prompt with a field in braces for each column, in their order or by their names,
            that ends in <Target>; None: made from the columns.
        backbone: Registered name, folder, GGUF file or Hub id.
        preset: "default", "quick" or "paper".
        tag_length: Tokens of the function tag; None: 10.
        epochs: Passes over the training rows; None: 3, or what the preset says.
        head: Registered head, such as "linear" or "mlp"; None: "auto", see the settings.
        valid_fraction: Share of the rows of `fit` that decide when training stops.
        settings: Any other setting of a run, such as {"stages.task.tag_lr": 0.02}; wins over the
            arguments above. The precision is fp32 unless it says otherwise, so that all folds have
            the same.
        random_state: Seed of a run, domain tags included, and of the rows held out; anything but
            a whole number leaves the seed of the run at 0.
        device: "cpu", "cuda", "cuda:1" or "auto".

    Attributes:
        artifact_: File name -> content of the artifact: what `taglm.load` reads.
        template_: The prompt.
        n_features_in_: Number of columns of a 2-D input.
        feature_names_in_: Names of the columns of a DataFrame.

    Example:
        cross_val_score(TagRegressor("SMILES", preset="quick"), smiles, solubility)
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        # scikit-learn's checks train on random numbers, which are text here
        tags.regressor_tags.poor_score = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Train on texts and numbers.

        Args:
            X: `(rows,)` or `(rows, columns)` texts.
            y: `(rows,)` or `(rows, targets)` finite numbers.

        Raises:
            ValueError: when a row is invalid, or X and y differ in length.
        """
        values = checked_targets(X, y, self)
        self._is_1d = values.ndim == 1
        table = values.reshape(len(values), -1)
        targets = {f"y{k}": table[:, k].tolist() for k in range(table.shape[1])}
        return self._fit(X, targets, {"kind": "regression", "names": list(targets)})

    def _metrics(
        self, data: Mapping[str, list[Any]], targets: Mapping[str, list[Any]]
    ) -> list[str]:
        return ["rmse"]

    def predict(self, X: Any) -> np.ndarray:
        """Predict numbers.

        Args:
            X: `(rows,)` or `(rows, columns)` texts.

        Returns:
            float64 `(rows,)`, or `(rows, targets)` when `y` was 2-D.

        Raises:
            ValueError: when a row is invalid.
        """
        preds = self._predict(X, "predict")
        return preds if self._is_1d else preds.reshape(len(preds), -1)


class TagClassifier(ClassifierMixin, _TagEstimator):  # type: ignore[misc]  # as above
    """A function tag and a head that predict classes from texts on a frozen language model.

    The domain tag comes from the tag store; the first fit that needs it trains it, and all folds of
    a cross-validation and all points of a grid share it.

    Args:
        domain: Domain of every column, such as "SMILES"; a list: one for each column; None: plain
            text in the tokens of the language model.
        template: Prompt with a field in braces for each column, in their order or by their names,
            that ends in <Target>; None: made from the columns.
        backbone: Registered name, folder, GGUF file or Hub id.
        preset: "default", "quick" or "paper".
        tag_length: Tokens of the function tag; None: 10.
        epochs: Passes over the training rows; None: 3, or what the preset says.
        head: Registered head, such as "linear" or "mlp"; None: "auto", see the settings.
        valid_fraction: Share of the rows of `fit` that decide when training stops.
        settings: Any other setting of a run, such as {"stages.task.tag_lr": 0.02}; wins over the
            arguments above. The precision is fp32 unless it says otherwise, so that all folds have
            the same.
        random_state: Seed of a run, domain tags included, and of the rows held out; anything but
            a whole number leaves the seed of the run at 0.
        device: "cpu", "cuda", "cuda:1" or "auto".

    Attributes:
        classes_: Labels in the order of `predict_proba`.
        artifact_: File name -> content of the artifact: what `taglm.load` reads.
        template_: The prompt.
        n_features_in_: Number of columns of a 2-D input.
        feature_names_in_: Names of the columns of a DataFrame.

    Example:
        TagClassifier("SMILES").fit(smiles, is_toxic).predict_proba(others)
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # as for numbers
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Train on texts and labels.

        Args:
            X: `(rows,)` or `(rows, columns)` texts.
            y: `(rows,)` labels of any kind, two classes or more.

        Raises:
            ValueError: when a row is invalid, X and y differ in length, or there is one class only.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        columns_of(X)  # says what is wrong with the inputs first
        check_lengths(X, y)
        check_classification_targets(y)
        labels = column_or_1d(y, warn=True)
        self.classes_ = unique_labels(labels)
        if len(self.classes_) < 2:
            raise ValueError(
                f"the classifier needs two classes or more; y has 1 class: {self.classes_[0]!r}"
            )
        numbers = np.searchsorted(self.classes_, labels)
        names = [f"class{k}" for k in range(len(self.classes_))]
        targets = {"y": [names[k] for k in numbers]}
        return self._fit(X, targets, {"kind": "classification", "classes": names})

    def _held_out(
        self, order: np.ndarray, wanted: int, targets: Mapping[str, list[Any]]
    ) -> np.ndarray:
        """Hold rows out in turn from the classes; each keeps one to train on."""
        labels = np.array(targets["y"])
        queues = {c: [i for i in order if labels[i] == c][:-1] for c in np.unique(labels)}
        is_held_out = np.zeros(len(order), dtype=bool)
        turns = sorted((k, c) for c, queue in queues.items() for k in range(len(queue)))
        for k, c in turns[:wanted]:
            is_held_out[queues[c][k]] = True
        if not is_held_out.any():
            raise ValueError("every class has a single row: none is left to validate on.")
        return is_held_out

    def _metrics(
        self, data: Mapping[str, list[Any]], targets: Mapping[str, list[Any]]
    ) -> list[str]:
        pairs = zip(data["y"], data[SPLIT_COLUMN], strict=True)
        valid_labels = {label for label, split in pairs if split == "valid"}
        return ["auroc", "accuracy"] if len(valid_labels) == len(self.classes_) else ["accuracy"]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities.

        Args:
            X: `(rows,)` or `(rows, columns)` texts.

        Returns:
            float64 `(rows, classes)`, in the order of `classes_`.

        Raises:
            ValueError: when a row is invalid.
        """
        return self._predict(X, "predict_proba")

    def predict(self, X: Any) -> np.ndarray:
        """Predict labels.

        Args:
            X: `(rows,)` or `(rows, columns)` texts.

        Returns:
            `(rows,)` labels of the kind of `y`.

        Raises:
            ValueError: when a row is invalid.
        """
        probabilities = self.predict_proba(X)
        labels: np.ndarray = self.classes_[probabilities.argmax(axis=1)]
        return labels
