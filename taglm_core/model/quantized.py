"""Frozen linear layers whose weights are kept in 8 or 4 bits and unpacked for each product.

int8: every output row has its own scale. nf4: blocks of 64 weights share a scale, and each weight
is one of the 16 values of QLoRA's NormalFloat (Dettmers et al. 2023, appendix E); two weights share
a byte. Products are fp32. The gradient of the input unpacks the weights a second time instead of
keeping them, so that a step holds one unpacked matrix, not all of them.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

INT8, NF4 = "int8", "nf4"
_BLOCK = 64
_NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)


class QuantizedLinear(nn.Module):
    """A frozen linear layer with packed weights."""

    packed: Tensor
    scales: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None, kind: str) -> None:
        """Pack the weights.

        Args:
            weight: `(out_features, in_features)`.
            bias: `(out_features,)`; None: there is none.
            kind: int8 or nf4.
        """
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.kind = kind
        packed, scales = pack(weight.detach().float(), kind)
        self.register_buffer("packed", packed)
        self.register_buffer("scales", scales)
        self.bias: nn.Parameter | None = None
        if bias is not None:
            self.bias = nn.Parameter(bias.detach().float(), requires_grad=False)

    def unpacked(self) -> Tensor:
        """Return the weights as they are computed with, fp32 `(out_features, in_features)`."""
        return unpack(self.packed, self.scales, self.kind, (self.out_features, self.in_features))

    def forward(self, states: Tensor) -> Tensor:
        """Map `(..., in_features)` to fp32 `(..., out_features)`."""
        product: Tensor = _Product.apply(  # type: ignore[no-untyped-call]
            states, self.packed, self.scales, self.kind, (self.out_features, self.in_features)
        )
        return product if self.bias is None else product + self.bias


class _Product(torch.autograd.Function):
    """A product with packed weights that are frozen."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, packed: Tensor, scales: Tensor, kind: str, shape: tuple[int, int]
    ) -> Tensor:
        """Multiply with the unpacked weights and forget them."""
        # saved, not read from the layer again: a layer of a divided backbone is empty by then
        ctx.save_for_backward(packed, scales)
        ctx.kind, ctx.shape = kind, shape
        return nn.functional.linear(states, unpack(packed, scales, kind, shape))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Return the gradient of the input."""
        packed, scales = ctx.saved_tensors
        return grad @ unpack(packed, scales, ctx.kind, ctx.shape), None, None, None, None


def pack(weight: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Return packed weights and their scales.

    Args:
        weight: fp32 `(out_features, in_features)`.
        kind: int8 or nf4.

    Returns:
        int8: int8 `(out_features, in_features)` and fp32 `(out_features, 1)`. nf4: uint8
        `(blocks, 32)` and fp32 `(blocks, 1)`; the last block is filled up with zeros.
    """
    if kind == INT8:
        scales = weight.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
        return torch.round(weight / scales).to(torch.int8), scales
    flat = weight.flatten()
    blocks = nn.functional.pad(flat, (0, -len(flat) % _BLOCK)).view(-1, _BLOCK)
    scales = blocks.abs().amax(dim=1, keepdim=True).clamp_min(1e-12)
    levels = torch.tensor(_NF4, device=weight.device)
    borders = (levels[1:] + levels[:-1]) / 2
    codes = torch.bucketize(blocks / scales, borders).to(torch.uint8)  # (blocks, 64)
    return codes[:, ::2] | (codes[:, 1::2] << 4), scales


def unpack(packed: Tensor, scales: Tensor, kind: str, shape: tuple[int, int]) -> Tensor:
    """Return the weights that `pack` packed, fp32 `(out_features, in_features)`."""
    if kind == INT8:
        return packed.float() * scales
    levels = torch.tensor(_NF4, device=packed.device)
    codes = torch.stack([packed & 15, packed >> 4], dim=-1).flatten()  # (blocks * 64,)
    # indices of 4 bytes: with those of 8 it takes twice as long
    values = levels.index_select(0, codes.int()).view(-1, _BLOCK).mul_(scales).flatten()
    return values[: shape[0] * shape[1]].view(shape)


def quantized_layers(base: nn.Module, kind: str) -> dict[str, nn.Module]:
    """Return a packed layer for each plain linear layer of a base model, by its name.

    Args:
        base: The base model; its output matrix and embedding stay as they are.
        kind: int8 or nf4.
    """
    return {name: QuantizedLinear(*held, kind) for name, held in plain_layers(base)}


def plain_layers(base: nn.Module) -> Iterator[tuple[str, tuple[Tensor, Tensor | None]]]:
    """Give the name of each plain linear layer with its weight and bias.

    Layers of another class, such as those of a quantized model, have an arithmetic of their own and
    are left out.

    Args:
        base: The base model.
    """
    from transformers.pytorch_utils import Conv1D

    for name, module in base.named_modules():
        if type(module) is nn.Linear:
            yield name, (module.weight, module.bias)
        elif type(module) is Conv1D:  # GPT-2 holds the transposed matrix
            yield name, (module.weight.T.contiguous(), module.bias)


def packed_weights(module: nn.Module) -> int:
    """Return how many weights of a model are packed."""
    return sum(_counts(module))


def unpacked_bytes(module: nn.Module) -> int:
    """Return the bytes of the largest matrix of packed weights while it is unpacked; 0: none."""
    return 4 * max(_counts(module), default=0)


def _counts(module: nn.Module) -> Iterator[int]:
    layers = (layer for layer in module.modules() if isinstance(layer, QuantizedLinear))
    return (layer.out_features * layer.in_features for layer in layers)


def packed_bytes(num_weights: int, num_rows: int, kind: str) -> int:
    """Return the bytes that packed weights take with their scales.

    Args:
        num_weights: Of the linear layers.
        num_rows: Their output rows.
        kind: int8 or nf4.
    """
    return num_weights + 4 * num_rows if kind == INT8 else num_weights // 2 + num_weights // 16
