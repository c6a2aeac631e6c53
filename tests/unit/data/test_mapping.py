"""Columns that are given to names: a name that nothing reads is never ignored."""

import pytest

import taglm_core as taglm
from taglm_core.data.mapping import check_mapping, column_names
from taglm_core.errors import ConfigError
from taglm_core.plugins import load_registry
from taglm_core.plugins.resolved import resolve_task


def task_of(target):
    """Return a task that reads plain text and has this target."""
    spec = taglm.Task(
        name="T", function_tag="T", template="{cell} <T>", target=target, metrics=("mae",)
    )
    return resolve_task(spec, "core", load_registry())


def test_fields_and_targets_can_be_given_columns():
    """A target may be named by itself or by the column it asks for."""
    task = task_of(taglm.Regression(names=("T",), columns=("Y",)))
    assert column_names(task) == ["cell", "T", "Y"]
    check_mapping({"cell": "a", "T": "b", "Y": "c", "year": "d"}, [task], ["year"])


def test_a_name_that_nothing_reads_is_refused():
    """It was meant for another file, or is a typing error."""
    task = task_of(taglm.Regression(names="Y"))
    said = r"columns={'cel': 'a'}: there is no .* Did you mean 'cell'\?"
    with pytest.raises(ConfigError, match=said):
        check_mapping({"cel": "a"}, [task])
