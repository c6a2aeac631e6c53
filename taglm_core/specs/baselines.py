"""Baselines: simple methods that are fitted to the rows of a task and stand beside its result."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from taglm_core.errors import ConfigError
from taglm_core.specs.fields import as_names, identifier, reference
from taglm_core.specs.packages import why_missing
from taglm_core.specs.target import Target

if TYPE_CHECKING:
    import numpy as np

BASELINE_WORDS = ("default", "all", "none")
"""What `baselines` of a run may say instead of names."""

_KINDS = ("regression", "classification")


def _no_word(instance: Any, attribute: Any, value: Any) -> None:
    identifier(instance, attribute, value)
    if value in BASELINE_WORDS:
        raise ConfigError(
            f"Baseline: the name '{value}' is taken, since --baselines {value} means something "
            "else. Choose another name."
        )


def _known_kinds(instance: Any, attribute: Any, value: tuple[str, ...]) -> None:
    unknown = [kind for kind in value if kind not in _KINDS]
    if unknown or not value:
        raise ConfigError(f"Baseline: kinds must be among {', '.join(_KINDS)}, not {value!r}.")


@attrs.frozen(kw_only=True)
class Baseline:
    """A simple method whose scores are written beside those of every run."""

    name: str = attrs.field(validator=_no_word)
    """Key in metrics.json and word of `--baselines`, such as "ridge"."""
    function: str = attrs.field(validator=reference)
    """`(data: TaskData) -> BaselineResult | None`: fits the train split and predicts every split.
    None: it does not apply to these rows."""
    kinds: tuple[str, ...] = attrs.field(default=_KINDS, converter=as_names, validator=_known_kinds)
    """Kinds of target that it can predict: regression, classification."""
    needs_features: bool = False
    """True: it applies only where a domain of the task has a feature function."""
    needs_descriptors: bool = False
    """True: it applies only where a domain of the task has a function of descriptors."""
    needs_package: str = ""
    """Python package without which it does not apply, such as "chemprop"; it is looked for, not
    imported. "": none."""
    install: str = ""
    """What pip installs to have the package; "": its own name."""
    in_default: bool = True
    """False: fitted only if the run names it or says `all`, such as a baseline that takes long."""
    description: str = ""
    """One sentence for listings."""

    def why_not(self, data: "TaskData") -> str | None:
        """Return why the method does not apply to a task, None when it does."""
        missing = why_missing(self.needs_package, self.install)
        if missing is not None:
            return missing
        if data.target.kind not in self.kinds:
            return f"it predicts {' and '.join(self.kinds)}, and the target is {data.target.kind}"
        if self.needs_features and not data.features:
            return "it needs features, and no domain of the task has a feature function"
        if self.needs_descriptors and not data.descriptors:
            return "it needs descriptors, and no domain of the task computes any"
        return None


@attrs.frozen(kw_only=True)
class SplitData:
    """The rows of one split (train, valid or test) of a task."""

    fields: Mapping[str, Sequence[str]]
    """Domain field -> canonical rows."""
    truth: "np.ndarray"
    """float `(rows, targets)` in the user's units, or int `(rows,)` class indices
    (`(rows, labels)` when multi-label). Of several targets a row may lack some: NaN, or -1 for a
    label. A baseline never meets them: it is given targets of the same rows, and these rows."""
    prediction: "np.ndarray | None" = None
    """What the run predicts: same shape for regression; float `(rows, classes)` probabilities for
    classes. None for the train split, whose rows are not all predicted, and for baselines."""
    texts: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    """Field in the LM's own words, such as a cell line -> rows."""


@attrs.frozen(kw_only=True, eq=False)
class TaskData:
    """What a baseline gets: the rows of a task by split."""

    task: str
    """Name of the task."""
    target: Target
    """Its target; for classes with the class names filled in."""
    splits: Mapping[str, SplitData]
    """train, valid and test, those that have rows. Only train may be fitted; valid may choose
    settings; the truth of test is there for its shape."""
    features: Mapping[str, Callable[[Sequence[str]], "np.ndarray"]]
    """Domain field -> feature function `(rows) -> float32 (rows, features)`, for the domains that
    have one."""
    seed: int
    """Seed of the run."""
    descriptors: Mapping[str, Callable[[Sequence[str]], "np.ndarray"]] = attrs.field(factory=dict)
    """Domain field -> function of descriptors `(rows) -> float32 (rows, descriptors)`, for the
    domains that have one."""
    symmetric: tuple[tuple[str, ...], ...] = ()
    """Pairs of fields that change places without changing the answer."""
    shared: dict[str, Any] = attrs.field(factory=dict, repr=False)
    """Empty at first and the same for all baselines of a task: a place for what several of them
    compute, such as features. Use a key that begins with the plugin's name."""


@attrs.frozen
class BaselineResult:
    """What a baseline predicts."""

    predictions: Mapping[str, "np.ndarray"]
    """Split -> float `(rows, targets)`, `(rows, classes)` probabilities, or `(rows, labels)` when
    multi-label. Splits may be left out, such as train for the nearest neighbor."""
    limits: Mapping[str, float] = attrs.field(factory=dict[str, float])
    """What bounded the fit, such as `{"train_rows": 20000}`; written to metrics.json."""
    peak_bytes: int | None = None
    """Largest resident memory of the processes of its own that it ran in; None: it has none, and
    that of this process is noted."""
