"""Boosted regression trees as tensors: sums of what the leaves hold that a row falls into."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from taglm_core.errors import CheckpointError

_CHUNK = 1000


class Trees(nn.Module):
    """Sums over trees of the value of a row's leaf, times the tree's weight for each output.

    Node by node a row goes left where its column is at most a threshold. A leaf is its own child;
    any other node stands before its children.
    """

    feature: Tensor
    threshold: Tensor
    child: Tensor
    value: Tensor
    root: Tensor

    def __init__(self, num_nodes: int, num_trees: int, num_outputs: int) -> None:
        """Make room for trees that were grown elsewhere.

        Args:
            num_nodes: Of all trees, leaves included.
            num_trees: Trees.
            num_outputs: Outputs.
        """
        super().__init__()
        self.register_buffer("feature", torch.zeros(num_nodes, dtype=torch.int32))
        self.register_buffer("threshold", torch.zeros(num_nodes))
        self.register_buffer("child", torch.zeros(num_nodes, 2, dtype=torch.int32))
        self.register_buffer("value", torch.zeros(num_nodes))
        self.register_buffer("root", torch.zeros(num_trees, dtype=torch.int32))
        self.weight = nn.Parameter(torch.zeros(num_trees, num_outputs))

    @staticmethod
    def of_state(state: Mapping[str, Tensor], width: int, num_outputs: int) -> "Trees":
        """Return the trees whose state dictionary this is.

        Args:
            state: The dictionary.
            width: Columns of the rows.
            num_outputs: Outputs.

        Raises:
            CheckpointError: when a node names no later node as its child, so that a row might never
                come to a leaf, or a column that rows do not have.
        """
        num_trees = len(state["root"])
        num_nodes = len(state["feature"])
        trees = Trees(num_nodes, num_trees, num_outputs)
        trees.load_state_dict(dict(state))
        own = torch.arange(num_nodes, device=trees.child.device).unsqueeze(1)
        is_leaf = (trees.child == own).all(dim=1, keepdim=True)
        goes_on = is_leaf | ((trees.child > own) & (trees.child < num_nodes))
        known = [(trees.root, num_nodes), (trees.feature, width)]
        in_range = all(bool(((each >= 0) & (each < end)).all()) for each, end in known)
        if not (in_range and bool(goes_on.all())):
            raise CheckpointError(
                "The boosted trees of the head are damaged: a node names a column or a node that "
                "cannot be. Write the predictor again."
            )
        return trees.eval()

    @torch.no_grad()
    def leaves(self, rows: Tensor) -> Tensor:
        """Return the values of the leaves that rows `(rows, width)` fall into: `(rows, trees)`."""
        found = [self._leaves(rows[i : i + _CHUNK].float()) for i in range(0, len(rows), _CHUNK)]
        return torch.cat(found) if found else self.value.new_zeros(0, len(self.root))

    def _leaves(self, rows: Tensor) -> Tensor:
        node = self.root.long().expand(len(rows), -1)
        while True:
            column = rows.gather(1, self.feature[node].long())
            # a NaN goes right, as a number beyond every threshold does
            is_right = ~(column <= self.threshold[node])
            below = self.child[node, is_right.long()].long()
            if torch.equal(below, node):
                return self.value[node]
            node = below

    def forward(self, rows: Tensor) -> Tensor:
        """Map `(batch, width)` to `(batch, num_outputs)`, float64."""
        outputs: Tensor = self.leaves(rows).double() @ self.weight.double()
        return outputs
