"""What a plan needs to know of a backbone, kept by its content: it is opened only where it runs.

Opening imports transformers and reads the weights, which takes most of the time of a dry run.
"""

import functools
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import attrs
import torch

from taglm_core import __version__
from taglm_core.data.atomic import keep_json, kept_json
from taglm_core.data.home import home
from taglm_core.errors import BackboneError
from taglm_core.inference.precision import AUTO, kept_measure, open_backbone, wanted_precision
from taglm_core.model.backbone import Backbone
from taglm_core.model.backbone_folder import content_of
from taglm_core.model.backbone_loading import locate, pick_device
from taglm_core.model.divided import parse_division
from taglm_core.model.fingerprint import Fingerprint
from taglm_core.model.precision import BF16, FP32
from taglm_core.model.precisionprobe import Measured
from taglm_core.model.quantized import QuantizedLinear
from taglm_core.model.tag_forms import adapted_maps
from taglm_core.plugins import Registry


@attrs.frozen(kw_only=True)
class Outline:
    """Facts of a backbone that do not change while its files stay as they are."""

    hidden_size: int
    num_parameters: int
    maps: dict[str, tuple[int, int]]
    """Linear maps in which tags can act: path -> `(in_features, out_features)`."""
    refusal: str
    """Why tags cannot act in the layers; "": they can."""
    projections: tuple[tuple[int, int], ...]
    """`(out_features, in_features)` of each query and value projection."""
    fingerprint: Fingerprint

    def lora_parameters(self, rank: int = 8) -> int | None:
        """Return what LoRA of a rank on the query and value projections would train.

        None when the backbone has no separate projections of these names.
        """
        return sum(rank * (rows + columns) for rows, columns in self.projections) or None

    def check_layers(self) -> None:
        """Demand layers in which tags can act.

        Raises:
            BackboneError: naming what is in the way.
        """
        if self.refusal:
            raise BackboneError(self.refusal)


@attrs.define(eq=False)
class PlannedBackbone:
    """A backbone of which a plan knows the outline; it is opened when it is first asked for."""

    name: str
    outline: Outline
    measured: Measured
    """Why it has the precision that it has."""
    _open: Callable[[], Backbone]
    _opened: Backbone | None = None

    @property
    def precision(self) -> str:
        """What the linear layers are computed or kept in, such as fp32."""
        return self.measured.precision

    @property
    def is_open(self) -> bool:
        """Whether its weights are in memory."""
        return self._opened is not None

    def open(self) -> Backbone:
        """Return the backbone itself, opened at the first call."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened


def plan_backbone(
    name: str, registry: Registry, device: str, precision: str, prepare: Callable[[Backbone], None]
) -> PlannedBackbone:
    """Look a backbone up among those whose outline is kept, or open it and keep its outline.

    Args:
        name: Registered name, folder, GGUF file or Hub id.
        registry: Where registered names are looked up.
        device: Where it will run.
        precision: As in `open_backbone`.
        prepare: Is called with the backbone when it is opened.

    Raises:
        ConfigError: when the variable that says the precision is wrong.
        BackboneError: when the backbone cannot be loaded, or not in that precision.
    """
    place = locate(name, registry)
    content = content_of(place.path, place.revision)
    is_divided = parse_division(device) is not None
    kept = None if is_divided else _kept(content)
    measured = _known_precision(kept, pick_device(device), precision) if kept is not None else None
    if kept is not None and measured is not None:
        opening = functools.partial(_prepared, name, registry, device, precision, prepare)
        return PlannedBackbone(name, kept, measured, opening)
    backbone, measured = open_backbone(name, registry, device, precision)
    outline = outline_of(backbone)
    is_plain = measured.precision in (FP32, BF16) and backbone.device.type == "cpu"
    if content and is_plain and not is_divided and not outline.refusal:  # which names the backbone
        keep_json(_file(content), attrs.asdict(outline))
    prepare(backbone)
    return PlannedBackbone(name, outline, measured, lambda: backbone, backbone)


def outline_of(backbone: Backbone) -> Outline:
    """Look at a backbone that is open."""
    maps, refusal = {}, ""
    try:
        maps = adapted_maps(backbone)
    except BackboneError as error:
        refusal = str(error)
    projections = [
        (module.out_features, module.in_features)
        for name, module in backbone.model.named_modules()
        if name.endswith(("q_proj", "v_proj"))
        and isinstance(module, torch.nn.Linear | QuantizedLinear)
    ]
    return Outline(
        hidden_size=backbone.hidden_size,
        num_parameters=backbone.num_parameters,
        maps=maps,
        refusal=refusal,
        projections=tuple(projections),
        fingerprint=backbone.fingerprint(),
    )


def _prepared(
    name: str,
    registry: Registry,
    device: str,
    precision: str,
    prepare: Callable[[Backbone], None],
) -> Backbone:
    backbone, _ = open_backbone(name, registry, device, precision)
    prepare(backbone)
    return backbone


def _known_precision(outline: Outline, device: torch.device, precision: str) -> Measured | None:
    """Return the precision that opening would choose; None: only opening tells."""
    wanted, reason = wanted_precision(precision)
    if device.type != "cpu" or wanted not in (AUTO, FP32):
        return None
    if wanted == FP32:
        return Measured(precision=FP32, reason=reason, seconds={})
    return kept_measure(outline.fingerprint.key, device)


def _file(content: str) -> Path:
    """Return where an outline is kept; other versions may read the same files otherwise."""
    versions = [__version__, *(version(name) for name in ("torch", "transformers"))]
    return home() / "outlines" / f"{'-'.join([content, *versions])}.json"


def _kept(content: str) -> Outline | None:
    if not content:
        return None
    stored = kept_json(_file(content))
    try:
        fingerprint = stored.pop("fingerprint")
        return Outline(
            **stored
            | {
                "maps": {path: tuple(sizes) for path, sizes in stored["maps"].items()},
                "projections": tuple(tuple(shape) for shape in stored["projections"]),
                "fingerprint": Fingerprint(**{**fingerprint, "probe": tuple(fingerprint["probe"])}),
            }
        )
    except (ValueError, TypeError, KeyError, AttributeError):  # not there, or damaged
        return None
