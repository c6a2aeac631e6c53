"""The settings of a run: one small frozen class per concern, read from YAML and `--set`."""

from typing import TYPE_CHECKING, Any

import attrs

from taglm_core.errors import ConfigError
from taglm_core.model.cachebudget import cache_setting
from taglm_core.model.checkpointing import switch
from taglm_core.specs import Decoding
from taglm_core.specs.fields import one_of
from taglm_core.specs.target import TARGETS
from taglm_core.store.fingerprint import NO_EFFECT


def _positive(instance: Any, attribute: Any, value: Any) -> None:
    if value is not None and value <= 0:
        raise ConfigError(f"{attribute.name} must be above 0, not {value!r}.")


def _not_negative(instance: Any, attribute: Any, value: Any) -> None:
    if value is not None and value < 0:
        raise ConfigError(f"{attribute.name} must not be below 0, not {value!r}.")


def _target_config() -> type:
    """Return the settings class of a declared target: its kind, and the fields of every kind."""
    fields = {"kind": attrs.field(type=str, validator=one_of(*TARGETS))}
    for target in TARGETS.values():
        for field in attrs.fields(target):
            if field.name != "compute":  # code is given by a plugin
                fields.setdefault(field.name, attrs.field(default=None, type=field.type | None))
    made = attrs.make_class("TargetConfig", fields, frozen=True, kw_only=True)
    made.__doc__ = "The target of a task declared in the run file; None: the target's own default."
    return made


if TYPE_CHECKING:
    TargetConfig = Any
else:
    TargetConfig = _target_config()


@attrs.frozen(kw_only=True)
class TaskConfig:
    """Which task: a registered one by name, or one declared here."""

    name: str
    """Name of the task."""
    function_tag: str | None = None
    """Function tag of a task declared here; None: the name."""
    template: str | None = None
    """Template of a task declared here; None: a registered task of this name."""
    prompt: str | None = None
    """Named prompt of a registered task, such as "paper"; None: its own template."""
    target: TargetConfig | None = None
    """Target of a task declared here."""
    censored_below: float | None = None
    """Regression: a value at or below it says only "no more than this", as a pKd of 5 where no
    binding was seen; None: that of the task's own target."""
    metrics: tuple[str, ...] | None = None
    """Metrics, the first decides early stopping; None: the task's own."""
    split: str | None = None
    """Split of the task; None: that of its domain."""
    tags: tuple[str, ...] = ()
    """Further domain tags that columns may name later, though no row of the run does: they are
    trained in stage 1 and kept in the artefact."""
    symmetric: dict[str, str] | None = None
    """Field -> field with which it changes places, all of them at once, without changing the
    answer, such as {drug1: drug2, name1: name2}; None: the task's own."""


@attrs.frozen(kw_only=True)
class SplitConfig:
    """How rows come into train, valid and test; at most one of method, column and file."""

    method: str | None = None
    """A registered splitter, such as "scaffold" or "random"."""
    column: str | None = None
    """A column with train, valid, test."""
    file: str | None = None
    """A table with the columns row (1-based) and split."""
    valid: tuple[str, ...] | None = None
    """Values of `column` that mean the validation split, such as a fold's number."""
    test: tuple[str, ...] | None = None
    """Values of `column` that mean the test split. With `valid` or `test`, all others train."""

    def __attrs_post_init__(self) -> None:
        rules = {"method": self.method, "column": self.column, "file": self.file}
        given = [f"{k}={v}" for k, v in rules.items() if v is not None]
        if len(given) > 1:
            raise ConfigError(f"data.split: give one of method, column, file, not {given}.")
        if (self.valid or self.test) and self.column is None:
            raise ConfigError("data.split: valid and test are values of a column; name it too.")
        both = sorted(set(self.valid or ()) & set(self.test or ()))
        if both:
            raise ConfigError(f"data.split: the value {both[0]!r} cannot mean valid and test.")


