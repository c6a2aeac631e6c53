"""A run that fails at once leaves nothing; one that began, or one beside it, stays."""

from taglm_core.store.runfolder import RunFolder


def opened(path):
    """Open a run folder."""
    folder = RunFolder(path)
    folder.open({"seed": 0})
    return folder


def test_folders_that_were_made_for_it_go_with_a_run_that_fails_at_once(tmp_path):
    """`runs/` itself is not left empty after a typing error."""
    opened(tmp_path / "runs" / "QED").close(discard=True)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_were_there_stay(tmp_path):
    """The user's own empty folder is not the run's to remove."""
    (tmp_path / "runs").mkdir()
    opened(tmp_path / "runs" / "QED").close(discard=True)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_other_runs_and_begun_ones_stay(tmp_path):
    """What another run put there meanwhile, or this one itself, is kept."""
    first = opened(tmp_path / "runs" / "QED")
    other = opened(tmp_path / "runs" / "ESOL")
    first.close(discard=True)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["ESOL"]
    other.log({"stage": 1})
    other.close(discard=True)
    assert (tmp_path / "runs" / "ESOL" / "metrics.jsonl").is_file()
