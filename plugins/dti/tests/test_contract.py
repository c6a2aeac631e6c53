"""What the plugin registers keeps the contract of taglm's own suite; one test for each check."""

import pytest

from taglm_core.plugin import write_table
from taglm_dti import generated


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Return a folder with copies of the public sets: their columns, invented rows."""
    folder = tmp_path_factory.mktemp("datasets")
    made = generated.pairs(seed=0, size=300)
    drugs, targets, values = made["smiles"], made["sequence"], made["affinity"]
    columns = {"seq": targets, "smiles_can": drugs, "neg_log10_affinity_M": values}
    write_table(folder / "binding_affinity.csv", columns)
    years = [2013 + i % 9 for i in range(300)]
    columns = {"Drug": drugs, "Target": targets, "Y": values, "Year": years}
    write_table(folder / "bindingdb_patent.csv", columns)
    return folder


@pytest.mark.taglm_plugin("dti")
def test_contract(plugin_check, copies, monkeypatch):
    """The reason of a failure says what to fix."""
    monkeypatch.setenv("TAGLM_DATASETS", str(copies))
    plugin_check()
