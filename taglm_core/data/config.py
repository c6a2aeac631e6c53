"""The settings of a task's rows: where they come from and how they are split."""

from typing import Any

import attrs

from taglm_core.data.folds import read_shares
from taglm_core.errors import ConfigError
from taglm_core.specs.fields import one_of, positive


@attrs.frozen(kw_only=True)
class SplitConfig:
    """How rows come into train, valid and test; at most one of method, column and file."""

    method: str | None = None
    """Registered splitter, such as scaffold or random; None: the task's own."""
    column: str | None = None
    """Column that holds train, valid or test for each row, such as split."""
    file: str | None = None
    """Table with the columns row (from 1) and split, such as the split.csv of another run."""
    valid: tuple[str, ...] | None = None
    """Values of `column` that mean the validation split, such as [3] for fold 3."""
    test: tuple[str, ...] | None = None
    """Values of `column` that mean the test split, such as [4]. With `valid` or `test`, all
    other values mean train."""
    fractions: tuple[str, ...] | None = None
    """Shares of train, valid and test, such as [0.7, 0.1, 0.2]; None: the splitter's own, mostly
    [0.8, 0.1, 0.1]."""
    folds: int | None = None
    """Number of folds of a cross-validation, such as 5: each is the test split once, and related
    rows stay in one fold; with `column`, its values are the folds. None: one split."""
    repeats: int = 1
    """Number of times that a cross-validation is repeated with other folds."""
    fold: int | None = None
    """Fold that is the test split, from 1, in a run on one fold alone; None: every fold in turn."""
    repeat: int = 1
    """Repetition whose folds are used, from 1, in a run on one fold alone."""

    def __attrs_post_init__(self) -> None:
        rules = {"method": self.method, "column": self.column, "file": self.file}
        chosen = [f"{k}={v}" for k, v in rules.items() if v is not None]
        if len(chosen) > 1:
            raise ConfigError(f"data.split: give one of method, column, file, not {chosen}.")
        if (self.valid or self.test) and self.column is None:
            raise ConfigError("data.split: valid and test are values of a column. Name the column.")
        both = sorted(set(self.valid or ()) & set(self.test or ()))
        if both:
            raise ConfigError(f"data.split: the value {both[0]!r} cannot mean valid and test.")
        if self.fractions is not None:
            read_shares(self.fractions)
            if self.column is not None or self.file is not None:
                raise ConfigError(
                    "data.split: fractions cannot be combined with a column or a file."
                )
        self._check_folds()

    def _check_folds(self) -> None:
        if self.folds is None:
            if self.fold is not None or self.repeats != 1 or self.repeat != 1:
                raise ConfigError("data.split: fold, repeats and repeat need folds=NUMBER.")
            return
        if self.folds < 2:
            raise ConfigError(f"data.split.folds must be 2 or more, not {self.folds}.")
        if self.repeats < 1 or not 1 <= self.repeat <= self.repeats:
            raise ConfigError(
                "data.split: repeats must be 1 or more, and repeat from 1 to repeats."
            )
        if self.fold is not None and not 1 <= self.fold <= self.folds:
            raise ConfigError(f"data.split.fold must be from 1 to {self.folds}, not {self.fold}.")
        others = {"file": self.file, "valid": self.valid, "test": self.test}
        others |= {"fractions": self.fractions}
        chosen = [name for name, value in others.items() if value is not None]
        if chosen:
            raise ConfigError(
                f"data.split: {chosen[0]} cannot be combined with folds. Leave one of them out."
            )
        if self.column is not None and self.repeats > 1:
            raise ConfigError("data.split: folds of a column are fixed; leave repeats out.")


@attrs.frozen(kw_only=True)
class DataConfig:
    """Where the rows come from."""

    file: str | None = None
    """Table of rows, such as molecules.csv; None: the task's dataset."""
    sheet: str | None = attrs.field(default=None, converter=attrs.converters.optional(str))
    """Sheet of `file` if that is a workbook: its name, or its number from 1; None: the first."""
    test_file: str | None = None
    """Table of test rows, such as test.csv; the splitter then divides the other rows into train
    and valid. None: the splitter makes all three splits."""
    dataset: str | None = None
    """Registered dataset, such as dti/binding_affinity; with `file`, the dataset that reads the
    file. None: the task's own."""
    options: dict[str, Any] = attrs.field(factory=dict)
    """Additional arguments of the dataset, such as {directions: [en-fr, fr-en]}."""
    size: int | None = attrs.field(default=None, validator=positive)
    """Number of rows that a generated dataset makes, such as 3000; None: the dataset's default."""
    columns: dict[str, str] = attrs.field(factory=dict)
    """Field -> column of the file, such as {smiles: Drug}; other fields are found by name."""
    labels: str = attrs.field(default="auto", validator=one_of("auto", "computed", "measured"))
    """Target of a task that computes it: computed, or measured (read from the column of its
    name); auto computes and reports a column of that name as an error."""
    weights: str | None = None
    """Column of sample weights, 0 or above, such as weight; they act in training only. None:
    all rows count the same."""
    split: SplitConfig = attrs.field(factory=SplitConfig)
    """How rows are assigned to train, valid and test."""
    domain: dict[str, str] = attrs.field(factory=dict)
    """Domain tag -> file of unlabeled rows for stage 1, such as {SMILES: library.smi}."""
    check: bool = True
    """True: check rows for duplicates, outliers and units before training; `data_check.json` in
    the run folder holds the details."""
    on_error: str = attrs.field(default="raise", validator=one_of("raise", "skip"))
    """How to handle invalid rows: raise stops at the first, skip skips them and lists them in
    rejected.csv."""
    on_doubt: str = attrs.field(default="raise", validator=one_of("raise", "warn"))
    """How to handle a file that looks like another kind of data, such as DNA for a protein:
    raise stops if at least half of the values do, warn continues."""
    fix: bool = False
    """True: fix invalid rows by the rules of their domains and list them in fixed.csv;
    `on_error` decides about the others."""
    on_long: str = attrs.field(default="error", validator=one_of("error", "skip"))
    """How to handle rows too long for the backbone: error treats them as invalid rows, skip
    skips them and lists them in rejected.csv."""
