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
    names: tuple[str, ...] = attrs.field(converter=as_names)
    """Names of the targets, in order; also the columns unless `columns` says otherwise."""
    columns: tuple[str, ...] | None = attrs.field(default=None, converter=_optional_names)
    """Columns that hold them, in the order of `names`; None: the names themselves."""
    unit: str = ""
    """Unit for reports, such as "pKd" or "kcal/mol"; "1" for a pure number."""
    compute: str | None = attrs.field(default=None, validator=optional_reference)
    """`(columns: dict[field, rows]) -> float (rows, targets)`; NaN: cannot be computed."""
    censored_below: float | None = None
    """A value at or below it says only "no more than this" (left-censored), such as the pKd of 5
    that stands for no binding seen; predictions stay above it. None: every value is exact."""

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
    names: tuple[str, ...] = attrs.field(converter=as_names)
    """One name, or one for each label when `multi_label`."""
    columns: tuple[str, ...] | None = attrs.field(default=None, converter=_optional_names)
    """Columns that hold them, in the order of `names`; None: the names themselves."""
    classes: tuple[str, ...] | None = attrs.field(default=None, converter=_optional_names)
    """Class names in order; None: the values of the training split, sorted."""
    multi_label: bool = False
    """True: every name is a label of its own with the values 0 and 1."""
    threshold: float | None = None
    """A measured number above it is the second class, others the first ("below" and "above"
    unless `classes` names them); None: cells name classes."""
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
    max_new_tokens: int = 256
    """Longest output in tokens."""


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
