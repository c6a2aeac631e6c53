"""A table of columns; reading and writing are elsewhere."""

from collections.abc import Sequence
from typing import Any

import attrs

from taglm_core.errors import DataError, ShapeError, nearest


@attrs.frozen
class Table:
    """Columns of equal length with the row numbers that a person would count in the file."""

    columns: dict[str, list[Any]]
    """Column -> values, in file order; text formats keep every cell as its exact string."""
    rows: list[int]
    """Number of each row in its file: the first row after the header is 1."""
    source: str
    """The file as the user named it, for messages such as "esol.csv, row 17"."""
    lines: list[int] | None = None
    """Number of the line of each row as an editor or a spreadsheet shows it, the header and blank
    lines counted; None: the rows have no lines, as in memory or in parquet."""

    def __attrs_post_init__(self) -> None:
        for name, values in self.columns.items():
            if len(values) != len(self.rows):
                raise ShapeError(
                    f"{self.source}: column '{name}' has {len(values)} values "
                    f"for {len(self.rows)} rows."
                )

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def select(self, indices: Sequence[int]) -> "Table":
        """Return the rows at these indices (from 0), which keep their numbers."""
        return Table(
            columns={name: [values[i] for i in indices] for name, values in self.columns.items()},
            rows=[self.rows[i] for i in indices],
            source=self.source,
            lines=None if self.lines is None else [self.lines[i] for i in indices],
        )

    def column(self, name: str) -> list[Any]:
        """Return the values of a column.

        Raises:
            DataError: when there is none of this name; offers the nearest.
        """
        if name not in self.columns:
            raise DataError(
                f"{self.source}: no column '{name}'.{nearest(name, self.columns)} "
                f"Columns: {', '.join(self.columns)}."
            )
        return self.columns[name]
