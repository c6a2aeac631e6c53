"""Muon for the matrices inside the layers, AdamW for embeddings, norms and the read-out."""

from collections.abc import Callable
from typing import Any

import model
import torch
from torch import Tensor

ADAM_BETAS = (0.9, 0.95)
ADAM_EPS = 1e-10
MUON_MOMENTUM = 0.95
MUON_DECAY = 0.1
# Quintic iteration towards the nearest orthogonal matrix, coefficients of Jordan et al. 2024.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalize(m: Tensor) -> Tensor:
    """Return matrices of the same singular vectors with singular values near one.

    Args:
        m: (count, rows, columns).
    """
    a, b, c = NEWTON_SCHULZ
    wide = m.shape[1] <= m.shape[2]
    x = m if wide else m.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.transpose(1, 2)


class Group:
    """Matrices of one shape, updated together."""

    def __init__(self, params: list[Tensor], grads: list[Tensor]) -> None:
        """Take views of parameters and of their gradients."""
        self.params, self.grads = params, grads
        self.momentum = torch.zeros(len(params), *params[0].shape, device=params[0].device)
        self.scale = max(1.0, params[0].shape[0] / params[0].shape[1]) ** 0.5


class Optimizer:
    """Updates the flat parameters in place from a flat gradient."""

    def __init__(
        self,
        shape: model.Shape,
        params: Tensor,
        grads: Tensor,
        read_out: Tensor,
        read_out_grads: Tensor,
        dtype: torch.dtype,
        compiled: bool,
    ) -> None:
        """Divide the parameters.

        Args:
            shape: Shape of the model.
            params: All parameters of the model, flat, fp32.
            grads: As long.
            read_out: Parameters of the read-out, flat.
            read_out_grads: As long.
            dtype: In which Muon's iteration is computed.
            compiled: Whether to compile it.
        """
        shapes: dict[tuple[int, ...], tuple[list[Tensor], list[Tensor]]] = {}
        rest = []
        grad_views = model.views(grads, shape)
        for name, view in model.views(params, shape).items():
            if view.dim() == 2 and ".layers." in name:
                group = shapes.setdefault(tuple(view.shape), ([], []))
                group[0].append(view)
                group[1].append(grad_views[name])
            else:
                parameter = torch.nn.Parameter(view)
                parameter.grad = grad_views[name]
                rest.append(parameter)
        self.groups = [Group(*pair) for pair in shapes.values()]
        self.dtype = dtype
        self.orthogonalize: Callable[[Tensor], Tensor] = orthogonalize
        if compiled:
            self.orthogonalize = torch.compile(orthogonalize, dynamic=False)
        if len(read_out):
            parameter = torch.nn.Parameter(read_out)
            parameter.grad = read_out_grads
            rest.append(parameter)
        self.adam = torch.optim.AdamW(
            rest,
            betas=ADAM_BETAS,
            eps=ADAM_EPS,
            weight_decay=0.0,
            fused=params.device.type == "cuda",
        )

    def state(self) -> dict[str, Any]:
        """Return what a resumed training needs."""
        return {"adam": self.adam.state_dict(), "muon": [g.momentum for g in self.groups]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.adam.load_state_dict(state["adam"])
        for group, momentum in zip(self.groups, state["muon"], strict=True):
            group.momentum.copy_(momentum)

    @torch.no_grad()
    def step(self, number: int, muon_lr: float, adam_lr: float) -> None:
        """Apply one update.

        Args:
            number: Steps done, this one included.
            muon_lr: Learning rate of the layers' matrices.
            adam_lr: Learning rate of the rest.
        """
        momentum = MUON_MOMENTUM - 0.1 * max(0.0, 1 - number / 100)
        for group in self.groups:
            gradient = torch.stack(group.grads)
            group.momentum.lerp_(gradient, 1 - momentum)
            wanted = gradient.lerp(group.momentum, momentum).to(self.dtype)
            update = self.orthogonalize(wanted).float()
            torch._foreach_mul_(group.params, 1 - muon_lr * MUON_DECAY)
            torch._foreach_add_(group.params, list(update), alpha=-muon_lr * group.scale)
        for settings in self.adam.param_groups:
            settings["lr"] = adam_lr
        self.adam.step()