@attrs.frozen(kw_only=True)
class DataConfig:
    """Where the rows come from."""

    file: str | None = None
    """Table of rows; None: the task's dataset."""
    test_file: str | None = None
    """Table whose rows are the test split; the split then divides the other rows into train and
    valid. None: the split decides."""
    dataset: str | None = None
    """A registered dataset instead of the task's own; with `file` the one that reads the file.
    None: the task's own."""
    options: dict[str, Any] = attrs.field(factory=dict)
    """Further arguments of the dataset, such as {directions: [en-fr, fr-en]}."""
    size: int | None = attrs.field(default=None, validator=_positive)
    """Rows that a generated dataset makes; None: its own default."""
    columns: dict[str, str] = attrs.field(factory=dict)
    """Field -> column of the file."""
    labels: str = attrs.field(default="auto", validator=one_of("auto", "computed", "measured"))
    """Target of a task that computes it: computed, or measured, read from a column of its name;
    auto: computed, and an error if the file has such a column."""
    split: SplitConfig = attrs.field(factory=SplitConfig)
    """How rows come into splits."""
    domain: dict[str, str] = attrs.field(factory=dict)
    """Domain tag -> file of unlabelled rows for stage 1."""
    check: bool = True
    """True: plugins look the rows over before training (duplicates, outliers, units), see
    `data_check.json` of the run."""
    on_error: str = attrs.field(default="raise", validator=one_of("raise", "keep"))
    """What a bad row does: raise ends the run, keep leaves it out and reports it."""
    on_doubt: str = attrs.field(default="raise", validator=one_of("raise", "warn"))
    """How to handle a file whose rows look like another kind of data, such as DNA for a protein:
    raise stops where most values do, warn only says so. A few such rows are always a warning."""
    fix: bool = False
    """True: rows with faults that their domain can put right are fixed, and listed in
    fixed.csv; the other bad rows follow `on_error`."""
    on_long: str = attrs.field(default="error", validator=one_of("error", "keep"))
    """What a row too long for the backbone does: error, as any bad row; keep: left out."""


@attrs.frozen(kw_only=True)
class JobConfig:
    """One of several tasks of a run, with its own rows."""

    task: TaskConfig
    """The task."""
    data: DataConfig = attrs.field(factory=DataConfig)
    """Its rows; what is not given here is taken from the run's `data`."""


@attrs.frozen(kw_only=True)
class DomainStageConfig:
    """Stage 1: a domain tag learns to predict the next symbol."""

    epochs: float = attrs.field(default=1.0, validator=_positive)
    """Passes over the corpus."""
    max_steps: int | None = attrs.field(default=None, validator=_positive)
    """Most optimizer steps; None: what the epochs need."""
    rows: int | None = attrs.field(default=None, validator=_positive)
    """Most corpus rows, drawn by the seed; None: all."""
    size: int | None = attrs.field(default=None, validator=_positive)
    """Rows that a generated corpus makes; None: its own default."""
    batch_size: int = attrs.field(default=32, validator=_positive)
    """Rows of an optimizer step."""
    batch_tokens: int = attrs.field(default=8192, validator=_positive)
    """Most tokens of a forward batch, padding included; steps are accumulated over batches."""
    tag_length: int = attrs.field(default=10, validator=_positive)
    """Rows of the tag."""
    tag_init: str = attrs.field(
        default="vocabulary", validator=one_of("vocabulary", "mean", "words")
    )
    """Start of the tag: different vocabulary rows, the mean row (paper), or the words of the
    domain's field and a colon, such as "de:", over and over."""
    tag_lr: float = attrs.field(default=0.05, validator=_positive)
    """Learning rate relative to the root mean square of the embedding rows."""
    lr: float | None = attrs.field(default=None, validator=_positive)
    """Absolute learning rate of the tag (paper: 1e-4); None: from `tag_lr`."""
    train_symbols: bool = False
    """True: the domain's symbol table is trained too."""
    weight_decay: float = attrs.field(default=0.0, validator=_not_negative)
    """AdamW's weight decay."""
    schedule: str = attrs.field(default="cosine", validator=one_of("cosine", "linear", "constant"))
    """Learning rate over the steps, after the warm-up."""
    warmup_ratio: float = attrs.field(default=0.03, validator=_not_negative)
    """Share of the steps in which the rate rises."""
    max_grad_norm: float = attrs.field(default=1.0, validator=_positive)
    """Largest gradient norm."""
    num_evaluations: int = attrs.field(default=5, validator=_positive)
    """Evaluations on held-out rows over the stage."""
    patience: int = attrs.field(default=3, validator=_positive)
    """Evaluations without gain after which the stage stops."""
    fresh: bool = attrs.field(default=False, metadata=NO_EFFECT)
    """True: train again although the store holds the tag."""


