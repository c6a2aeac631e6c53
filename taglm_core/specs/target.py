"""What a task predicts: numbers, classes or text."""

from typing import ClassVar

import attrs

from taglm_core.errors import ConfigError
from taglm_core.specs.fields import as_names, optional_reference


def _optional_names(value: "str | list[str] | tuple[str, ...] | None") -> "tuple[str, ...] | None":
    return None if value is None else as_names(value)


@attrs.frozen(kw_only=True)
class Regression:
    """One or more real numbers, in the user's units."""

    kind: ClassVar[str] = "regression"
    """Word for this kind of target in settings and metrics."""
    names: tuple[str, ...] = attrs.field(converter=as_names)
    """Names of the targets, in order; also their columns, unless `columns` is given."""
    columns: tuple[str, ...] | None = attrs.field(default=None, converter=_optional_names)
    """Columns that hold the targets, in the order of `names`, such as [Y]; None: the names."""
    unit: str = ""
    """Unit for reports, such as "pKd" or "kcal/mol"; "1" for a pure number."""
    compute: str | None = attrs.field(default=None, validator=optional_reference)
    """`(columns: dict[field, rows]) -> float (rows, targets)`; NaN: cannot be computed."""
    censored_below: float | None = None
    """Left-censoring limit: a smaller or equal value means "at most this", such as 5.0 for pKd;
    predictions stay above it. None: every value is exact."""

    def __attrs_post_init__(self) -> None:
        _check_lengths(self.names, self.columns)
        if self.censored_below is not None and len(self.names) > 1:
            raise ConfigError(
                f"a limit belongs to one target, not to {len(self.names)} "
                f"({', '.join(self.names)}). Make a task of each."
            )


@attrs.frozen(kw_only=True)
class Classification:
    """One class out of several, or several yes-or-no labels."""

    kind: ClassVar[str] = "classification"
    """Word for this kind of target in settings and metrics."""
    names: tuple[str, ...] = attrs.field(converter=as_names)
    """One name, or one for each label with `multi_label`."""
    columns: tuple[str, ...] | None = attrs.field(default=None, converter=_optional_names)
    """Columns that hold the targets, in the order of `names`, such as [Y]; None: the names."""
    classes: tuple[str, ...] | None = attrs.field(default=None, converter=_optional_names)
    """Class names in order, such as [inactive, active]; None: the sorted values of the train
    split."""
    multi_label: bool = False
    """True: every name is a label of its own with the values 0 and 1."""
    threshold: float | None = None
    """Threshold for a measured number: larger values are the second of two classes (default
    below and above), such as -3.0; None: cells name classes."""
    compute: str | None = attrs.field(default=None, validator=optional_reference)
    """`(columns: dict[field, rows]) -> list of class names`; None in it: cannot be computed."""

    def __attrs_post_init__(self) -> None:
        _check_lengths(self.names, self.columns)
        if not self.multi_label and len(self.names) != 1:
            raise ConfigError(
                f"a classification target has one name, not {len(self.names)} "
                f"({', '.join(self.names)}). Set multi_label: true for several labels."
            )
        if self.threshold is None:
            return
        if self.multi_label or self.compute is not None:
            raise ConfigError("a target with a threshold has one measured column.")
        if self.classes is None:
            object.__setattr__(self, "classes", ("below", "above"))
        elif len(self.classes) != 2:
            raise ConfigError(
                f"a threshold makes two classes, not {len(self.classes)} "
                f"({', '.join(self.classes)}): name the lower one, then the upper one."
            )


@attrs.frozen(kw_only=True)
class Text:
    """Text, written after the function tag by the LM's own head."""

    kind: ClassVar[str] = "text"
    """Word for this kind of target in settings and metrics."""
    max_new_tokens: int = 256
    """Maximum length of the output in tokens."""


Target = Regression | Classification | Text

TARGETS: dict[str, type] = {kind.kind: kind for kind in (Regression, Classification, Text)}
"""Kind -> class of the target."""


def _check_lengths(names: tuple[str, ...], columns: tuple[str, ...] | None) -> None:
    if not names:
        raise ConfigError("a target needs at least one name.")
    if columns is not None and len(columns) != len(names):
        raise ConfigError(
            f"target: {len(names)} names ({', '.join(names)}) but {len(columns)} columns "
            f"({', '.join(columns)}); give one column for each name."
        )
