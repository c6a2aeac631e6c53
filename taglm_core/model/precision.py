"""bf16 for the products of a frozen backbone's linear layers, and for nothing else.

In bf16 a linear layer rounds its weights and its input to bf16 and gives fp32 back. Everything
between the linear layers (residual stream, norms, rotary positions, attention) and everything
outside the backbone (embeddings, tags, symbol tables, heads, the LM's own output matrix, losses)
stays fp32. The layers do it themselves, so that every way into the backbone computes alike.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from taglm_core.model.quantized import INT8, NF4, plain_layers

FP32, BF16 = "fp32", "bf16"
PRECISIONS = (FP32, BF16, INT8, NF4)
"""What the linear layers of a backbone may be computed in, or kept in."""


class Bf16Linear(nn.Linear):
    """A frozen linear layer that multiplies in bf16; its input, output and bias are fp32."""

    arithmetic = torch.bfloat16

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Round the weights.

        Args:
            weight: `(out_features, in_features)`.
            bias: `(out_features,)`; None: there is none.
        """
        super().__init__(weight.shape[1], weight.shape[0], bias=False, device="meta")
        self.weight = nn.Parameter(weight.detach().to(torch.bfloat16), requires_grad=False)
        if bias is not None:
            self.bias = nn.Parameter(bias.detach().float(), requires_grad=False)

    def forward(self, states: Tensor) -> Tensor:
        """Map `(..., in_features)` to fp32 `(..., out_features)`."""
        kind = self.arithmetic
        product = nn.functional.linear(states.to(kind), self.weight.to(kind)).float()
        return product if self.bias is None else product + self.bias


def rounded_layers(base: nn.Module) -> dict[str, nn.Module]:
    """Return a bf16 layer for each plain linear layer of a base model, by its name."""
    return {name: Bf16Linear(*held) for name, held in plain_layers(base)}


def put_layers(base: nn.Module, layers: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Put layers in the place of those of the same name; return those that were there."""
    before = {name: base.get_submodule(name) for name in layers}
    for name, layer in layers.items():
        base.set_submodule(name, layer)
    return before


@contextlib.contextmanager
def in_fp32(base: Any) -> Iterator[None]:
    """Let bf16 layers multiply their rounded weights in fp32 meanwhile."""
    layers = [module for module in base.modules() if isinstance(module, Bf16Linear)]
    for layer in layers:
        layer.arithmetic = torch.float32
    try:
        yield
    finally:
        for layer in layers:
            layer.arithmetic = torch.bfloat16
