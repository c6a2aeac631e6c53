"""The measuring scripts: ridge scores, sampling, and lines that an interruption cut."""

import json

import numpy as np
import pytest


def test_ridge_finds_what_is_linear_and_nothing_else(training_module):
    """A linear column scores near one, noise zero."""
    pytest.importorskip("torch")
    pytest.importorskip("tokenizers")
    scores = training_module("linear").ridge_scores
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 8))
    y = np.stack([x @ rng.normal(size=8) + 5, rng.normal(size=600)], axis=1)
    found = scores(x[:500], y[:500], x[500:], y[500:])
    assert found[0] > 0.99
    assert found[1] < 0.1


def test_samples_end_once(lm, tokenizer, training_module):
    """Behind the end comes only the end, and the first token stays what was asked."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("tokenizers")
    torch.manual_seed(0)
    firsts = torch.tensor(tokenizer.convert_tokens_to_ids(["C", "O"] * 8))
    end = tokenizer.eos_token_id
    rows = training_module("probe").sample(lm, firsts, 60, end)
    assert rows[:, 0].tolist() == firsts.tolist()
    ended = [row for row in rows.tolist() if end in row]
    assert len(ended) > 8
    assert all(set(row[row.index(end) :]) == {end} for row in ended)
    assert len({tuple(row) for row in ended}) > 4


def test_a_half_written_line_is_written_again(tmp_path, training_module):
    """What an interruption left behind is cut off, so that no line is broken or lost."""
    pytest.importorskip("rdkit")
    module = training_module("describe_molecules")
    path = tmp_path / "rows.jsonl"
    path.write_text('{"smiles": "CCO"}\n{"smiles": "C')
    rows = [("CCO", "a"), ("c1ccccc1", "b"), ("C1CC", "c")]
    module.append(path, training_module("molecules").divide, rows, 1)
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert found[0] == {"smiles": "CCO"}
    assert found[1]["smiles"] == "c1ccccc1"
    assert found[1]["source"] == "b"
    assert found[2] is None


def test_a_described_molecule(training_module):
    """Facts, descriptors without the labels of tasks, counts, and spellings of stereo marks."""
    chem = pytest.importorskip("rdkit.Chem")
    module = training_module("molecules")
    smiles = "C[C@H](N)C(=O)O"
    found = module.describe((smiles, "chembl"))
    assert " The number of heavy atoms is 6." in found["facts"]
    assert " The molecule contains a carboxylic acid and a primary amine." in found["facts"]
    assert len(found["descriptors"]) == len(module.descriptors())
    assert {chem.CanonSmiles(smiles)} == {chem.CanonSmiles(s) for s in found["variants"]}
    assert sum(count for _, count in found["counts"]) > 6
    assert module.describe(("CCO", module.MOSES)).keys() & {"facts", "variants"} <= {"variants"}
    assert module.describe(("C1CC", "chembl")) is None
