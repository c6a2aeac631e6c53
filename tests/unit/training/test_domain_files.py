"""Names of a run that are wrong are refused, before rows are read where that is possible."""

import pytest

from taglm_core.api.request import prepare_run
from taglm_core.errors import DataError, UnknownNameError
from taglm_core.store.tagstore import TagStore
from taglm_core.training.domain_plan import check_domain_files
from taglm_core.training.plan import make_plans
from taglm_core.training.settings import run_config


@pytest.mark.parametrize("name", ["SMILES", "chem/SMILES"])
def test_a_tag_of_the_run_may_have_a_file(name):
    """With or without its plugin."""
    config = run_config("x", {"task": "QED", "data": {"domain": {name: "library.smi"}}})
    check_domain_files(config, {"SMILES"})


@pytest.mark.parametrize("name", ["smiles", "Protein", "nope"])
def test_a_file_of_another_tag_is_refused(name):
    """It would be left out without a word, and the corpus of the plugin be trained on."""
    config = run_config("x", {"task": "QED", "data": {"domain": {name: "library.smi"}}})
    with pytest.raises(UnknownNameError, match=f"no domain tag '{name}'") as caught:
        check_domain_files(config, {"SMILES"})
    assert ("Did you mean 'SMILES'?" in str(caught.value)) == (name == "smiles")


def test_a_missing_file_is_said_before_rows_are_read(toy_registry, toy_backbone):
    """Their labels may take minutes."""
    data = {"file": "rows.csv", "domain": {"Letters": "library.csv"}}
    content = {"task": "First", "data": data, "backbone": str(toy_backbone)}
    with pytest.raises(DataError, match=r"^library\.csv: no such file"):
        make_plans(run_config("x", content), toy_registry, TagStore())


def test_an_unknown_head_is_said_before_rows_are_read(toy_registry, toy_backbone):
    """A file of rows may take minutes."""
    content = {"task": "First", "data": {"file": "rows.csv"}, "backbone": str(toy_backbone)}
    content["stages"] = {"task": {"head": "nosuch"}}
    with pytest.raises(UnknownNameError, match="unknown head 'nosuch'"):
        make_plans(run_config("x", content), toy_registry, TagStore())


def test_a_dry_run_knows_its_loggers():
    """They are opened by a run alone."""
    with pytest.raises(UnknownNameError, match="--log-to: unknown logger 'nosuch'"):
        prepare_run("QED", log_to=["nosuch"])