@attrs.frozen(kw_only=True)
class TaskStageConfig:
    """Stages 2 and 3: a function tag and a head learn a task."""

    epochs: float = attrs.field(default=3.0, validator=_positive)
    """Passes over the training split."""
    max_steps: int | None = attrs.field(default=None, validator=_positive)
    """Most optimizer steps; None: what the epochs need."""
    rows: int | None = attrs.field(default=20_000, validator=_positive)
    """Most training rows, drawn by the seed; None: all. Baselines always use all."""
    valid_rows: int | None = attrs.field(default=3000, validator=_positive)
    """Most validation rows for early stopping, drawn by the seed; None: all. The results are
    scored on all."""
    enrich: bool = False
    """True: the domain tag is trained along, into `SMILES@QED` (stage 2 only; paper preset)."""
    function_tag_from: str | None = None
    """Run or artefact whose function tag is used, frozen, so that only the head is trained; None:
    the function tag is trained."""
    domain_tags: bool = True
    """False: untrained domain tags are used and stage 1 is left out, for comparisons."""
    batch_size: int = attrs.field(default=64, validator=_positive)
    """Rows of an optimizer step."""
    batch_tokens: int = attrs.field(default=8192, validator=_positive)
    """Most tokens of a forward batch, padding included."""
    tag_length: int = attrs.field(default=10, validator=_not_negative)
    """Rows of the function tag; 0: none, so that a text task trains nothing in this stage, for
    comparisons."""
    tag_init: str = attrs.field(default="vocabulary", validator=one_of("vocabulary", "mean"))
    """Start of the tag."""
    tag_lr: float = attrs.field(default=0.05, validator=_positive)
    """Learning rate relative to the root mean square of the embedding rows."""
    lr: float | None = attrs.field(default=None, validator=_positive)
    """Absolute learning rate of tag and head (paper: 1e-4); None: `tag_lr` and `head_lr`."""
    head: str = "linear"
    """Registered head: linear, as in the paper; mlp, with hidden layers, for what depends on two
    things at once, such as a molecule at a protein."""
    head_options: dict[str, Any] = attrs.field(factory=dict)
    """Further settings of the head; mlp has units, layers and dropout."""
    pooling: str = attrs.field(default="last", validator=one_of("last", "all"))
    """What the head reads: last, the state of the function tag's last row (paper); all, those of
    all its rows one after the other, which says more of a pair and overfits sooner."""
    head_lr: float = attrs.field(default=1e-4, validator=_positive)
    """Learning rate of a head that is not solved at every step; small, since Adam moves every
    weight by it at each step."""
    head_init: str = attrs.field(default="fit", validator=one_of("fit", "mean_embedding"))
    """fit: the head is fitted to what it reads before the first step and at each evaluation. A
    linear one is solved in closed form, for numbers also at every step on the last `fit_rows` rows;
    any other takes `fit_epochs` passes over what it reads, which costs no pass of the backbone.
    mean_embedding: the paper's start of the linear head (another starts as its module does), then
    gradient steps."""
    fit_rows: int = attrs.field(default=8000, validator=_positive)
    """Most training rows that the head is fitted to."""
    fit_epochs: int = attrs.field(default=40, validator=_positive)
    """Passes of such a fit over its rows."""
    huber: float | None = attrs.field(default=None, validator=_positive)
    """Regression: error, in standard deviations of the target, above which a row counts by its
    size and not by its square, for targets with far outliers; None: squares throughout."""
    weight_decay: float = attrs.field(default=0.0, validator=_not_negative)
    """AdamW's weight decay."""
    schedule: str = attrs.field(default="cosine", validator=one_of("cosine", "linear", "constant"))
    """Learning rate over the steps, after the warm-up."""
    warmup_ratio: float = attrs.field(default=0.03, validator=_not_negative)
    """Share of the steps in which the rate rises."""
    max_grad_norm: float = attrs.field(default=1.0, validator=_positive)
    """Largest gradient norm."""
    num_evaluations: int = attrs.field(default=10, validator=_positive)
    """Evaluations on the validation split over the stage."""
    patience: int = attrs.field(default=4, validator=_positive)
    """Evaluations without gain after which the stage stops."""
    augment: int = attrs.field(default=0, validator=_not_negative)
    """Further spellings of each training row by the domains' `augment`."""
    cache: str = attrs.field(default="auto", converter=cache_setting, metadata=NO_EFFECT)
    """Room for what rows share: auto (half of the free memory), off, or a size such as 2GB; +disk
    or +disk:20GB behind it adds a file under TAGLM_HOME, if reading is quicker than computing."""


