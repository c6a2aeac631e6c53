"""A head that compares a row with training rows: ridge regressions with Gaussian kernels."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from taglm_core.model.standardized import Standardized
from taglm_core.model.trees import Trees

KERNEL = "kernel"
"""Name of this head in settings and artifacts."""
_TREES = "trees."


class KernelHead(Standardized):
    """Weighted sums of similarities to training rows, `exp(-gamma |x - point|^2)`.

    What is read is standardized by column, cut off at five standard deviations and scaled by block
    (states, features), so that each block counts the same in the distance. Outputs are the mean of
    one or several regressions, each with a kernel on its own columns; boosted trees on the columns
    as they are may be added.
    """

    points: Tensor
    reads: Tensor
    gamma: Tensor

    def __init__(self, width: int, num_outputs: int, num_points: int, num_kernels: int = 1) -> None:
        """Make room for the numbers that `taglm_core.training.head_choice` finds.

        Args:
            width: Columns that it reads: those of the states, then those of the features.
            num_outputs: Outputs.
            num_points: Training rows that rows are compared with.
            num_kernels: Regressions whose mean is the output.
        """
        super().__init__(width)
        # half precision halves the predictor; the fit uses the rounded points
        self.register_buffer("points", torch.zeros(num_points, width, dtype=torch.float16))
        self.register_buffer("reads", torch.ones(num_kernels, width, dtype=torch.bool))
        self.register_buffer("gamma", torch.ones(num_kernels))
        self.weight = nn.Parameter(torch.zeros(num_kernels, num_outputs, num_points))
        self.trees: Trees | None = None

    @staticmethod
    def of_state(state: Mapping[str, Tensor]) -> "KernelHead":
        """Return the head whose state dictionary this is.

        Predictors of format 2 may hold a single regression on all columns without saying so.
        """
        held = dict(state)
        if held["weight"].dim() == 2:
            held["weight"] = held["weight"].unsqueeze(0)
            held["gamma"] = held["gamma"].reshape(1)
            held["reads"] = torch.ones(1, len(held["mean"]), dtype=torch.bool)
        num_kernels, num_outputs, num_points = held["weight"].shape
        head = KernelHead(len(held["mean"]), num_outputs, num_points, num_kernels)
        trees = {key.removeprefix(_TREES): held[key] for key in held if key.startswith(_TREES)}
        if trees:
            head.trees = Trees.of_state(trees, len(held["mean"]), num_outputs)
        head.load_state_dict(held)
        return head.eval()

    @torch.no_grad()
    def scale_by(self, rows: Tensor, blocks: tuple[int, ...]) -> None:
        """Take zero, unit and weight of each column from training rows.

        Args:
            rows: `(rows, width)`.
            blocks: Widths of the blocks, which add up to `width`.
        """
        self.take_units(rows)
        scaled = self.scaled(rows)
        first = 0
        for width in blocks:
            square = float(scaled[:, first : first + width].square().sum(dim=1).mean())
            self.factor[first : first + width] *= square**-0.5 if square > 0 else 0.0
            first += width

    def distances(self, rows: Tensor, kernel: int) -> Tensor:
        """Return squared distances in the columns of a kernel: `(rows, points)`.

        In double precision, since weights of either sign cancel most of what they add up.

        Args:
            rows: `(rows, width)`, as `scaled` gives them.
            kernel: Which.
        """
        columns = self.reads[kernel]
        return squared_distances(rows[:, columns].double(), self.points[:, columns].double())

    @torch.no_grad()
    def slopes(self, kernel: int) -> Tensor:
        """Return how fast the outputs of a kernel change with each of its columns, `(columns,)`.

        The root of the mean squared derivative at the points, over all outputs: the diagonal of
        the average gradient outer product (Radhakrishnan et al., Science 2024).

        Args:
            kernel: Which; `reads` says which columns it has.
        """
        points, gamma = self.points[:, self.reads[kernel]].double(), self.gamma[kernel].double()
        similar = torch.exp(-gamma * squared_distances(points, points))
        total = torch.zeros(points.shape[1], dtype=torch.float64)
        for weight in self.weight[kernel].double():
            weighed = similar * weight
            slope = weighed @ points - points * weighed.sum(dim=1, keepdim=True)
            total += (2 * gamma * slope).square().mean(dim=0)
        return total.sqrt()

    @torch.no_grad()
    def add_trees(self, trees: Trees, share: float) -> None:
        """Make the outputs `share` times those of trees, and the rest what they were.

        Args:
            trees: On the columns that the head reads.
            share: From 0 to 1.
        """
        self.trees = Trees.of_state(trees.state_dict(), len(self.mean), self.weight.shape[1])
        self.trees.weight.mul_(share)
        self.weight.mul_(1 - share)

    def forward(self, rows: Tensor) -> Tensor:
        """Map `(batch, width)` to `(batch, num_outputs)`."""
        scaled = self.scaled(rows)
        outputs = torch.zeros(len(rows), self.weight.shape[1], dtype=torch.float64).to(
            scaled.device
        )
        for kernel, weight in enumerate(self.weight.double()):
            similar = torch.exp(-self.gamma[kernel].double() * self.distances(scaled, kernel))
            outputs = outputs + similar @ weight.T
        outputs = outputs / len(self.weight)
        if self.trees is not None:
            outputs = outputs + self.trees(rows)
        return outputs.float()


def squared_distances(rows: Tensor, points: Tensor) -> Tensor:
    """Return squared distances of `(rows, width)` to `(points, width)`: `(rows, points)`."""
    squares = rows.square().sum(dim=1, keepdim=True) + points.square().sum(dim=1)
    return (squares - 2 * rows @ points.T).clamp_min(0.0)
