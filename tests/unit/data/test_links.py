"""A symbolic link that leads nowhere is named as such, wherever a path is read or written."""

import pytest

from taglm_core.data.atomic import write_text
from taglm_core.data.memory import as_table
from taglm_core.data.readers import read_table
from taglm_core.data.textfiles import read_text
from taglm_core.errors import DataError
from taglm_core.store.runfolder import RunFolder


def opened(path):
    """Open a run folder."""
    RunFolder(path).open({"seed": 0})


def table_of(path):
    """Read a file as the API does."""
    as_table(path, ("smiles",), "task X")


READS = [read_table, read_text, table_of]
WRITES = [opened, lambda path: write_text(path, "")]


@pytest.mark.parametrize("use", [*READS, *WRITES])
def test_a_link_to_itself_is_no_riddle(tmp_path, use):
    """Not "no such file, did you mean this one"."""
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(DataError, match="symbolic link '.*' -> 'loop.csv' forms a loop"):
        use(tmp_path / "loop.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["loop.csv"]
    (tmp_path / "folder").symlink_to("folder")
    with pytest.raises(DataError, match="symbolic link '.*folder' -> 'folder' forms a loop"):
        use(tmp_path / "folder" / "a.csv")


@pytest.mark.parametrize("use", [*READS, opened])
def test_a_link_to_nothing_names_what_it_points_to(tmp_path, use):
    """The file was moved, the link stayed."""
    (tmp_path / "a.csv").symlink_to("moved.csv")
    with pytest.raises(DataError, match="'.*a.csv' -> 'moved.csv' points to a missing file"):
        use(tmp_path / "a.csv")


def test_a_file_may_be_written_through_a_link(tmp_path):
    """The link stays one."""
    (tmp_path / "a.txt").symlink_to("b.txt")
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "b.txt").read_text() == "new"
