"""Datasets, splits, metrics, heads, backbones and commands that plugins register."""

import attrs

from taglm_core.specs.fields import as_names, identifier, one_of, optional_reference, reference


@attrs.frozen(kw_only=True)
class Dataset:
    """Rows that a plugin makes or fetches."""

    name: str = attrs.field(validator=identifier)
    """Short name; templates and tasks name it `plugin/name`."""
    load: str = attrs.field(validator=reference)
    """`(*, seed: int, size: int | None) -> dict[column, list]` (or a `datasets.Dataset`). Further
    keyword arguments are given in `data.options`, and `file` when the run names a file."""
    columns: tuple[str, ...] = attrs.field(converter=as_names)
    """Columns that `load` gives."""
    description: str = ""
    """What the rows are, and whether they were measured or generated."""
    license: str = ""
    """License of the rows."""
    generated: bool = False
    """True when no measurement stands behind the rows."""
    split_column: str | None = None
    """Column with train, valid or test, when the data bring their own split."""


@attrs.frozen(kw_only=True)
class Splitter:
    """A rule that puts rows into train, valid and test.

    Either `groups` gives a key a row (rows with equal keys stay together; the core puts a fixed
    tenth of all keys into the test split and another into the validation split), or `assign` names
    the part of each row outright. A rule that must see all rows at once gives both: `assign` then
    decides the splits, and `groups` what stage 1 leaves out as the test bucket.
    """

    name: str = attrs.field(validator=identifier)
    """Short name, such as "scaffold"."""
    field: str | None = None
    """Field whose canonical rows are given to `groups`; None: the only domain of the task."""
    groups: str | None = attrs.field(default=None, validator=optional_reference)
    """`(rows: list[str]) -> list[str]`: the key of each row."""
    fold_groups: str | None = attrs.field(default=None, validator=optional_reference)
    """As `groups`, but for the folds of a cross-validation and other shares, where related rows are
    found by looking at all of them; None: `groups`."""
    assign: str | None = attrs.field(default=None, validator=optional_reference)
    """`(columns: dict[field, list], seed: int) -> list of "train" | "valid" | "test"`; "" leaves
    a row out of every split, which is reported. The columns are the fields of the task's domain
    spans; where the task is symmetric, the smaller of two fields that change places comes first."""
    tags: tuple[str, ...] = attrs.field(default=(), converter=as_names)
    """Short domain tags: `groups` gets the field that the first one announces, `assign` these
    fields only, under the tags as names. Empty: no matter which domains the task has."""
    columns: tuple[str, ...] = attrs.field(default=(), converter=as_names)
    """Further columns of the file, any case, that `assign` gets beside the fields."""
    whole_rows: bool = False
    """True: `assign` gets every field of the template, words included."""
    keys: tuple[str, ...] = attrs.field(default=(), converter=as_names)
    """Columns of a stage-1 corpus that `groups` is given instead of the domain's own rows, the
    first that the file has: where one column decides for records in several domains."""
    description: str = ""
    """One sentence: what is kept apart."""


@attrs.frozen(kw_only=True)
class Metric:
    """A number that says how good predictions are."""

    name: str = attrs.field(validator=identifier)
    """Key in metrics.json, such as "rmse"."""
    function: str = attrs.field(validator=reference)
    """`(truth, prediction) -> float`. Regression: float `(rows,)` twice. Classification: int
    `(rows,)` class indices and float `(rows, classes)` probabilities. Text: two lists of str.
    NaN when the metric is undefined for these rows."""
    kind: str = attrs.field(validator=one_of("regression", "classification", "text"))
    """The kind of target that it judges."""
    greater_is_better: bool = True
    """Direction, for early stopping and tables."""
    description: str = ""
    """One sentence with the formula or its source."""
    doubt: str | None = attrs.field(default=None, validator=optional_reference)
    """`(truth) -> str | None`: why the metric would mislead on these rows (a sentence), such as
    words counted in a language without blanks; None: it says what it is meant to say. Asked before
    training, and when a file is scored."""
    signature: str | None = attrs.field(default=None, validator=optional_reference)
    """`() -> str`: everything that makes two values comparable (versions, tokenization), written
    beside the results; None: the name says it all."""


@attrs.frozen(kw_only=True)
class Head:
    """A map from the hidden state of the function tag's last row to outputs."""

    name: str = attrs.field(validator=identifier)
    """Short name, such as "linear"."""
    module: str = attrs.field(validator=reference)
    """`(hidden_size: int, num_outputs: int) -> torch.nn.Module`: `(batch, hidden)` to
    `(batch, num_outputs)`. Further arguments are given in `stages.task.head_options`."""
    description: str = ""
    """One sentence for listings."""


@attrs.frozen(kw_only=True)
class Backbone:
    """A causal LM under a short name."""

    name: str = attrs.field(validator=identifier)
    """Short name, given as `--backbone NAME`."""
    path: str
    """A Hub id, or a reference `package.module:function` to a function that gives a folder."""
    revision: str | None = None
    """Revision on the Hub; None: the newest."""
    description: str = ""
    """Size and what it was trained on."""
    license: str = ""
    """License of the weights."""


@attrs.frozen(kw_only=True)
class TagFolder:
    """Trained domain tags inside a plugin's package, laid out as the tag store."""

    name: str = attrs.field(validator=identifier)
    """Name in listings and messages, such as "trained"."""
    path: str = attrs.field(validator=reference)
    """A reference `package.module:function` to a function that gives the folder, which holds
    `BACKBONE_KEY/PLUGIN/TAG/FINGERPRINT/` with `config.json`, `tags.safetensors` and `README.md`.
    It is only read."""
    description: str = ""
    """Tags and backbone."""


@attrs.frozen(kw_only=True)
class Command:
    """A further command of the `taglm` program."""

    name: str = attrs.field(validator=identifier)
    """Word after `taglm`."""
    help: str
    """One line for `taglm --help`."""
    app: str = attrs.field(validator=reference)
    """Reference to a `typer.Typer` or to a function that becomes one; imported on use."""
