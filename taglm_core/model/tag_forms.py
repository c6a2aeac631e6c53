"""Forms of a function tag: at the input alone, or in the layers too, at its own tokens only.

`input` is the paper's tag. `adapter` adds a low-rank update to each linear map of the layers at the
tag's positions (LoRA, arXiv 2106.09685; activated LoRA, arXiv 2504.12397, acts on everything after
its trigger, here nothing but the tag's tokens).
"""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from taglm_core.errors import BackboneError
from taglm_core.model.backbone import Backbone
from taglm_core.model.layer_hooks import DOWN, UP

INPUT, ADAPTER = "input", "adapter"
FORMS = (INPUT, ADAPTER)
AUTO = "auto"
"""As a setting: one of them, by the task, its head and the backbone."""
_PROBED = 24
"""Tokens of the pass that shows what maps take."""


def inner_tensors(
    backbone: Backbone, form: str, name: str, rank: int, seed: int
) -> dict[str, Tensor]:
    """Return what an untrained tag has in the layers, by place; it changes nothing yet.

    Args:
        backbone: Whose layers.
        form: input or adapter.
        name: Full name of the tag; with the seed it decides the first matrices.
        rank: Of the updates.
        seed: Seed of the run.

    Returns:
        adapter: `MAP.down` `(rank, in_features)`, drawn at random, and `MAP.up`
        `(out_features, rank)`, zeros. input: nothing.

    Raises:
        BackboneError: when tags cannot act in its layers.
    """
    if form == INPUT:
        return {}
    digest = hashlib.sha256(f"{name}/{seed}/{ADAPTER}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    found = {}
    for path, (width, height) in adapted_maps(backbone).items():
        drawn = torch.randn(rank, width, generator=generator)
        found[f"{path}.{DOWN}"] = drawn / width**0.5  # (rank, in_features)
        found[f"{path}.{UP}"] = torch.zeros(height, rank)
    return found


def adapted_maps(backbone: Backbone) -> dict[str, tuple[int, int]]:
    """Return the linear maps of the layers that take every token of a row, once, in its place.

    Experts that take a few tokens of a batch are left out.

    Returns:
        Path in the base model -> `(in_features, out_features)`.

    Raises:
        BackboneError: when there is none.
    """
    maps, embedded = backbone.layer_hooks.linear_maps(), _probe(backbone)
    taken = backbone.layer_hooks.seen(list(maps), embedded)
    found = {
        path: sizes
        for path, sizes in maps.items()
        if [tuple(each.shape) for each in taken[path]] == [(*embedded.shape[:2], sizes[0])]
    }
    if not found:
        raise BackboneError(
            f"backbone '{backbone.name}': its layers have no linear maps that take every token of "
            "a row, so adapters cannot act in them. Set stages.task.tag=input."
        )
    return found


def inner_scales(backbone: Backbone, inner: Mapping[str, Tensor]) -> dict[str, float]:
    """Return how large a change of each tensor is that matters as much as one of the tag itself.

    A learning rate relative to the embeddings' size is multiplied by these instead: of the first
    matrix its own size, of the second what changes the map's output by its own size.
    """
    hooks, scales = backbone.layer_hooks, {}
    for place, tensor in inner.items():
        scales[place] = float(tensor.shape[1] ** -0.5)
        if place.endswith(f".{UP}"):
            path = place.removesuffix(f".{UP}")
            width = inner[f"{path}.{DOWN}"].shape[1]
            drawn = torch.randn(1, 64, width, generator=torch.Generator().manual_seed(0))
            drawn = drawn.to(backbone.device, backbone.dtype)
            scales[place] *= _gain(hooks.base.get_submodule(path), drawn)
    return scales


@torch.no_grad()
def _gain(module: torch.nn.Module, drawn: Tensor) -> float:
    """Return the size of what a linear map gives of inputs of size 1, its bias left out."""
    change = module(drawn).float() - module(torch.zeros_like(drawn)).float()
    return float(change.square().mean().sqrt())


@torch.no_grad()
def _probe(backbone: Backbone) -> Tensor:
    """Return embeddings of two short rows, `(2, tokens, hidden)`."""
    count = min(_PROBED, backbone.max_positions)
    ids = (torch.arange(2 * count) * 37 + 11) % backbone.vocab_size
    return backbone.embed(ids.view(2, count).to(backbone.device)).to(backbone.dtype)
