"""Heads: from the hidden state of the function tag's last row to outputs, and their optimum."""

import torch
from torch import Tensor, nn


class LinearHead(nn.Module):
    """The paper's head: a matrix `w_t` in R^(d x d_t) without bias (section 3.1)."""

    def __init__(self, hidden_size: int, num_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_outputs, hidden_size))

    def forward(self, states: Tensor) -> Tensor:
        """Map `(batch, hidden)` to `(batch, num_outputs)`."""
        return states.float() @ self.weight.T

    @torch.no_grad()
    def start_from_mean_embedding(self, mean_row: Tensor) -> None:
        """Set every output's row to the mean embedding `(hidden,)`, as the paper does."""
        self.weight.copy_(mean_row.to(self.weight).expand_as(self.weight))


def solve_ridge(
    states: Tensor, targets: Tensor, strengths: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
) -> list[tuple[float, Tensor, Tensor]]:
    """Solve the linear head with squared loss in closed form.

    Args:
        states: `(rows, hidden)`.
        targets: `(rows, num_targets)`, standardised.
        strengths: Penalties, relative to the mean eigenvalue of the states' covariance.

    Returns:
        For each strength: itself, weights `(num_targets, hidden)` and offsets `(num_targets,)`
        such that the prediction is `states @ weights.T + offsets`; fp32 on the CPU.
    """
    x = states.detach().double().cpu()
    y = targets.detach().double().cpu()
    x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
    centred = x - x_mean
    covariance = centred.T @ centred / len(x)  # (hidden, hidden)
    cross = centred.T @ (y - y_mean) / len(x)  # (hidden, num_targets)
    size = covariance.diagonal().mean().clamp_min(1e-12)
    identity = torch.eye(len(covariance), dtype=torch.float64)
    solved = []
    for strength in strengths:
        weights = torch.linalg.solve(covariance + strength * size * identity, cross).T
        offsets = y_mean - weights @ x_mean
        solved.append((strength, weights.float(), offsets.float()))
    return solved
