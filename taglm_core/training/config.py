"""The settings of a run: one small frozen class per concern, read from YAML and `--set`."""

from typing import TYPE_CHECKING, Any

import attrs

from taglm_core.data.config import DataConfig
from taglm_core.errors import ConfigError
from taglm_core.model.checkpointing import switch
from taglm_core.model.precision import PRECISIONS
from taglm_core.model.prefix_cache import cache_setting
from taglm_core.model.symbols import BARE, STARTS
from taglm_core.model.tag_forms import AUTO as AUTO_FORM
from taglm_core.model.tag_forms import FORMS, INPUT
from taglm_core.specs import Decoding
from taglm_core.specs.fields import (
    check_seed,
    duration,
    not_negative,
    one_of,
    positive,
    positive_finite,
    seed_number,
    share,
)
from taglm_core.specs.target import TARGETS
from taglm_core.store.fingerprint import AS_BEFORE, NO_EFFECT


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


_MOST_DEMONSTRATIONS = 16


def _few(instance: Any, attribute: Any, value: Any) -> None:
    """Demand a number of demonstrations that prompts hold."""
    if value > _MOST_DEMONSTRATIONS:
        raise ConfigError(
            f"stages.task.few_shot must be at most {_MOST_DEMONSTRATIONS}, not {value!r}."
        )


@attrs.frozen(kw_only=True)
class TaskConfig:
    """Which task: a registered one by name, or one declared here."""

    name: str
    """Name of a registered task, or of the task declared here, such as QED."""
    function_tag: str | None = None
    """Function tag of a task declared here, such as CLS; None: the task's name."""
    template: str | None = None
    """Prompt of a task declared here, such as "{text} <Length>"; None: look up a registered
    task."""
    prompt: str | None = None
    """Prompt variant of a registered task, such as "paper"; None: the task's own template."""
    target: TargetConfig | None = None
    """Target of a task declared here."""
    censored_below: float | None = None
    """Left-censoring limit of a regression target: a smaller or equal value means "at most
    this", such as 5.0 for pKd; None: the task's own."""
    metrics: tuple[str, ...] | None = None
    """Metrics to report, such as [rmse, r2]; the first decides early stopping. None: the task's
    own."""
    split: str | None = None
    """Registered splitter of the task, such as scaffold; None: that of its domain."""
    tags: tuple[str, ...] = ()
    """Additional domain tags to train in stage 1 and keep in the predictor, such as [PT], for
    columns that name tags in later predictions."""
    symmetric: dict[str, str] | None = None
    """Fields that may be swapped, all at once, without changing the answer, such as {drug1:
    drug2, name1: name2}; None: the task's own."""


@attrs.frozen(kw_only=True)
class JobConfig:
    """One of several tasks of a run, with its own rows."""

    task: TaskConfig
    """The task."""
    data: DataConfig = attrs.field(factory=DataConfig)
    """Its rows; keys that are missing here come from the run's `data`."""


