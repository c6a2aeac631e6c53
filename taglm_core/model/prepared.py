"""Rows of a task on their way through a task model: assembled, not yet run."""

from typing import Any

import attrs
from torch import Tensor

from taglm_core.model.assembly import Rows


@attrs.frozen(eq=False)
class PreparedRows:
    """Rows of a task, ready to be run."""

    rows: Rows | None
    """The good rows, those of each order one after the other; None: no row is good."""
    good: list[int]
    """Indices of the rows without an error."""
    errors: list[str | None]
    """One entry a row."""
    features: Tensor | None
    """`(rows, features)` of a head that reads some."""

    @property
    def num_orders(self) -> int:
        """How often each good row is run: once for each order of a symmetric task."""
        return 1 if self.rows is None else len(self.rows) // len(self.good)

    def merged(self, values: Any) -> Any:
        """Return the mean over the orders, `(good rows, outputs)`; texts as they are."""
        if self.num_orders == 1:
            return values
        return values.reshape(self.num_orders, len(self.good), -1).mean(axis=0)
