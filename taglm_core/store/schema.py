"""What an artifact's config.json holds, as typed classes; one way in, one way out.

A field that is added to a class here, to a target, to a task or to the decoding settings is written
and read without another line. Its default must mean what artifacts without it did. A field that is
renamed or moved needs a new format version (`migrations`).
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs
import cattrs
import torch
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.v import format_exception
from torch import Tensor

from taglm_core.encoders import Alphabet
from taglm_core.errors import CheckpointError, ConfigError, nearest
from taglm_core.model.demonstrations import DemonstrationRecord
from taglm_core.model.features import FeatureRecord
from taglm_core.model.fingerprint import Fingerprint
from taglm_core.model.intervals import IntervalRecord
from taglm_core.model.similarity import SimilarityRecord
from taglm_core.model.targets import Scaling
from taglm_core.specs import Decoding, Target, Task
from taglm_core.specs.target import TARGETS
from taglm_core.store.migrations import migrate

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class BackboneRecord:
    """The backbone that an artifact belongs to."""

    name: str
    """Name, folder or Hub id under which it was loaded."""
    fingerprint: Fingerprint
    """What tells it from other backbones."""
    precision: str = "fp32"
    """Arithmetic in which it was trained, and in which predictions are computed: fp32 or bf16."""


@attrs.frozen(kw_only=True)
class DomainRecord:
    """A domain whose data the artifact reads."""

    field: str
    """Field, or column of a corpus, that holds its rows."""
    encoder: str
    """Reference to its symbol encoder; "text": the LM's tokenizer."""
    alphabet: Alphabet | None = None
    """None for text."""


@attrs.frozen(kw_only=True)
class DomainLineage:
    """How stage 1 trained a domain tag."""

    stage: int = 1
    tag: str
    corpus: str
    """Dataset or file."""
    corpus_rows: int = 0
    """Rows that it was trained on."""
    held_out_rows: int = 0
    """Rows by which early stopping judged."""
    test_bucket_rows_left_out: int = 0
    """Rows that no stage 1 is trained on, so that splits of tasks can test on them."""
    rows_cut_to_backbone_length: int = 0
    """Rows longer than the backbone reads, of which the beginning was used."""
    trained: dict[str, int] = attrs.field(factory=dict)
    """Trained tag or table -> number of parameters."""
    steps: int = 0
    """Optimizer steps."""
    seconds: float = 0.0
    """Wall time of the training."""
    held_out_nats_per_symbol: dict[str, float] = attrs.field(factory=dict)
    """With the tag, without it, and with the domain's name in words."""
    history: list[dict[str, Any]] = attrs.field(factory=list)
    """One record for each evaluation."""


@attrs.frozen(kw_only=True)
class TaskLineage:
    """How stage 2 or 3 trained a function tag, and a domain tag that was enriched along."""

    stage: int
    tag: str
    tasks: tuple[str, ...]
    """Tasks that trained it together."""
    rows: int = 0
    """Training rows of all its tasks."""
    trained: dict[str, int] = attrs.field(factory=dict)
    """Trained tag or head -> number of parameters."""
    lora_rank_8_q_v_parameters: int | None = None
    """What LoRA of rank 8 on the query and value projections would train."""
    steps: int = 0
    """Optimizer steps."""
    planned_steps: int = 0
    """Steps of the schedule, of which early stopping may leave some out."""
    best_step: int = 0
    """Step whose tag and head were kept."""
    seconds: float = 0.0
    """Wall time of the training."""
    step_seconds: float | None = None
    """Median time of an optimizer step; None: none was taken by the process that ended it."""
    peak_bytes: int | None = None
    """Largest resident memory of the process meanwhile; None: not noted."""
    prefix_seconds: float = 0.0
    """Wall time in which prompt segments were cached."""
    prefix_rows_kept: int = 0
    """Training rows whose segments were all cached."""
    prefix_bytes: int = 0
    """Bytes of the cached segments."""
    head_start: dict[str, dict[str, float]] = attrs.field(factory=dict)
    """Task -> what the fit of its head before the first step found."""
    head_choice: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    """Task -> which head was chosen after training, and the errors of those compared."""
    selected_by: str = ""
    """What early stopping judged by."""
    history: list[dict[str, Any]] = attrs.field(factory=list)
    """One record for each evaluation."""