@attrs.frozen(kw_only=True)
class DomainStageConfig:
    """Stage 1: a domain tag learns to predict the next symbol."""

    epochs: float = attrs.field(default=1.0, validator=positive_finite)
    """Passes over the corpus."""
    max_steps: int | None = attrs.field(default=None, validator=positive)
    """Maximum number of optimizer steps, such as 500; None: as many as the epochs need."""
    rows: int | None = attrs.field(default=None, validator=positive)
    """Maximum number of corpus rows, drawn by the seed, such as 4000; None: all."""
    size: int | None = attrs.field(default=None, validator=positive)
    """Number of rows that a generated corpus makes, such as 3000; None: the corpus's default."""
    batch_size: int = attrs.field(default=32, validator=positive)
    """Rows per optimizer step."""
    batch_tokens: int = attrs.field(default=8192, validator=positive)
    """Maximum number of tokens in a forward batch, padding included; a step accumulates
    gradients over its batches."""
    tag_length: int = attrs.field(default=10, validator=positive)
    """Number of tag tokens of the domain tag."""
    tag_init: str = attrs.field(
        default="vocabulary", validator=one_of("vocabulary", "mean", "words")
    )
    """Initial tag tokens: vocabulary (different embeddings, drawn at random), mean (their mean,
    as in the paper) or words (the field's name, such as "de:", repeated)."""
    tag_lr: float = attrs.field(default=0.05, validator=positive_finite)
    """Learning rate of the tag, relative to the root mean square of the backbone's embeddings."""
    lr: float | None = attrs.field(default=None, validator=positive_finite)
    """Absolute learning rate of the tag, such as 1e-4 (paper); None: from `tag_lr`."""
    symbol_init: str = attrs.field(default=BARE, validator=one_of(*STARTS))
    """Initial embeddings of the domain's symbols: bare (of their spelling, such as "C"), spaced
    (of the spelling after a space) or mean (of both)."""
    train_symbols: bool = False
    """True: also train the embeddings of the domain's symbols."""
    encoder: str = attrs.field(default="own", validator=one_of("own", "text"))
    """Encoder of the domains: own (symbols, where the domain has them) or text (the backbone's
    tokenizer), for comparison."""
    weight_decay: float = attrs.field(default=0.0, validator=not_negative)
    """Weight decay of AdamW, such as 0.01."""
    schedule: str = attrs.field(default="cosine", validator=one_of("cosine", "linear", "constant"))
    """Learning-rate schedule after the warm-up: cosine, linear or constant."""
    warmup_ratio: float = attrs.field(default=0.03, validator=share)
    """Share of the steps in which the learning rate rises to its maximum."""
    max_grad_norm: float = attrs.field(default=1.0, validator=positive)
    """Maximum norm of the gradient; larger gradients are scaled down."""
    num_evaluations: int = attrs.field(default=5, validator=positive)
    """Number of evaluations on held-out rows during the stage."""
    patience: int = attrs.field(default=3, validator=positive)
    """Number of evaluations without improvement after which the stage stops."""
    seed: int | None = attrs.field(default=None, validator=seed_number, metadata=NO_EFFECT)
    """Random seed of this stage, such as 0, so that runs with other seeds share its tags; None:
    the run's."""
    fresh: bool = attrs.field(default=False, metadata=NO_EFFECT)
    """True: train the tag again even if the tag store holds it."""

    @property
    def changes_symbols(self) -> bool:
        """Whether the symbols' embeddings are others than those that the backbone gives."""
        return self.train_symbols or self.symbol_init != BARE


