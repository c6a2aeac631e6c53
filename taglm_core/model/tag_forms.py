"""Forms of a function tag: at the input alone, or in the layers too, at its own tokens only.

`input` is the paper's tag. `deep` adds a vector for each tag token to what each further layer takes
(P-tuning v2, arXiv 2110.07602, at the tag's positions only). `adapter` adds a low-rank update to
each linear map of the layers at the tag's positions (LoRA, arXiv 2106.09685; activated LoRA, arXiv
2504.12397, acts on everything after its trigger, here nothing but the tag's tokens).
"""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from taglm_core.errors import BackboneError
from taglm_core.model.backbone import Backbone
from taglm_core.model.layer_hooks import DOWN, UP, LayerHooks

INPUT, DEEP, ADAPTER = "input", "deep", "adapter"
FORMS = (INPUT, DEEP, ADAPTER)
_PROBED = 24
"""Tokens of the pass that shows what layers take."""


def inner_tensors(
    backbone: Backbone, form: str, name: str, length: int, rank: int, seed: int
) -> dict[str, Tensor]:
    """Return what an untrained tag has in the layers, by place; it changes nothing yet.

    Args:
        backbone: Whose layers.
        form: input, deep or adapter.
        name: Full name of the tag; with the seed it decides an adapter's first matrices.
        length: Tag tokens.
        rank: Of an adapter's updates.
        seed: Seed of the run.

    Returns:
        deep: layer -> zeros `(tag_length, hidden)`, from the second layer on, since the first one
        takes the tag itself. adapter: `MAP.down` `(rank, in_features)`, drawn at random, and
        `MAP.up` `(out_features, rank)`, zeros. input: nothing.

    Raises:
        BackboneError: when tags cannot act in its layers.
    """
    if form == INPUT:
        return {}
    hooks = backbone.layer_hooks
    check_layers(backbone, form)
    if form == DEEP:
        return {layer: torch.zeros(length, backbone.hidden_size) for layer in hooks.layers[1:]}
    digest = hashlib.sha256(f"{name}/{seed}/{ADAPTER}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    found = {}
    for path, (width, height) in adapted_maps(hooks, _probe(backbone)).items():
        drawn = torch.randn(rank, width, generator=generator)
        found[f"{path}.{DOWN}"] = drawn / width**0.5  # (rank, in_features)
        found[f"{path}.{UP}"] = torch.zeros(height, rank)
    return found


def check_layers(backbone: Backbone, form: str) -> None:
    """Demand layers in which tags of a form can act.

    Raises:
        BackboneError: naming what is in the way.
    """
    if form == INPUT:
        return
    hooks, embedded = backbone.layer_hooks, _probe(backbone)
    if form == ADAPTER and not adapted_maps(hooks, embedded):
        raise BackboneError(
            f"backbone '{backbone.name}': its layers have no linear maps that take every token of "
            "a row, so adapters cannot act in them. Set stages.task.tag=input."
        )
    taken = hooks.seen(hooks.layers, embedded)
    if any([each.shape for each in found] != [embedded.shape] for found in taken.values()):
        raise BackboneError(
            f"backbone '{backbone.name}': its layers do not take the hidden states of a row, so "
            "tags cannot act in them. Set stages.task.tag=input."
        )


def adapted_maps(hooks: LayerHooks, embedded: Tensor) -> dict[str, tuple[int, int]]:
    """Return the linear maps that take every token of a row, once, in its place.

    Experts that take a few tokens of a batch are left out.
    """
    maps = hooks.linear_maps()
    taken = hooks.seen(list(maps), embedded)
    shape = embedded.shape[:2]
    return {
        path: sizes
        for path, sizes in maps.items()
        if [tuple(each.shape) for each in taken[path]] == [(*shape, sizes[0])]
    }


def inner_scales(backbone: Backbone, inner: Mapping[str, Tensor]) -> dict[str, float]:
    """Return how large a change of each tensor is that matters as much as one of the tag itself.

    A learning rate relative to the embeddings' size is multiplied by these instead. deep: the size
    of what the layer takes, the median over tokens, since the first tokens of many backbones are
    many times larger. adapter: of the first matrix its own size, of the second what changes the
    map's output by its own size.
    """
    hooks, embedded = backbone.layer_hooks, _probe(backbone)
    layers = [place for place in inner if place in hooks.layers]
    taken = hooks.seen(layers, embedded)
    scales = {
        layer: float(taken[layer][0].float().square().mean(dim=2).sqrt().median())
        for layer in layers
    }
    for place, tensor in inner.items():
        if place.endswith(f".{DOWN}"):
            scales[place] = float(tensor.shape[1] ** -0.5)
        elif place.endswith(f".{UP}"):
            path = place.removesuffix(f".{UP}")
            width = hooks.linear_maps()[path][0]
            drawn = torch.randn(1, 64, width, generator=torch.Generator().manual_seed(0))
            gain = _gain(hooks.base.get_submodule(path), drawn.to(embedded))
            scales[place] = gain / float(tensor.shape[1]) ** 0.5
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
