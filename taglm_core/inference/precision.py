"""Which precision a backbone is opened in: the one asked for, or the one that was measured."""

import logging
import os
import platform

import attrs
import torch

from taglm_core.data.atomic import keep_json, kept_json
from taglm_core.data.home import home
from taglm_core.errors import ConfigError
from taglm_core.model.backbone import Backbone
from taglm_core.model.backbone_loading import load_backbone, pick_device, put_on
from taglm_core.model.divided import parse_division
from taglm_core.model.precision import BF16, FP32, PRECISIONS
from taglm_core.model.precisionprobe import Measured, measure_precision
from taglm_core.plugins import Registry

logger = logging.getLogger(__name__)

AUTO = "auto"
VARIABLE = "TAGLM_PRECISION"
"""Environment variable that says what `auto` is: auto, fp32, bf16, int8 or nf4."""
_FILE = "precision.json"


def open_backbone(
    name: str, registry: Registry, device: str = "auto", precision: str = AUTO
) -> tuple[Backbone, Measured]:
    """Load a backbone in a precision.

    Args:
        name: Registered name, folder, GGUF file or Hub id.
        registry: Where registered names are looked up.
        device: Where to run.
        precision: fp32, bf16, int8, nf4, or auto: `TAGLM_PRECISION`, else fp32 or bf16, what is
            faster here and close enough. What was measured is kept for later runs.

    Raises:
        ConfigError: when the variable is none of them.
        BackboneError: when the backbone cannot be loaded, or not in bf16.
    """
    wanted, reason = wanted_precision(precision)
    if wanted != AUTO:
        backbone = load_backbone(name, registry, device, wanted)
        return backbone, Measured(precision=wanted, reason=reason, seconds={})
    where = pick_device(device)
    backbone = load_backbone(name, registry, "cpu", FP32)
    is_divided = parse_division(device) is not None
    if where.type == "cuda" and (is_divided or not _fits(backbone, where)):
        backbone.use_bf16()
        put_on(backbone, device)
        reason = f"in fp32 its weights would fill more than half of the memory of {where}"
        if is_divided:
            reason = "half as much has to come for each pass"
        return backbone, Measured(precision=BF16, reason=reason, seconds={})
    backbone.move_to(where)
    measured = kept_or_measured(backbone)
    if measured.precision == BF16:
        backbone.use_bf16()
    if is_divided:  # measured while all of it was in memory
        put_on(backbone, device)
    return backbone, measured


def wanted_precision(precision: str) -> tuple[str, str]:
    """Return the precision that is asked for, by `TAGLM_PRECISION` where it is auto, and why.

    Raises:
        ConfigError: when the variable is wrong.
    """
    if precision != AUTO:
        return precision, "as set"
    wanted = os.environ.get(VARIABLE) or AUTO
    if wanted not in (AUTO, *PRECISIONS):
        raise ConfigError(f"{VARIABLE} must be auto, fp32, bf16, int8 or nf4, not {wanted}.")
    return wanted, f"by {VARIABLE}"


def _fits(backbone: Backbone, device: torch.device) -> bool:
    """Whether the weights in fp32, and their rounded copies beside them, leave half of a GPU."""
    size = sum(p.numel() for p in backbone.model.parameters())
    return bool(6 * size < torch.cuda.mem_get_info(device)[0] / 2)


def kept_or_measured(backbone: Backbone, afresh: bool = False) -> Measured:
    """Return what was measured of a backbone on this machine, now or at an earlier time.

    Args:
        backbone: In fp32.
        afresh: Whether to measure again, its error too.
    """
    key = backbone.fingerprint().key
    kept = None if afresh else kept_measure(key, backbone.device)
    if kept is not None:
        return kept
    measured = measure_precision(backbone, looks_always=afresh)
    logger.debug("precision of %s: %s", backbone.name, measured.line())
    own = {f"{key} {_machine(backbone.device)}": attrs.asdict(measured)}
    path = home() / _FILE
    keep_json(path, {**kept_json(path), **own})
    return measured


def kept_measure(key: str, device: torch.device) -> Measured | None:
    """Return what was measured of a backbone on this machine at an earlier time, if it was.

    Args:
        key: Of the backbone's fingerprint.
        device: Where it runs.
    """
    try:
        return Measured(**kept_json(home() / _FILE)[f"{key} {_machine(device)}"])
    except (KeyError, TypeError):  # not measured, or written by another version
        return None


def _machine(device: torch.device) -> str:
    """Return what decides how fast a pass is: the device, its instructions and the torch build."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} torch {torch.__version__}"
    capability = torch.backends.cpu.get_cpu_capability()
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    has_bf16 = any(getattr(torch.cpu, name, bool)() for name in names)
    words = (device.type, platform.machine(), capability, f"bf16 {has_bf16}")
    return f"{' '.join(words)} torch {torch.__version__}"
