"""Runs whose symbols start from other embeddings: what artifacts keep, what predictors give."""

import numpy as np
import pytest
import torch
from small_runs import PLAIN, SHARE, run, spaced_backbone, write_table
from toy_plugin import LettersEncoder

from taglm_core.data.readers import read_table
from taglm_core.model.symbols import symbol_rows
from taglm_core.store.artifact import load_artifact


@pytest.fixture
def backbone(tmp_path):
    """Save a backbone that has tokens for letters after a space, and return its folder."""
    made, folder = spaced_backbone(), tmp_path / "spaced"
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("how", [{}, {"domain_tags": False}, {"enrich": True}])
def test_a_predictor_reads_the_symbols_that_it_was_trained_with(
    tmp_path, toy_registry, backbone, how
):
    """Its table is kept, and its predictions are those of the run, also behind an untrained tag."""
    table, made = write_table(tmp_path), {}
    how = {"head": "linear", "tag": "input", **how}
    for init in ("bare", "spaced"):
        domain = {"symbol_init": init}
        made[init] = run(
            tmp_path, toy_registry, backbone, table, SHARE, PLAIN, domain=domain, **how
        )
    assert not load_artifact(made["bare"].folder / "predictor").tables
    spaced = made["spaced"]
    (kept,) = load_artifact(spaced.folder / "predictor").tables.values()
    spellings = LettersEncoder().spellings
    torch.testing.assert_close(kept, symbol_rows(spaced_backbone(), tuple(spellings), "spaced"))
    then = read_table(spaced.folder / "predictions" / "test.csv").columns
    rows, (name,) = {"letters": then["letters"]}, spaced.predictor.names
    now = spaced.predictor.predict(rows, "numpy")
    np.testing.assert_allclose(now, np.array(then[name], float), atol=2e-5)
    assert not np.allclose(now, made["bare"].predictor.predict(rows, "numpy"), atol=1e-3)


def test_the_store_tells_other_symbols_apart(tmp_path, toy_registry, backbone):
    """A second run takes tag and table from the store; another start trains another tag."""
    table = write_table(tmp_path)
    made = [
        run(tmp_path, toy_registry, backbone, table, SHARE, PLAIN, domain={"symbol_init": init})
        for init in ("mean", "mean", "bare")
    ]
    stages = [each.metrics["tasks"]["T"]["stages"][0].get("from_store", False) for each in made]
    assert stages == [False, True, False]
    rows = {"letters": ["abc", "aabbcc"]}
    first, second = (each.predictor.predict(rows, "numpy") for each in made[:2])
    np.testing.assert_allclose(first, second, atol=1e-6)