@attrs.frozen(kw_only=True)
class TaskStageConfig:
    """Stages 2 and 3: a function tag and a head learn a task."""

    epochs: float = attrs.field(default=3.0, validator=positive_finite)
    """Passes over the train split."""
    max_steps: int | None = attrs.field(default=None, validator=positive)
    """Maximum number of optimizer steps, such as 300; None: as many as the epochs need."""
    rows: int | None = attrs.field(default=20_000, validator=positive)
    """Maximum number of training rows, drawn by the seed; None: all. Baselines always use all
    rows."""
    valid_rows: int | None = attrs.field(default=3000, validator=positive)
    """Maximum number of validation rows for early stopping, drawn by the seed; None: all.
    Results are scored on all rows."""
    enrich: bool = False
    """True: also train a copy of the domain tag for this task, such as `SMILES@QED` (stage 2
    only; part of the paper preset)."""
    function_tag_from: str | None = None
    """Run or predictor whose function tag is reused and stays frozen, such as runs/QED, so that
    only the head is trained; None: train the tag."""
    domain_tags: bool = True
    """False: skip stage 1 and use untrained domain tags, for comparison."""
    batch_size: int = attrs.field(default=64, validator=positive)
    """Rows per optimizer step."""
    batch_tokens: int = attrs.field(default=8192, validator=positive)
    """Maximum number of tokens in a forward batch, padding included."""
    tag_length: int = attrs.field(default=10, validator=not_negative)
    """Number of tag tokens of the function tag; 0: no function tag, so that a text task trains
    nothing in this stage, for comparison."""
    tag: str = attrs.field(
        default=AUTO_FORM, validator=one_of(AUTO_FORM, *FORMS), metadata={AS_BEFORE: INPUT}
    )
    """Where the function tag acts: input (as in the paper), adapter (also low-rank updates in the
    layers, at its own tokens) or auto (adapter under a linear or kernel head, else input)."""
    adapter_rank: int = attrs.field(default=4, validator=positive)
    """Rank of the low-rank updates of `tag: adapter`."""
    tag_init: str = attrs.field(default="vocabulary", validator=one_of("vocabulary", "mean"))
    """Initial tag tokens: vocabulary (different embeddings, drawn at random) or mean (their
    mean, as in the paper)."""
    tag_lr: float = attrs.field(default=0.05, validator=positive_finite)
    """Learning rate of the tag, relative to the root mean square of the backbone's embeddings."""
    lr: float | None = attrs.field(default=None, validator=positive_finite)
    """Absolute learning rate of tag and head, such as 1e-4 (paper); None: from `tag_lr` and
    `head_lr`."""
    head: str = attrs.field(default="auto", metadata={AS_BEFORE: "linear"})
    """Registered head: linear (as in the paper), mlp (hidden layers) or kernel (compares a row
    with training rows); auto: trains with linear, keeps linear or kernel by validation."""
    features: str = attrs.field(
        default="auto", converter=switch, validator=one_of("auto", "on", "off")
    )
    """Descriptors of the domains, numbers and categories in text fields beside the states: on, off,
    or auto (if a kernel or mlp head validates 2 % better with them; not for a computed target)."""
    head_options: dict[str, Any] = attrs.field(factory=dict)
    """Additional arguments of the head; mlp takes {units: 64, layers: 2, dropout: 0.1}."""
    ensemble: int = attrs.field(default=1, validator=positive)
    """Number of function tags and heads, each with its own seed, whose predictions are averaged,
    such as 5; they share backbone, domain tags and cache. Training and prediction take longer."""
    pooling: str = attrs.field(default="last", validator=one_of("last", "mean", "all"))
    """Hidden states that the head reads: last (the last tag token, as in the paper), mean (of all
    tag tokens) or all (all of them, concatenated; more detail, more overfitting)."""
    head_lr: float = attrs.field(default=1e-4, validator=positive_finite)
    """Learning rate of a head that is trained by gradient steps."""
    head_init: str = attrs.field(default="fit", validator=one_of("fit", "mean_embedding"))
    """fit: fit the head to hidden states before the first step and at each evaluation.
    mean_embedding: start as in the paper, then take gradient steps."""
    fit_rows: int = attrs.field(default=8000, validator=positive)
    """Maximum number of training rows that the head is fitted to."""
    fit_epochs: int = attrs.field(default=40, validator=positive)
    """Passes over the rows of `fit_rows` when a head without closed form is fitted, such as mlp."""
    huber: float | None = attrs.field(default=None, validator=positive)
    """Huber loss for regression: error above which it grows linearly, in standard deviations of
    the target, such as 0.3; None: squared error."""
    weight_decay: float = attrs.field(default=0.0, validator=not_negative)
    """Weight decay of AdamW, such as 0.01."""
    schedule: str = attrs.field(default="cosine", validator=one_of("cosine", "linear", "constant"))
    """Learning-rate schedule after the warm-up: cosine, linear or constant."""
    warmup_ratio: float = attrs.field(default=0.03, validator=share)
    """Share of the steps in which the learning rate rises to its maximum."""
    max_grad_norm: float = attrs.field(default=1.0, validator=positive)
    """Maximum norm of the gradient; larger gradients are scaled down."""
    num_evaluations: int = attrs.field(default=10, validator=positive)
    """Number of evaluations on the valid split during the stage."""
    patience: int = attrs.field(default=4, validator=positive)
    """Number of evaluations without improvement after which the stage stops."""
    few_shot: int = attrs.field(default=0, validator=[not_negative, _few])
    """Number of demonstrations in the prompt before each row, such as 4: training rows with their
    answer as text, never one with the input of the row itself; 0: none."""
    few_shot_by: str = attrs.field(default="similar", validator=one_of("similar", "random"))
    """Choice of demonstrations: similar (by the features of the domains, such as Tanimoto, or by
    states of the backbone) or random (by the seed)."""
    augment: int = attrs.field(default=0, validator=not_negative)
    """Number of additional spellings of each training row, such as 1, made by the domains'
    `augment`."""
    cache: str = attrs.field(default="auto", converter=cache_setting, metadata=NO_EFFECT)
    """Memory limit for cached prompt segments: auto (half of the free memory), off or a size
    such as 2GB. Append +disk or +disk:20GB to spill to disk."""


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


def _as_seeds(value: "str | tuple[str, ...] | None") -> tuple[str, ...]:
    """Take different whole numbers, or one text with commas between them."""
    given = (value,) if isinstance(value, str) else value or ()
    words = [word.strip() for text in given for word in str(text).split(",") if word.strip()]
    wrong = next((word for word in words if not word.isdecimal()), None)
    is_blank = bool(given) and not words
    if wrong is not None or is_blank or len(set(map(int, words))) < len(words):
        shown = ",".join(map(str, given))
        raise ConfigError(f"seeds: write different whole numbers, such as 0,1,2, not '{shown}'.")
    for word in words:
        check_seed(int(word), "seeds: each")
    return tuple(str(int(word)) for word in words)


