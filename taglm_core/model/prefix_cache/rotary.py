"""Rotary positions: what moves a query by an offset, whatever scaling the backbone uses.

A rotary score depends on the distance of query and key alone, so a span whose keys were made at
offset 0 is read from any place by turning the few queries back by the span's offset. The keys,
of which there are many more, are neither turned nor copied.
"""

from typing import Any

import attrs
import torch
from torch import Tensor

from taglm_core.model.backbone import Backbone

_SCALINGS = ("default", "linear", "llama3", "yarn")
"""Rotary types whose frequencies do not change with the length of the input."""


@attrs.frozen(eq=False)
class Rotation:
    """Turns of queries by whole offsets, in fp32.

    Only angles are used: YaRN's factor on cos and sin is in queries and keys already.
    """

    frequencies: Tensor
    """fp32 `(rotary_dim / 2,)`: angle by which one position turns each pair of dimensions."""

    def angles(self, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Return cos and sin of the turn by some offsets.

        Args:
            offsets: `(batch,)` positions.

        Returns:
            Twice fp32 `(batch, 1, rotary_dim / 2)`.
        """
        turned = offsets.float()[:, None, None] * self.frequencies  # (batch, 1, rotary_dim / 2)
        return turned.cos(), turned.sin()


def turn(states: Tensor, cos: Tensor, sin: Tensor, back: bool = False) -> Tensor:
    """Turn queries by the angles, or back; dimensions beyond the rotary ones stay.

    Args:
        states: fp32 `(kv_heads, batch, queries, head_dim)`; pairs are (i, i + rotary_dim / 2).
        cos: fp32 `(batch, 1, rotary_dim / 2)`.
        sin: Like `cos`.
        back: True: by the opposite angles.
    """
    half = cos.shape[-1]
    first, second = states[..., :half], states[..., half : 2 * half]
    sin = -sin if back else sin
    turned = torch.empty_like(states)
    torch.mul(first, cos, out=turned[..., :half]).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=turned[..., half : 2 * half]).addcmul_(first, sin)
    turned[..., 2 * half :] = states[..., 2 * half :]
    return turned


def find_rotation(backbone: Backbone) -> Rotation | str:
    """Return the rotation of a backbone, or in a few words why spans cannot be moved on it."""
    rope: Any = getattr(backbone.config, "rope_parameters", None)
    if not rope:
        return "its positions are not rotary"
    if "rope_type" not in rope:
        return "its layers rotate differently"
    if rope["rope_type"] not in _SCALINGS:
        return f"its rotary scaling '{rope['rope_type']}' changes with the length of the input"
    found = [m.inv_freq for m in backbone.base.modules() if hasattr(m, "inv_freq")]
    if not found or any(not torch.equal(found[0], other) for other in found[1:]):
        return "its rotary frequencies were not found in one place"
    return Rotation(found[0].detach().float())
