"""Linear heads in closed form: ridge regression, Huber's loss and censored targets."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from taglm_core.data.masks import same_rows
from taglm_core.errors import DataError

ALPHAS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Penalties of the closed form that are tried."""
_REWEIGHTINGS = 4
_LEAST_SPREAD = 1e-8
"""Variance of the states, relative to their squares, below which they count as equal."""
_MOST_RETRIES = 12
_IMPUTATIONS = 20
_LEAST_SIGMA = 1e-4
"""Spread of standardized targets about the outputs, so that a perfect fit stays finite."""
_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


def solve_ridge(
    states: Tensor,
    targets: Tensor,
    alphas: tuple[float, ...] = ALPHAS,
    delta: float | None = None,
    row_weights: Tensor | None = None,
) -> list[tuple[float, Tensor, Tensor]]:
    """Solve the linear head in closed form.

    Args:
        states: `(rows, hidden)`.
        targets: `(rows, num_targets)`, standardized; NaN where one is missing, which leaves the row
            out of this target's solution alone.
        alphas: Penalties, relative to the mean eigenvalue of the states' covariance.
        delta: Error from which a row counts by its size and not by its square (Huber), found by
            weighting rows anew a few times; None: squares throughout.
        row_weights: `(rows,)`, what each row counts; None: 1.

    Returns:
        For each alpha: itself, weights `(num_targets, hidden)` and offsets `(num_targets,)`
        such that the prediction is `states @ weights.T + offsets`; fp32 on the CPU.
    """
    states, targets = states.float().cpu(), targets.float().cpu()
    groups = same_rows(~targets.isnan().numpy())
    if len(groups) > 1 and delta is None:
        return _solve_groups(states, targets, groups, alphas, row_weights)
    statistics = SufficientStatistics(states.shape[1], targets.shape[1], groups)
    statistics.add(states, targets, weights=row_weights)
    if delta is None:
        return [(alpha, *statistics.solve(alpha)) for alpha in alphas]
    solutions = []
    for alpha in alphas:
        weights, offsets = statistics.solve(alpha)
        for _ in range(_REWEIGHTINGS):
            again = SufficientStatistics(states.shape[1], targets.shape[1], groups)
            errors = states @ weights.T + offsets - targets
            again.add(states, targets, weights=product(huber_weights(errors, delta), row_weights))
            weights, offsets = again.solve(alpha)
        solutions.append((alpha, weights, offsets))
    return solutions


def _solve_groups(
    states: Tensor,
    targets: Tensor,
    groups: Sequence[np.ndarray],
    alphas: Sequence[float],
    row_weights: Tensor | None,
) -> list[tuple[float, Tensor, Tensor]]:
    """Solve targets that lack different rows, one group after the other to bound the memory."""
    solutions = [
        (alpha, torch.zeros(targets.shape[1], states.shape[1]), torch.zeros(targets.shape[1]))
        for alpha in alphas
    ]
    for group in groups:
        own = targets[:, torch.from_numpy(group)]
        rows = ~own[:, 0].isnan()
        counts = None if row_weights is None else row_weights[rows]
        found = solve_ridge(states[rows], own[rows], tuple(alphas), row_weights=counts)
        for (_, weights, offsets), solved in zip(solutions, found, strict=True):
            weights[torch.from_numpy(group)], offsets[torch.from_numpy(group)] = solved[1:]
    return solutions


def solve_censored(
    states: Tensor,
    targets: Tensor,
    sides: Tensor,
    alphas: tuple[float, ...] = ALPHAS,
    row_weights: Tensor | None = None,
) -> list[tuple[float, Tensor, Tensor, Tensor]]:
    """Solve the linear head of targets of which some are only known to lie beyond a limit.

    The Tobit model (Tobin 1958) by expectation and maximization: a limit is replaced by the mean of
    what lies beyond it under the present head, then the head is solved, and so on.

    Args:
        states: `(rows, hidden)`.
        targets: `(rows, num_targets)`: values and limits, standardized; NaN where one is missing,
            which leaves the row out of this target's solution alone.
        sides: `(rows, num_targets)`: below 0 where the target is at most its limit, above 0 where
            it is at least that, 0 where it is exact.
        alphas: Penalties, relative to the mean eigenvalue of the states' covariance.
        row_weights: `(rows,)`, what each row counts; None: 1.

    Returns:
        For each alpha: itself, weights `(num_targets, hidden)`, offsets `(num_targets,)` and
        standard deviations `(num_targets,)`.
    """
    states, targets, sides = states.float().cpu(), targets.float().cpu(), sides.float().cpu()
    counts = torch.ones(len(states)) if row_weights is None else row_weights.float().cpu()
    count, hidden = targets.shape[1], states.shape[1]
    solutions = [
        (alpha, torch.zeros(count, hidden), torch.zeros(count), torch.ones(count))
        for alpha in alphas
    ]
    for group in same_rows(~targets.isnan().numpy()):
        columns = torch.from_numpy(group)
        rows = ~targets[:, columns[0]].isnan()
        own = (targets[rows][:, columns], sides[rows][:, columns], counts[rows])
        solved = _solve_known(states[rows], *own, alphas)
        for (_, weights, offsets, sigma), found in zip(solutions, solved, strict=True):
            weights[columns], offsets[columns], sigma[columns] = found
    return solutions


