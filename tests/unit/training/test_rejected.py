"""The file of skipped rows."""

import csv
from types import SimpleNamespace

from taglm_core.training.evaluation import _write_rejected


def test_skipped_rows_stand_in_the_order_of_the_file(tmp_path):
    """Rows too long are found after those that are empty, and stand between them in the file."""
    rows = SimpleNamespace(
        rejected=[(7, "empty"), (13, "empty"), (10, "too long")],
        fixed=[],
        test_source=None,
        lines_of=lambda listed: [row + 1 for row, _ in listed],
        cells_of=lambda listed: {"smiles": [f"cell {row}" for row, _ in listed]},
    )
    _write_rejected(SimpleNamespace(rows=rows), SimpleNamespace(path=tmp_path))
    with (tmp_path / "rejected.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [row["row"] for row in found] == ["7", "10", "13"]
    assert [row["line"] for row in found] == ["8", "11", "14"]
    assert [row["smiles"] for row in found] == ["cell 7", "cell 10", "cell 13"]
    assert found[1]["reason"] == "too long"
