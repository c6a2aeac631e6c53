"""What the plugin registers keeps the contract of taglm's own suite; one test for each check."""

import pytest

from taglm_chem import combinations
from taglm_core.plugin import write_table


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Return a folder with a copy of the public set: its columns, invented rows."""
    folder = tmp_path_factory.mktemp("datasets")
    made = combinations.made_up(seed=0, size=300)
    names = {field: columns[0] for field, columns in combinations.DRUGCOMB_CSS.columns.items()}
    columns = {names[field]: values for field, values in made.items() if field in names}
    write_table(folder / "drugcomb_css.csv", columns)
    return folder


@pytest.mark.taglm_plugin("chem")
def test_contract(plugin_check, copies, monkeypatch):
    """The reason of a failure says what to fix."""
    monkeypatch.setenv("TAGLM_DATASETS", str(copies))
    plugin_check()
