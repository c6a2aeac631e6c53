"""Backbones larger than a device: layers that do not fit lie elsewhere, and come for each pass.

A device such as `cuda+cpu` or `cpu=8GB+disk`: the layers beyond the limit of the first lie in host
memory or on disk. accelerate's hooks bring the weights of one module in before it runs and drop
them behind it, so that everything is computed on the first device. Packed weights (`quantized`)
lie elsewhere as they are, and are unpacked on the device. A backward pass reads weights again
(`divided_backward`). Tags, heads, embeddings and the cache of segments are never divided.
"""

import contextlib
import logging
import re
import tempfile
from typing import Any

import attrs
import torch
from torch import nn

from taglm_core.errors import BackboneError
from taglm_core.model.backbone import Backbone
from taglm_core.model.free_memory import free_bytes, parse_size
from taglm_core.model.quantized import NF4, unpacked_bytes

logger = logging.getLogger(__name__)

CPU, DISK = "cpu", "disk"
_WRITTEN = re.compile(r"([^+=]+)(?:=([^+=]+))?\+([^+=]+)")
_OF_FREE = 0.5
"""Share of the free memory that weights take where no limit is given; the rest is for passes."""


@attrs.frozen(kw_only=True)
class Division:
    """How a backbone is divided."""

    device: str
    """Where everything is computed."""
    limit_bytes: int | None
    """Most bytes of weights there; None: half of what is free."""
    rest: str
    """Where the other layers lie: cpu or disk."""


def parse_division(device: str) -> Division | None:
    """Read a device such as `cuda+cpu`, `cuda:1=20GB+cpu` or `cpu=8GB+disk`; None: a plain one.

    Raises:
        BackboneError: when it has a + and is none of them.
    """
    if "+" not in device:
        return None
    match = _WRITTEN.fullmatch(device)
    first = match[1].strip() if match else ""
    rest = match[3].strip() if match else ""
    limit = parse_size(match[2]) if match and match[2] is not None else None
    is_wrong = match is None or (match[2] is not None and limit is None)
    if is_wrong or rest not in (CPU, DISK) or first in (DISK, rest):
        raise BackboneError(
            f"device '{device}': to divide a backbone, write the device, its limit and the place "
            "of the other layers, such as cuda=20GB+cpu, cuda+disk or cpu=8GB+disk."
        )
    return Division(device=first, limit_bytes=limit, rest=rest)


def divide(backbone: Backbone, division: Division, device: torch.device) -> None:
    """Put a backbone that is in host memory onto a device, and its last layers elsewhere.

    Nothing is divided where all of it fits.

    Args:
        backbone: In its precision.
        division: How.
        device: That of the division, which is there.

    Raises:
        BackboneError: when what is not a layer does not fit.
    """
    limit = division.limit_bytes
    limit = int(_OF_FREE * free_bytes(device)) if limit is None else limit
    outside = _outside(backbone, limit)
    if not outside:
        backbone.move_to(device)
        return
    if backbone.content is None:
        backbone.content = backbone.checksum()[:16]  # while all weights can be read
    moved = sum(_bytes(backbone.base.get_submodule(name)) for name in outside)
    kept = _bytes(backbone.model) - moved
    _dispatch(backbone, division, device, set(outside))
    backbone.device = device
    backbone.division = division
    backbone.checkpoints.is_divided = True
    backbone.num_outside = len(outside)
    logger.info(
        "backbone '%s' is divided: %d of %d layers (%.1f MB in %s) are in %s and are copied to %s "
        "for each pass; %.1f MB of weights stay there",
        backbone.name,
        len(outside),
        len(backbone.layer_hooks.layers),
        moved / 1e6,
        backbone.precision,
        "host memory" if division.rest == CPU else "files of this process",
        device,
        kept / 1e6,
    )


def gather(backbone: Backbone) -> None:
    """Put a backbone back into host memory, all of it."""
    from accelerate.hooks import remove_hook_from_submodules

    if backbone.is_divided:
        remove_hook_from_submodules(backbone.model)
    backbone.move_to(torch.device(CPU))
    backbone.division = None
    backbone.reads_again = contextlib.nullcontext
    backbone.checkpoints.is_divided = False
    backbone.num_outside = 0
    if backbone.files is not None:
        backbone.files.cleanup()
        backbone.files = None


def change_precision(backbone: Backbone, precision: str) -> None:
    """Put a backbone that is in fp32, divided or not, into a precision.

    Raises:
        BackboneError: when it has no plain linear layers.
    """
    division, device = backbone.division, backbone.device
    if division is None:
        backbone.use_precision(precision)
    elif precision != backbone.precision:
        gather(backbone)  # layers that lie elsewhere hold no weights that could be rounded
        backbone.use_precision(precision)
        divide(backbone, division, device)


def _outside(backbone: Backbone, limit: int) -> list[str]:
    """Return the layers, from the last one, that are beyond a limit."""
    layers = backbone.layer_hooks.layers
    sizes = {name: _bytes(backbone.base.get_submodule(name)) for name in layers}
    total = _bytes(backbone.model) + unpacked_bytes(backbone.base)
    if total <= limit:
        return []
    # one more layer is there while it runs
    spare = limit - (total - sum(sizes.values())) - max(sizes.values())
    if spare < 0:
        need = limit - spare
        smaller = "" if backbone.precision == NF4 else ", or set precision=nf4"
        raise BackboneError(
            f"backbone '{backbone.name}': its embeddings and one layer take {need / 1e6:,.1f} MB "
            f"in {backbone.precision}, more than the limit of {limit / 1e6:,.1f} MB. Raise the "
            f"limit{smaller}."
        )
    inside: list[str] = []
    for name in layers:
        spare -= sizes[name]
        if spare < 0:
            break
        inside.append(name)
    return layers[len(inside) :]


def _bytes(module: nn.Module) -> int:
    held = {id(t): t.nbytes for t in (*module.parameters(), *module.buffers())}
    return sum(held.values())


def _paths(backbone: Backbone) -> dict[str, str]:
    """Return the path of each layer in the whole model -> its name in the base model."""
    paths: dict[int, str] = {id(module): path for path, module in backbone.model.named_modules()}
    return {
        paths[id(backbone.base.get_submodule(name))]: name for name in backbone.layer_hooks.layers
    }


def _dispatch(
    backbone: Backbone, division: Division, device: torch.device, outside: set[str]
) -> None:
    from accelerate import dispatch_model

    from taglm_core.model.divided_backward import Arrivals

    model = backbone.model
    layers = _paths(backbone)
    places: dict[str, Any] = {}
    for name, _ in (
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ):
        layer = next((path for path in layers if name.startswith(f"{path}.")), None)
        place = layer or name.rpartition(".")[0]
        places[place] = division.rest if layers.get(place) in outside else device
    folder = None
    if division.rest == DISK:
        folder = tempfile.TemporaryDirectory(prefix="taglm-backbone-")
        backbone.files = folder  # removed with the backbone
    accelerate_log = logging.getLogger("accelerate.big_modeling")
    level = accelerate_log.level
    accelerate_log.setLevel(logging.ERROR)  # said in our own words
    try:
        dispatch_model(
            model,
            places,
            main_device=device,
            offload_dir=None if folder is None else folder.name,
            offload_buffers=True,  # packed weights are buffers
            skip_keys=["past_key_values"],
        )
    finally:
        accelerate_log.setLevel(level)
    backbone.reads_again = Arrivals(model).read_again
