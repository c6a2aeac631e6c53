"""Heads: from the hidden state of the function tag's last row to outputs, and their optimum."""

import math

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


STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Penalties of the closed form that are tried."""
_REWEIGHTINGS = 4


def solve_ridge(
    states: Tensor,
    targets: Tensor,
    strengths: tuple[float, ...] = STRENGTHS,
    delta: float | None = None,
) -> list[tuple[float, Tensor, Tensor]]:
    """Solve the linear head in closed form.

    Args:
        states: `(rows, hidden)`.
        targets: `(rows, num_targets)`, standardised.
        strengths: Penalties, relative to the mean eigenvalue of the states' covariance.
        delta: Error from which a row counts by its size and not by its square (Huber), found by
            weighting rows anew a few times; None: squares throughout.

    Returns:
        For each strength: itself, weights `(num_targets, hidden)` and offsets `(num_targets,)`
        such that the prediction is `states @ weights.T + offsets`; fp32 on the CPU.
    """
    states, targets = states.float().cpu(), targets.float().cpu()
    moments = Moments(states.shape[1], targets.shape[1])
    moments.add(states, targets)
    if delta is None:
        return [(strength, *moments.solve(strength)) for strength in strengths]
    found = []
    for strength in strengths:
        weights, offsets = moments.solve(strength)
        for _ in range(_REWEIGHTINGS):
            again = Moments(states.shape[1], targets.shape[1])
            errors = states @ weights.T + offsets - targets
            again.add(states, targets, weights=huber_weights(errors, delta))
            weights, offsets = again.solve(strength)
        found.append((strength, weights, offsets))
    return found


def huber_weights(errors: Tensor, delta: float) -> Tensor:
    """Return what each row weighs where errors above `delta` count by their size.

    Args:
        errors: `(rows, num_targets)`, standardised.
        delta: Error, averaged over the targets, up to which a row weighs 1.

    Returns:
        `(rows,)`, above 0 and at most 1.
    """
    size = errors.detach().abs().mean(dim=1)
    return delta / size.clamp_min(delta)


class Moments:
    """Sums over rows that decide the closed-form head; earlier rows may fade.

    While a tag is trained its states move, so the head that fits them best is that of the recent
    rows. Following it exactly leaves the tag the gradient of the loss with an optimal head.
    """

    def __init__(self, hidden_size: int, num_targets: int) -> None:
        self.states = torch.zeros(hidden_size + 1, hidden_size + 1, dtype=torch.float64)
        """`(hidden + 1, hidden + 1)`: sum of outer products of (state, 1)."""
        self.cross = torch.zeros(hidden_size + 1, num_targets, dtype=torch.float64)
        """`(hidden + 1, num_targets)`: sum of (state, 1) times target."""

    @torch.no_grad()
    def add(
        self,
        states: Tensor,
        targets: Tensor,
        window: float = math.inf,
        weights: Tensor | None = None,
    ) -> None:
        """Add rows.

        Args:
            states: `(rows, hidden)`.
            targets: `(rows, num_targets)`, standardised.
            window: Rows after which an earlier row counts a share of 1/e.
            weights: `(rows,)`, what each row counts; None: 1.
        """
        x = states.detach().double().cpu()
        x = torch.cat([x, x.new_ones(len(x), 1)], dim=1)  # (rows, hidden + 1)
        weighted = x if weights is None else x * weights.detach().double().cpu().unsqueeze(1)
        fade = math.exp(-len(x) / window)
        self.states.mul_(fade).add_(weighted.T @ x)
        self.cross.mul_(fade).add_(weighted.T @ targets.detach().double().cpu())

    @torch.no_grad()
    def reset(self) -> None:
        """Forget all rows."""
        self.states.zero_()
        self.cross.zero_()

    @torch.no_grad()
    def solve(self, strength: float) -> tuple[Tensor, Tensor]:
        """Return weights `(num_targets, hidden)` and offsets `(num_targets,)`, fp32 on the CPU.

        Args:
            strength: Penalty, relative to the mean eigenvalue of the states' covariance.
        """
        count = self.states[-1, -1].clamp_min(1.0)
        x_mean, y_mean = self.states[-1, :-1] / count, self.cross[-1] / count
        covariance = self.states[:-1, :-1] / count - torch.outer(x_mean, x_mean)
        cross = self.cross[:-1] / count - torch.outer(x_mean, y_mean)  # (hidden, num_targets)
        size = covariance.diagonal().mean().clamp_min(1e-12)
        identity = torch.eye(len(covariance), dtype=torch.float64)
        factor = torch.linalg.cholesky(covariance + strength * size * identity)
        weights = torch.cholesky_solve(cross, factor).T
        return weights.float(), (y_mean - weights @ x_mean).float()
