"""A task is found by name or in a run file, and a file's rows are read as a run would read them."""

import pytest

from taglm_core.errors import ConfigError, RowError, UnknownNameError
from taglm_core.plugins import load_registry
from taglm_core.training.taskfile import find_task, read_task_rows

RUN_FILE = """
task:
  name: Length
  template: "{text} <Length>"
  target: {kind: regression, columns: [n]}
data:
  columns: {text: Sentence}
"""


@pytest.fixture
def registry():
    """Return the core's own registrations."""
    return load_registry(only=())


def test_a_run_file_brings_task_and_columns(tmp_path, registry):
    """What a run file maps need not be said again."""
    (tmp_path / "run.yaml").write_text(RUN_FILE)
    task, columns = find_task(str(tmp_path / "run.yaml"), registry)
    assert (task.name, columns) == ("Length", {"text": "Sentence"})


def test_unknown_and_several_tasks_are_explained(tmp_path, registry):
    """Neither ends in a traceback."""
    with pytest.raises(UnknownNameError, match="unknown task 'QDE'"):
        find_task("QDE", registry)
    (tmp_path / "both.yaml").write_text("tasks: [A, B]\n")
    with pytest.raises(ConfigError, match="has several tasks. Give a run file with one"):
        find_task(str(tmp_path / "both.yaml"), registry)


def test_rows_are_read_and_split(tmp_path, registry):
    """Targets are read when they are needed only; invalid rows are listed or raise."""
    (tmp_path / "run.yaml").write_text(RUN_FILE)
    task, columns = find_task(str(tmp_path / "run.yaml"), registry)
    lines = ["Sentence", *(f"word {i}" for i in range(20)), '""']
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    rows = read_task_rows(tmp_path / "rows.csv", task, registry, columns=columns, seed=1)
    assert len(rows) == 20
    assert rows.rejected[0][0] == 21
    with pytest.raises(RowError, match="row 21"):
        read_task_rows(tmp_path / "rows.csv", task, registry, columns=columns, on_error="raise")