Lineage = DomainLineage | TaskLineage


@attrs.frozen(kw_only=True)
class Origin:
    """The tag from which an enriched one started."""

    tag: str
    """Full name of the tag."""
    fingerprint: str
    """Its fingerprint in the tag store."""


@attrs.frozen(kw_only=True)
class TagRecord:
    """One tag of an artifact."""

    kind: str
    """domain or function."""
    fingerprint: str
    """Hash of all that decided its training; tags of equal fingerprints are the same."""
    form: str = "input"
    """input or adapter: whether it acts in the layers too, at its own tokens."""
    lineage: Lineage | None = None
    """None for the copy of a domain tag in a task's artifact."""
    settings: dict[str, Any] = attrs.field(factory=dict)
    """Settings of the stage that trained it."""
    seed: int | None = None
    """Random seed of the stage; None: not noted."""
    enriched_from: Origin | None = None
    """None: not enriched."""

    @property
    def corpus(self) -> str:
        """Dataset or file of stage 1, "" when that did not train it."""
        return self.lineage.corpus if isinstance(self.lineage, DomainLineage) else ""


@attrs.frozen(kw_only=True)
class HeadRecord:
    """The head of a task that predicts numbers or classes."""

    name: str
    """A registered head."""
    options: dict[str, Any] = attrs.field(factory=dict)
    """Further arguments of its module."""
    pooling: str = "last"
    """last, mean or all: the states of the function tag that it reads."""
    features: tuple[FeatureRecord, ...] = ()
    """What it reads beside the states."""

    @property
    def num_features(self) -> int:
        """Return how many columns it reads beside the states."""
        return sum(record.width for record in self.features)


@attrs.frozen(kw_only=True)
class MemberRecord:
    """A further member of an ensemble."""

    head: HeadRecord
    """Its head."""
    scaling: Scaling
    """From the head's outputs to the user's units."""


@attrs.frozen(kw_only=True)
class TaskRecord:
    """A trained task."""

    spec: Task
    """The task with the prompt, the metrics and the class names that were used."""
    plugin: str
    """Plugin in which its short names are looked up first."""
    attention: str
    """isolated or causal."""
    head: HeadRecord | None = None
    """None for text."""
    scaling: Scaling | None = None
    """None for text."""
    domain_of: dict[str, str] = attrs.field(factory=dict)
    """Domain tag as written -> domain."""
    tag_of: dict[str, str] = attrs.field(factory=dict)
    """Domain tag as written -> tag of the artifact."""
    columns: dict[str, str] = attrs.field(factory=dict)
    """Field or target -> column that the run read."""
    decoding: Decoding = attrs.field(factory=Decoding)
    """How a text task writes."""
    trained_combinations: tuple[tuple[str, ...], ...] = ()
    """Tags that columns named together in training rows."""
    demonstrations: DemonstrationRecord | None = None
    """Training rows that stand in prompts; None: none do."""
    ensemble: tuple[MemberRecord, ...] = ()
    """Members beside the first, whose function tag and head stand in their own places."""
    similarity: tuple[SimilarityRecord, ...] = ()
    """How rows are compared with training rows; empty: they are not."""
    intervals: tuple[IntervalRecord, ...] = ()
    """What the prediction intervals of each target rest on; empty: there are none."""


@attrs.frozen(kw_only=True)
class ArtifactRecord:
    """Everything of an artifact but its numbers."""

    kind: str
    """tag or task."""
    backbone: BackboneRecord
    """The backbone that its tags belong to."""
    taglm_version: str = "unknown"
    """Version that wrote it."""
    plugins: dict[str, str] = attrs.field(factory=dict)
    """Plugin -> distribution and version."""
    tags: dict[str, TagRecord] = attrs.field(factory=dict)
    """Full name -> tag."""
    domains: dict[str, DomainRecord] = attrs.field(factory=dict)
    """Full name -> domain."""
    task: TaskRecord | None = None
    """The task; None: the artifact holds tags alone."""