@attrs.frozen(kw_only=True)
class RunConfig:
    """Everything that decides the result of a run."""

    task: TaskConfig | None = None
    """The task; None: `tasks`."""
    tasks: tuple[JobConfig, ...] = ()
    """Several tasks instead of one; tasks that name the same function tag train it together."""
    data: DataConfig = attrs.field(factory=DataConfig)
    """The rows of the task."""
    backbone: str = "nano"
    """Registered name, folder, GGUF file or Hub id of the causal language model, such as
    Qwen/Qwen3-0.6B or models/SmolLM2-135M-Instruct.Q4_1.gguf."""
    stages: StagesConfig = attrs.field(factory=StagesConfig)
    """How the stages train."""
    decode: Decoding = attrs.field(factory=Decoding)
    """How a text task writes its output; kept in the predictor, without effect on training."""
    attention: str = attrs.field(default="auto", validator=one_of("auto", "causal", "isolated"))
    """Attention mask: isolated (a domain span attends only to itself) or causal; auto: isolated
    for numbers and classes, causal for text."""
    precision: str = attrs.field(default="auto", validator=one_of("auto", *PRECISIONS))
    """Linear layers of the backbone: fp32, bf16, or weights packed in 8 (int8) or 4 bits (nf4);
    auto: TAGLM_PRECISION, else bf16 if it measures faster and close to fp32."""
    checkpointing: str = attrs.field(
        default="auto", converter=switch, validator=one_of("auto", "on", "off")
    )
    """Gradient checkpointing: on, off, or auto (if a batch of whole rows needs more than half of
    the free memory). Results stay the same."""
    compile: str = attrs.field(default="off", converter=switch, validator=one_of("on", "off"))
    """on: use torch.compile for steps on whole rows, such as stage 1; needs a C++ compiler and
    about a minute, so it is worthwhile in long runs only."""
    device: str = "auto"
    """Device: cpu, cuda or cuda:1; auto: a GPU if there is one; cuda=20GB+cpu, cpu=8GB+disk and
    the like: layers beyond the limit are in host memory or on disk."""
    preset: str = attrs.field(
        default="default", validator=one_of("default", "paper", "accurate", "quick")
    )
    """Set of defaults: default, quick (small and fast), accurate (three adapters, all training
    rows; three times as long and more) or paper (as in Tag-LLM); see Presets below."""
    seed: int = attrs.field(default=0, validator=seed_number)
    """Random seed of data, splits, tags and training."""
    seeds: tuple[str, ...] = attrs.field(default=(), converter=_as_seeds)
    """Random seeds of several runs with one summary, such as [0, 1, 2]; they share the domain tags
    of the first. Empty: `seed` alone."""
    refit: bool = False
    """True: after the evaluation, train the final predictor on all rows; its model card
    says which rows each number is from."""
    time: str | None = attrs.field(default=None, validator=duration)
    """Time limit by which the run plans its steps, such as 10m, 90s or 1.5h, the evaluation
    included. Default baselines start in its first 30 %. None: as many steps as the stages set."""
    baselines: tuple[str, ...] = attrs.field(default=("default",), converter=_split_names)
    """Baselines to fit and score beside the run: default, all (also those that take long), none,
    or names such as mean,ridge."""
    checkpoint_seconds: float = attrs.field(default=60.0, validator=not_negative)
    """Seconds between checkpoints; an interrupted run loses at most this much work."""

    def __attrs_post_init__(self) -> None:
        if self.task is None and not self.tasks:
            raise ConfigError("the key 'task' is missing (or 'tasks', for several).")
        if self.task is not None and self.tasks:
            raise ConfigError("give the key 'task' or the key 'tasks', not both.")
        names = [job.task.name for job in self.tasks]
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise ConfigError(f"Duplicate task name '{twice[0]}'. Task names must be unique.")

    def jobs(self) -> list["RunConfig"]:
        """Return the settings of each task alone."""
        if self.task is not None:
            return [self]
        return [attrs.evolve(self, task=job.task, data=job.data, tasks=()) for job in self.tasks]

    @property
    def domain_seed(self) -> int:
        """Random seed of stage 1."""
        own = self.stages.domain.seed
        return self.seed if own is None else own

    @property
    def name(self) -> str:
        """Name of the task, or those of the tasks joined by "+"."""
        return "+".join(job.task.name for job in self.jobs() if job.task is not None)
