"""Fixing: a domain puts common faults right when asked, and each change is reported."""

import types

import pytest

import taglm_core as taglm
from taglm_core.data.fixing import fix_fields, fix_rows
from taglm_core.data.table import Table
from taglm_core.errors import PluginError
from taglm_core.plugins import load_registry
from taglm_core.plugins.resolved import resolve_task
from taglm_core.specs import Fixed


def upper(rows):
    """Read lower case as upper case."""
    changes = [None if row.isupper() else "read as upper case" for row in rows]
    return Fixed([row.upper() for row in rows], changes)


def too_few(rows):
    """Break the contract."""
    return Fixed(rows[:-1], [None] * (len(rows) - 1))


def registry_with(fix):
    """Return a registry with two domains, of which one can be fixed."""
    module = types.ModuleType("fixable")
    module.upper, module.too_few = upper, too_few

    @taglm.hookimpl
    def register_domains():
        return [
            taglm.Domain(tag="A", field="a", fix=f"{__name__}:{fix}"),
            taglm.Domain(tag="B", field="b"),
        ]

    @taglm.hookimpl
    def register_tasks():
        target = taglm.Regression(names=("y",))
        template = "<A>{a} and <B>{b} in {c} give <T>"
        return [taglm.Task(name="T", function_tag="T", template=template, target=target)]

    module.register_domains, module.register_tasks = register_domains, register_tasks
    return load_registry(only=(), extra=[("fixable", module)])


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    """References are imported by name, and this file is no installed module."""
    import sys

    module = types.ModuleType(__name__)
    module.upper, module.too_few = upper, too_few
    monkeypatch.setitem(sys.modules, __name__, module)


def test_only_domains_that_can_be_mended_are(caplog):
    """Rows of other domains and plain fields stay as they are, and the changes are listed."""
    registry = registry_with("upper")
    task = resolve_task(registry.tasks.get("T").spec, "fixable", registry)
    values = {"a": ["X", "y", None, ""], "b": ["b"] * 4, "c": ["c"] * 4}
    table = Table(columns=values, rows=[11, 12, 13, 14], source="file.csv")
    made, fixed = fix_fields(values, task, table)
    assert made == {"a": ["X", "Y", None, ""], "b": ["b"] * 4, "c": ["c"] * 4}
    assert fixed == [(12, "a: read as upper case")]
    assert "file.csv: 1 of 4 rows fixed, the first is row 12: a: read as upper case" in caplog.text


def test_a_wrong_number_of_rows_is_charged_to_the_plugin():
    """A fixing that loses rows would shift every label."""
    registry = registry_with("too_few")
    with pytest.raises(PluginError, match="fix of fixable/A gave 1 rows for 2"):
        fix_rows(["x", "y"], registry.domains.get("A"))