_RENAMED: dict[type, dict[str, str]] = {
    Task: {"template": "prompt"},
}
"""Class -> its attributes that have another name in config.json."""


def to_plain(value: Any) -> Any:
    """Return an object of the schema as plain data."""
    return _CONVERTER.unstructure(value)


def read_plain(value: Any, cls: type[T]) -> T:
    """Return an object of a class of the schema from plain data in the present format.

    Raises:
        ExceptionGroup: of what is wrong with each key.
    """
    return _CONVERTER.structure(value, cls)


def from_plain(config: Mapping[str, Any], where: str) -> ArtifactRecord:
    """Read the contents of a config.json of any format version.

    Args:
        config: As loaded from JSON.
        where: Folder, for messages.

    Raises:
        CheckpointError: when the format is newer, or a key is unknown, missing or malformed.
    """
    plain = migrate(config, where)
    plain.pop("format_version")
    try:
        return read_plain(plain, ArtifactRecord)
    except Exception as error:  # cattrs nests what went wrong
        version = plain.get("taglm_version", "unknown")
        raise CheckpointError(
            f"{where}: config.json, written by taglm {version}: {_said(error)}"
        ) from error


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(Tensor, lambda value: value.tolist())
    # doubles, as JSON has them; what is kept in single precision says so itself
    converter.register_structure_hook(
        Tensor, lambda value, _: torch.tensor(value, dtype=torch.float64)
    )

    def reader(cls: type) -> Any:
        own = attrs.resolve_types(cls)
        return make_dict_structure_fn(
            own, converter, _cattrs_forbid_extra_keys=True, **_overrides(own)
        )

    def writer(cls: type) -> Any:
        write: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(
            cls, converter, **_overrides(cls)
        )
        kind = getattr(cls, "kind", None)
        if cls not in TARGETS.values():
            return write
        return lambda value: {"kind": kind, **write(value)}

    def read_target(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping) or value.get("kind") not in TARGETS:
            raise ConfigError(f"a target's kind is one of {', '.join(TARGETS)}, not {value!r}")
        fields = {key: item for key, item in value.items() if key != "kind"}
        return converter.structure(fields, TARGETS[value["kind"]])

    def read_lineage(value: Any, _: Any) -> Any:
        is_domain = isinstance(value, Mapping) and "corpus" in value
        return converter.structure(value, DomainLineage if is_domain else TaskLineage)

    converter.register_structure_hook_factory(attrs.has, reader)
    converter.register_unstructure_hook_factory(attrs.has, writer)
    converter.register_structure_hook_func(lambda kind: kind == Target, read_target)
    converter.register_structure_hook_func(lambda kind: kind == Lineage, read_lineage)
    converter.register_structure_hook_func(
        lambda kind: kind == Lineage | None,
        lambda value, _: None if value is None else read_lineage(value, _),
    )
    return converter


def _keys_of(cls: type) -> dict[str, str]:
    """Return attribute -> key in config.json, for those of a class that differ."""
    return next((_RENAMED[base] for base in cls.__mro__ if base in _RENAMED), {})


def _overrides(cls: type) -> dict[str, Any]:
    return {attribute: override(rename=key) for attribute, key in _keys_of(cls).items()}


def _said(error: BaseException) -> str:
    """Return what is wrong with a config.json, in one line."""
    extra = next(_extra_fields(error), None)
    if extra is not None:
        key, known = extra
        return f"unknown key '{key}'.{nearest(key, known)}"
    return "; ".join(cattrs.transform_error(error, format_exception=_formatted)) + "."


def _formatted(error: BaseException, kind: type | None) -> str:
    return str(error) if isinstance(error, ConfigError) else format_exception(error, kind)


def _extra_fields(error: BaseException) -> Any:
    """Yield each unknown key with those that are known beside it."""
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        for key in sorted(error.extra_fields):
            names = _keys_of(error.cl)
            yield key, {names.get(f.name, f.name) for f in attrs.fields(error.cl)}
    for inner in getattr(error, "exceptions", ()):
        yield from _extra_fields(inner)


_CONVERTER = _converter()