@attrs.frozen(kw_only=True)
class StagesConfig:
    """Settings of the stages."""

    domain: DomainStageConfig = attrs.field(factory=DomainStageConfig)
    """Stage 1."""
    task: TaskStageConfig = attrs.field(factory=TaskStageConfig)
    """Stages 2 and 3."""


def _split_names(value: "str | tuple[str, ...] | None") -> tuple[str, ...]:
    """Take names, or one text with commas between them; nothing at all means none."""
    given = (value,) if isinstance(value, str) else value or ()
    words = [word for text in given for word in text.split(",")]
    return tuple(word.strip() for word in words if word.strip()) or ("none",)


@attrs.frozen(kw_only=True)
class RunConfig:
    """Everything that decides the result of a run."""

    task: TaskConfig | None = None
    """The task; None: `tasks`."""
    tasks: tuple[JobConfig, ...] = ()
    """Several tasks instead of one; those that name one function tag train it together."""
    data: DataConfig = attrs.field(factory=DataConfig)
    """The rows of the task."""
    backbone: str = "nano"
    """Registered name, folder or Hub id."""
    stages: StagesConfig = attrs.field(factory=StagesConfig)
    """How the stages train."""
    decode: Decoding = attrs.field(factory=Decoding)
    """How a text task writes its output; kept in the artefact, no training depends on it."""
    attention: str = attrs.field(default="auto", validator=one_of("auto", "causal", "isolated"))
    """Mask: auto is isolated for numeric heads and causal for text."""
    precision: str = attrs.field(default="auto", validator=one_of("auto", "fp32", "bf16"))
    """Arithmetic of the backbone's linear layers. auto: TAGLM_PRECISION, else bf16 where it is
    measured to be faster here and close enough to fp32. Everything else is fp32."""
    checkpointing: str = attrs.field(
        default="auto", converter=switch, validator=one_of("auto", "on", "off")
    )
    """Whether layers are run again in the backward pass to save memory; auto: where a batch of
    whole rows would keep more than half of the free memory. Results are the same."""
    compile: str = attrs.field(default="off", converter=switch, validator=one_of("on", "off"))
    """on: torch.compile for steps of whole rows, such as stage 1; needs a C++ compiler and a
    minute, so it pays in long runs at most."""
    device: str = "auto"
    """cpu, cuda, cuda:1; auto takes a GPU when there is one."""
    preset: str = attrs.field(default="default", validator=one_of("default", "paper", "quick"))
    """Values that the other settings start from."""
    seed: int = 0
    """Seed of everything random."""
    baselines: tuple[str, ...] = attrs.field(default=("all",), converter=_split_names)
    """Baselines to fit and score beside the run: all, none, or names such as mean,ridge."""
    checkpoint_seconds: float = attrs.field(default=60.0, validator=_not_negative)
    """Seconds between checkpoints: the most work that a killed run loses."""

    def __attrs_post_init__(self) -> None:
        if self.task is None and not self.tasks:
            raise ConfigError("the key 'task' is missing (or 'tasks', for several).")
        if self.task is not None and self.tasks:
            raise ConfigError("give the key 'task' or the key 'tasks', not both.")
        names = [job.task.name for job in self.tasks]
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise ConfigError(f"tasks: {twice[0]} stands there twice; give each its own name.")

    def jobs(self) -> list["RunConfig"]:
        """Return the settings of each task alone."""
        if self.task is not None:
            return [self]
        return [attrs.evolve(self, task=job.task, data=job.data, tasks=()) for job in self.tasks]

    @property
    def name(self) -> str:
        """Name of the task, or those of the tasks joined by "+"."""
        return "+".join(job.task.name for job in self.jobs() if job.task is not None)


PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # Tag-LLM appendix A; epochs of the tasks differ there (Translate 1, QED 2, Descriptor, DC and
    # BA 4), so they are the run's to set
    "paper": {
        "stages": {
            "domain": {"tag_init": "mean", "lr": 1e-4},
            "task": {
                "enrich": True,
                "tag_length": 10,
                "tag_init": "mean",
                "lr": 1e-4,
                "head": "linear",
                "pooling": "last",
                "head_init": "mean_embedding",
                "max_steps": None,
                "num_evaluations": 10,
                "batch_size": 32,
                "epochs": 2.0,
            },
        }
    },
    "quick": {
        "data": {"size": 3000},
        "stages": {
            "domain": {"size": 3000, "max_steps": 60},
            "task": {"epochs": 4.0, "num_evaluations": 6},
        },
    },
}
