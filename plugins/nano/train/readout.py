"""The auxiliary read-out: a linear map from states to a molecule's or protein's numbers.

It is thrown away after the training. What it leaves is a model whose states hold these numbers
linearly, at the end of a molecule or protein and behind the words and tags that follow.
"""

import levels
import numpy as np
import proteins
import torch
from batches import MOLECULE, PROTEIN
from torch import Tensor

COUNTS_CLIP = 5.0
# Weights of the mean squared errors beside the next-token loss of 1.
DESCRIPTORS, COUNTS, PROTEINS = 2.0, 1.0, 1.0
# Reading places that a token of a batch has on average, padding counted: the losses are sums over
# a batch divided by the usual number, so that every place weighs the same.
USUAL_READS = {MOLECULE: 0.0141, PROTEIN: 0.00146}


def molecule_targets(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return what is asked of each described molecule, float16, and the weights of the columns."""
    described = levels.to_targets(np.ascontiguousarray(arrays["levels"].T))
    counts = np.log1p(arrays["counts"].T.astype(np.float32))
    counts = (counts - counts.mean(0)) / (counts.std(0) + 1e-6)
    counts = np.clip(counts, -COUNTS_CLIP, COUNTS_CLIP).astype(np.float16)
    weights = np.concatenate(
        [
            np.full(described.shape[1], DESCRIPTORS / described.shape[1]),
            np.full(counts.shape[1], COUNTS / counts.shape[1]),
        ]
    )
    return np.concatenate([described, counts], axis=1), weights


def protein_targets(sequences: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return what is asked of each protein, float16, and the weights of the columns."""
    table = proteins.target_table(sequences)
    return table, np.full(table.shape[1], PROTEINS / table.shape[1])


class ReadOut:
    """One linear map for each table, the same at every reading place."""

    def __init__(
        self, tables: dict[int, tuple[np.ndarray, np.ndarray]], hidden: int, device: torch.device
    ) -> None:
        """Move the tables to the device.

        Args:
            tables: Targets (rows, numbers) and weights (numbers,) of each table.
            hidden: Size of the states.
            device: Where the states are.
        """
        self.targets: dict[int, Tensor] = {}
        self.weights: dict[int, Tensor] = {}
        self.hidden = hidden
        for number, (targets, weights) in tables.items():
            self.targets[number] = torch.from_numpy(targets).to(device)
            self.weights[number] = torch.from_numpy(weights).float().to(device)

    @property
    def size(self) -> int:
        """Return how many parameters the maps have."""
        return sum((self.hidden + 1) * len(weights) for weights in self.weights.values())

    def views(self, flat: Tensor) -> dict[int, Tensor]:
        """Return views of a flat tensor: maps (numbers, hidden + 1), the last column a shift."""
        found, start = {}, 0
        for table, weights in self.weights.items():
            size = (self.hidden + 1) * len(weights)
            found[table] = flat[start : start + size].view(len(weights), self.hidden + 1)
            start += size
        return found

    def loss(
        self, maps: dict[int, Tensor], states: Tensor, reads: dict[int, tuple[Tensor, Tensor]]
    ) -> dict[int, Tensor]:
        """Return the weighted squared error of each table over the usual number of reads.

        Args:
            maps: From `views`.
            states: (tokens, hidden).
            reads: For each table the places in the states and the rows of the table.
        """
        found = {}
        for table, (places, rows) in reads.items():
            if len(places):
                one = maps[table]
                told = torch.nn.functional.linear(states[places].float(), one[:, :-1], one[:, -1])
                wrong = told - self.targets[table][rows].float()
                usual = USUAL_READS[table] * len(states)
                found[table] = (wrong.square() * self.weights[table]).sum() / usual
        return found


NAMES = {MOLECULE: "molecule_read_out", PROTEIN: "protein_read_out"}
