"""What stands in the place of a task: a name, a run file, or a table."""

import pytest

from taglm_core.api.tables import is_table
from taglm_core.errors import DataError
from taglm_core.plugins import load_registry


def test_a_file_without_an_ending_is_told_how_to_be_named(tmp_path, monkeypatch):
    """It would be an unknown task; a task keeps its name beside a file that is called like it."""
    registry = load_registry()
    monkeypatch.chdir(tmp_path)
    for name in ("lab", "QED"):
        (tmp_path / name).write_text("smiles,y\nCCO,1\n")
    with pytest.raises(DataError, match=r"lab: unknown extension ''.* are 'lab.csv'"):
        is_table("lab", registry)
    assert not is_table("QED", registry)
    assert not is_table("chem/QED", registry)
    assert not is_table("nothing", registry)
    assert not is_table("task.yaml", registry)