def _solve_known(
    states: Tensor, targets: Tensor, sides: Tensor, counts: Tensor, alphas: Sequence[float]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield weights, offsets and standard deviations for each penalty; no target is missing."""
    statistics = SufficientStatistics(states.shape[1], targets.shape[1])
    statistics.add(states, targets, weights=counts)
    share = (counts / counts.sum().clamp_min(1e-12)).unsqueeze(1)  # (rows, 1)
    mean = (share * states).sum(dim=0)
    for alpha in alphas:
        weights, offsets = statistics.solve(alpha)
        sigma = (share * (states @ weights.T + offsets - targets).square()).sum(dim=0).sqrt()
        sigma = sigma.clamp_min(_LEAST_SIGMA)
        factor = statistics.factor(alpha)
        for _ in range(_IMPUTATIONS):
            filled, spread = impute(states @ weights.T + offsets, targets, sides, sigma)
            center = (share * filled).sum(dim=0)
            cross = states.T @ (share * (filled - center))  # (hidden, num_targets)
            weights = torch.cholesky_solve(cross.double(), factor).T.float()
            offsets = center - weights @ mean
            errors = (states @ weights.T + offsets - filled).square()
            sigma = (share * (errors + spread)).sum(dim=0).sqrt().clamp_min(_LEAST_SIGMA)
        yield weights, offsets, sigma


def impute(outputs: Tensor, targets: Tensor, sides: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Replace limits by the mean of what lies beyond them.

    Args:
        outputs: `(rows, num_targets)`, means of the targets.
        targets: `(rows, num_targets)`: values and limits.
        sides: `(rows, num_targets)`, as for `solve_censored`.
        sigma: `(num_targets,)`, standard deviations about the outputs.

    Returns:
        Targets `(rows, num_targets)`, and the variance of each: that beyond the limit for those at
        it, 0 for the others.
    """
    is_limit = sides != 0
    sign = sides.sign()
    z = sign * (outputs - targets) / sigma  # above 0 where the output lies beyond the limit
    hazard = torch.exp(-0.5 * z.square() - _LOG_SQRT_2PI - torch.special.log_ndtr(z))
    variance = (sigma.square() * (1 - z * hazard - hazard.square())).clamp_min(0.0)
    return torch.where(is_limit, outputs + sign * sigma * hazard, targets), torch.where(
        is_limit, variance, 0.0
    )


def mean_above(outputs: Tensor, censored_below: Tensor, sigma: Tensor) -> Tensor:
    """Return the mean of what is seen: a normal variable, or the limit where it lies below.

    Args:
        outputs: `(rows, num_targets)`, means before the cut.
        censored_below: `(num_targets,)`.
        sigma: `(num_targets,)`.
    """
    z = (outputs - censored_below) / sigma
    density = torch.exp(-0.5 * z.square() - _LOG_SQRT_2PI)
    # far below the limit the two terms cancel, and rounding must not lead under it
    above: Tensor = censored_below + sigma * (z * torch.special.ndtr(z) + density).clamp_min(0.0)
    return above


def huber_weights(errors: Tensor, delta: float) -> Tensor:
    """Return what each row weighs where errors above `delta` count by their size.

    Args:
        errors: `(rows, num_targets)`, standardized; NaN where a target is missing.
        delta: Error, averaged over the known targets, up to which a row weighs 1.

    Returns:
        `(rows,)`, above 0 and at most 1.
    """
    size = errors.detach().abs().nanmean(dim=1)
    return delta / size.clamp_min(delta)


def product(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Return what rows count that two reasons weigh; None: 1."""
    if first is None or second is None:
        return second if first is None else first
    return first.cpu() * second.cpu()


class SufficientStatistics:
    """Sums over rows that decide the closed-form head; earlier rows may fade.

    While a tag is trained its states move, so the head that fits them best is that of the recent
    rows. Following it exactly leaves the tag the gradient of the loss with an optimal head.
    """

    def __init__(
        self,
        hidden_size: int,
        num_targets: int,
        groups: Sequence[np.ndarray] | None = None,
    ) -> None:
        """Begin with no rows.

        Args:
            hidden_size: Columns of a state.
            num_targets: Targets.
            groups: Indices of the targets that are known in the same rows, as `same_rows` gives
                them; None: all targets are known in every row.
        """
        self.groups = list(groups) if groups is not None else [np.arange(num_targets)]
        size = hidden_size + 1
        self.states = torch.zeros(len(self.groups), size, size, dtype=torch.float64)
        """`(groups, hidden + 1, hidden + 1)`: sum of outer products of (state, 1)."""
        self.cross = torch.zeros(size, num_targets, dtype=torch.float64)
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
            targets: `(rows, num_targets)`, standardized; NaN where one is missing.
            window: Rows after which an earlier row counts a share of 1/e.
            weights: `(rows,)`, what each row counts; None: 1.
        """
        x = states.detach().double().cpu()
        x = torch.cat([x, x.new_ones(len(x), 1)], dim=1)  # (rows, hidden + 1)
        weighted = x if weights is None else x * weights.detach().double().cpu().unsqueeze(1)
        y = targets.detach().double().cpu()
        fade = math.exp(-len(x) / window)
        for place, group in enumerate(self.groups):
            columns = torch.from_numpy(group)
            known = ~y[:, columns[0]].isnan()
            own, own_weighted, own_y = x, weighted, y[:, columns]
            if not known.all():
                own, own_weighted, own_y = x[known], weighted[known], own_y[known]
            self.states[place].mul_(fade).add_(own_weighted.T @ own)
            self.cross[:, columns] = self.cross[:, columns] * fade + own_weighted.T @ own_y

    @torch.no_grad()
    def reset(self) -> None:
        """Forget all rows."""
        self.states.zero_()
        self.cross.zero_()

    @torch.no_grad()
    def factor(self, alpha: float, group: int = 0) -> Tensor:
        """Return the Cholesky factor `(hidden, hidden)` of the penalized covariance.

        Args:
            alpha: Penalty, relative to the mean eigenvalue of the states' covariance.
            group: Whose rows.

        Raises:
            DataError: when states or targets are not finite.
        """
        sums = self.states[group]
        count = sums[-1, -1].clamp_min(1.0)
        x_mean = sums[-1, :-1] / count
        covariance = sums[:-1, :-1] / count - torch.outer(x_mean, x_mean)
        square = float(sums.diagonal()[:-1].mean() / count)
        if not math.isfinite(square) or not bool(torch.isfinite(self.cross).all()):
            raise DataError(
                "the inputs of the head or its targets hold NaN or infinite numbers, so it cannot "
                "be fitted. Check the targets, and the backbone with --set precision=fp32."
            )
        # equal rows have no covariance but what rounding leaves of their squares
        size = max(float(covariance.diagonal().mean()), _LEAST_SPREAD * square, 1e-12)
        covariance.diagonal().add_(alpha * size)
        for _ in range(_MOST_RETRIES):
            solved = torch.linalg.cholesky_ex(covariance)
            if not int(solved.info):
                factor: Tensor = solved.L
                return factor
            covariance.diagonal().add_(size)
            size *= 10.0
        raise DataError(
            "the head cannot be fitted: its inputs form a singular matrix. Give more rows."
        )

    @torch.no_grad()
    def solve(self, alpha: float) -> tuple[Tensor, Tensor]:
        """Return weights `(num_targets, hidden)` and offsets `(num_targets,)`, fp32 on the CPU.

        A target without any row has weights and offset 0, its mean in standardized units.

        Args:
            alpha: Penalty, relative to the mean eigenvalue of the states' covariance.
        """
        all_weights = torch.zeros(self.cross.shape[1], len(self.cross) - 1, dtype=torch.float64)
        all_offsets = torch.zeros(self.cross.shape[1], dtype=torch.float64)
        for place, group in enumerate(self.groups):
            columns, sums = torch.from_numpy(group), self.states[place]
            count = sums[-1, -1].clamp_min(1.0)
            x_mean, y_mean = sums[-1, :-1] / count, self.cross[-1, columns] / count
            # (hidden, targets of the group)
            cross = self.cross[:-1, columns] / count - torch.outer(x_mean, y_mean)
            weights = torch.cholesky_solve(cross, self.factor(alpha, place)).T
            all_weights[columns], all_offsets[columns] = weights, y_mean - weights @ x_mean
        return all_weights.float(), all_offsets.float()
