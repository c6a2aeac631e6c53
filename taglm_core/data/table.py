"""A table of columns, and which file formats hold one; reading and writing are elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from taglm_core.errors import DataError, ShapeError, nearest

FORMATS = ("csv", "tsv", "jsonl", "smi", "fasta", "parquet")

OTHER_NAMES = {"fa": "fasta", "faa": "fasta", "fas": "fasta", "fna": "fasta", "tab": "tsv"}
"""Further extensions, and the format that each stands for."""


@attrs.frozen
class Table:
    """Columns of equal length with the row numbers that a person would count in the file."""

    columns: dict[str, list[Any]]
    """Column -> values, in file order; text formats keep every cell as its exact string."""
    rows: list[int]
    """Number of each row in its file: the first row after the header is 1."""
    source: str
    """The file as the user named it, for messages such as "esol.csv, row 17"."""

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


_ADVICE = {
    "xlsx": "Save the sheet as csv",
    "xls": "Save the sheet as csv",
    "ods": "Save the sheet as csv",
    "json": "Write one JSON object a line into a .jsonl file",
    "sdf": "Write the SMILES into a .smi or .csv file",
    "zip": "Unpack the file",
}
"""What to do with a file of another extension."""


def _advice(path: Path, name: str) -> str:
    if name in _ADVICE:
        return f"{_ADVICE[name]}."
    stem = path.name.split(".")[0] or "table"
    return (
        "Rename the file so that its ending says what it holds: columns separated by commas are "
        f"'{stem}.csv', by tabs '{stem}.tsv'."
    )


@attrs.frozen
class FileFormat:
    """How a file holds a table."""

    name: str
    """One of `FORMATS`."""
    is_gzip: bool = False
    """True when the whole file is compressed by gzip."""


def is_table_file(path: str | Path) -> bool:
    """Say whether a file's name has the extension of a general table format, .gz allowed."""
    words = str(path).lower().removesuffix(".gz").rsplit(".", 1)
    name = OTHER_NAMES.get(words[-1], words[-1])
    return len(words) == 2 and name in FORMATS and name not in ("smi", "fasta")


def file_format(path: Path, given: str | None = None) -> FileFormat:
    """Tell a file's format from its name, or from what the user said.

    Args:
        path: The file; it need not exist.
        given: A format such as "csv" or "csv.gz"; None: the extension decides.

    Raises:
        DataError: listing the formats when none fits.
    """
    words = (given or path.name).lower().lstrip(".").split(".")
    is_gzip = words[-1] == "gz" or (given is not None and path.suffix.lower() == ".gz")
    if words[-1] == "gz":
        words.pop()
    name = words[-1] if words and (given is not None or len(words) > 1) else ""
    name = OTHER_NAMES.get(name, name)
    if name not in FORMATS:
        known = ", ".join(f".{known}" for known in FORMATS)
        what = f"unknown format '{given}'" if given else f"unknown extension '{path.suffix}'"
        raise DataError(
            f"{path}: {what}.{nearest(name, FORMATS)} Known: {known}, all but .parquet also with "
            f".gz. {_advice(path, name)}"
        )
    if name == "parquet" and is_gzip:
        raise DataError(f"{path}: parquet is compressed inside; do without gzip around it.")
    return FileFormat(name, is_gzip)
