"""Finding and loading a frozen backbone: by registered name, folder, GGUF file or Hub id."""

import contextlib
import io
import re
import warnings
from pathlib import Path
from typing import Any

import attrs
import torch

from taglm_core.errors import BackboneError, UnknownNameError, nearest
from taglm_core.hub import hub_access
from taglm_core.model import gguf_file
from taglm_core.model.backbone import Backbone
from taglm_core.model.backbone_checks import check_backbone_model
from taglm_core.model.backbone_folder import check_folder, content_of, explain_failure
from taglm_core.model.divided import divide, parse_division
from taglm_core.model.precision import BF16, FP32, in_fp32
from taglm_core.model.quantized import INT8, NF4
from taglm_core.plugins import Registry
from taglm_core.specs.reference import is_reference, resolve
from taglm_core.startup import without_collection

_DEVICES = ("cpu", "cuda", "mps", "xpu", "auto")
_DEVICE = re.compile(r"[a-z]+(:[0-9]+)?")


@attrs.frozen
class Location:
    """Where the weights of a backbone are."""

    name: str
    """What the user wrote."""
    path: str
    """A folder, a GGUF file, a Hub id, or `owner/name:file.gguf`."""
    revision: str | None = None


def locate(name: str, registry: Registry) -> Location:
    """Find a backbone by registered name, folder, GGUF file or Hub id.

    Raises:
        UnknownNameError: when it is none of them.
        BackboneError: when a folder or a file holds no model.
    """
    known = {item.short for item in registry.backbones} | {i.name for i in registry.backbones}
    if name in known:
        spec = registry.backbones.get(name).spec
        if is_reference(spec.path):
            return Location(name, str(resolve(spec.path, f"backbone {name}")()), spec.revision)
        return Location(name, spec.path, spec.revision)
    if not name.strip():
        raise UnknownNameError(
            "the name of the backbone is empty. Give a registered name such as nano, a folder, a "
            "GGUF file or a Hub id."
        )
    place = Path(name).expanduser()
    if place.is_dir():
        file = check_folder(place, name)
        return Location(name, str((file or place).resolve()))
    if place.is_file():
        gguf_file.check_file(place, name)
        return Location(name, str(place.resolve()))
    is_path = name.startswith((".", "/", "~"))
    if gguf_file.named_on_hub(name) or (name.count("/") == 1 and not is_path):
        if name.lower().endswith(gguf_file.SUFFIX) and ":" not in name:
            raise UnknownNameError(
                f"backbone '{name}': there is no such file. A file of the Hub is written "
                "owner/name:file.gguf."
            )
        return Location(name, name)
    try:
        registry.backbones.get(name)
    except UnknownNameError as error:
        raise UnknownNameError(
            f"{error} A folder, a GGUF file or a Hub id (owner/name, owner/name:file.gguf) works "
            f"too; there is no folder or file '{name}' (working folder: {Path.cwd()})."
        ) from None
    raise AssertionError("unreachable: known names were handled above")


def load_backbone(
    name: str, registry: Registry, device: str = "auto", precision: str = FP32
) -> Backbone:
    """Load a frozen backbone.

    Args:
        name: Registered name, folder, GGUF file or Hub id.
        registry: Where registered names are looked up.
        device: "cpu", "cuda", "cuda:1"; "auto": a GPU when there is one; "cuda=20GB+cpu" and the
            like: layers beyond the limit lie elsewhere (`divided`).
        precision: "fp32"; "bf16" for the products of the linear layers; "int8" or "nf4" for their
            weights, which are packed after loading.

    Raises:
        BackboneError: when it cannot be loaded or can take no embeddings.
    """
    with without_collection():
        import transformers

    place = locate(name, registry)
    pick_device(device)  # one that is not there is told before anything is read
    transformers.utils.logging.disable_progress_bar()
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()  # its report of keys comes as our own message
    try:
        with (
            hub_access(),
            warnings.catch_warnings(),
            _without_bars(place.path),
            without_collection(),
        ):
            warnings.simplefilter("ignore")  # advice on flags that we set ourselves
            model, tokenizer, info = _read(place, precision)
    except BackboneError:
        raise
    except Exception as error:  # the library raises many kinds; each becomes one message
        raise BackboneError(explain_failure(error, name, place.path, place.revision)) from error
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
    backbone = Backbone(model, tokenizer, name)
    backbone.content = content_of(place.path, place.revision)
    if precision in (INT8, NF4):
        check_backbone_model(backbone, info)  # names weights, which packing takes away
        info = None
    backbone.use_precision(precision)  # before the move: a device never has to hold them in fp32
    put_on(backbone, device)
    with in_fp32(backbone.base):
        check_backbone_model(backbone, info)
    return backbone


def _without_bars(path: str) -> contextlib.AbstractContextManager[Any]:
    """Hide the bar that the library draws while it unpacks a GGUF file, which has no switch."""
    if gguf_file.is_named(path):
        return contextlib.redirect_stderr(io.StringIO())
    return contextlib.nullcontext()


def _read(place: Location, precision: str) -> tuple[Any, Any, Any]:
    """Return model, tokenizer and what the library says of missing weights."""
    import transformers

    file = gguf_file.stored_file(place.path, place.revision, fetches=True)
    path, revision, how = place.path, place.revision, {}
    # auto: as the file has them
    dtype: Any = "auto" if precision == BF16 else torch.float32
    if file is not None:
        # unpacked in fp32 whatever the precision, so that a run and its predictor round alike
        path, revision, dtype = str(file.parent), None, torch.float32
        how = gguf_file.loading_options(file)
        tokenizer = gguf_file.tokenizer_of(file, place.name)
    else:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, revision=revision)
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        path,
        revision=revision,
        dtype=dtype,
        attn_implementation="sdpa",
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # refused by `check_backbone_model`, with names
        **how,
    )
    return model, tokenizer, info


def put_on(backbone: Backbone, device: str) -> None:
    """Move a backbone in host memory to a device, or divide it.

    Raises:
        BackboneError: when the device is not there, or the backbone cannot be divided so.
    """
    division, where = parse_division(device), pick_device(device)
    if division is None:
        backbone.move_to(where)
    else:
        divide(backbone, division, where)


def _unknown_device(device: str) -> BackboneError:
    return BackboneError(
        f"device '{device}' is unknown.{nearest(device.strip().lower(), _DEVICES)} Write cpu, "
        "cuda, cuda:1, auto or another device that `taglm doctor` lists; to divide a backbone, "
        "cuda=20GB+cpu, cuda+disk or cpu=8GB+disk."
    )


def pick_device(device: str) -> torch.device:
    """Turn "auto" into a device; of a division, return that on which everything is computed.

    Raises:
        BackboneError: when the device is not there.
    """
    division = parse_division(device)
    device = device if division is None else division.device
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not _DEVICE.fullmatch(device):
        raise _unknown_device(device)
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        if "device type at start of device string" in str(error):
            raise _unknown_device(device) from error
        reason = re.split(r"[.:] |\n", str(error))[0]  # torch lists all that it knows behind it
        raise BackboneError(
            f"device '{device}' cannot be used ({reason}). Use --device cpu, "
            "or install a torch build for it; `taglm doctor` lists the devices that torch sees."
        ) from error
    return found
