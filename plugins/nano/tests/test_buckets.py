"""The test bucket is a rule shared by the whole project: its values may never change."""

import pytest

KNOWN = [6, 7, 4, 3, 2]


def test_known_buckets(training_module):
    """Fixed keys fall into fixed buckets."""
    buckets = training_module("buckets")
    keys = ["", "scaffold:c1ccccc1", "acyclic:CCO", "text:Hello.", "protein:MKTAY"]
    assert KNOWN == [buckets.bucket(key) for key in keys]


def test_molecules_share_the_bucket_of_their_scaffold(training_module):
    """Stereo marks, side chains and spelling do not move a molecule out of its bucket."""
    pytest.importorskip("rdkit")
    buckets = training_module("buckets")
    for smiles in ("Cc1ccccc1", "OCCc1ccccc1", "c1ccccc1[C@H](C)N"):
        assert "scaffold:c1ccccc1" == buckets.molecule_key(smiles)


def test_acyclic_molecule_is_its_own_key(training_module):
    """A molecule without a ring has no scaffold."""
    pytest.importorskip("rdkit")
    buckets = training_module("buckets")
    assert "acyclic:CC(N)C(=O)O" == buckets.molecule_key("C[C@H](N)C(=O)O")


def test_unreadable_molecule_raises(training_module):
    """A typing error must not be given some bucket."""
    pytest.importorskip("rdkit")
    with pytest.raises(ValueError, match="cannot read the SMILES 'C1CC'"):
        training_module("buckets").molecule_key("C1CC")


def test_protein_key_is_a_kmer_that_survives_a_distant_mutation(training_module):
    """Near copies mostly share the smallest k-mer, so they share a bucket."""
    key = training_module("buckets").protein_key
    sequence = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
    kmer = key(sequence).removeprefix("protein:")
    assert len(kmer) == 5
    place = (sequence.index(kmer) + 20) % len(sequence)
    assert key(sequence) in {key(sequence[:place] + "W" + sequence[place + 1 :]), key(kmer)}
    assert "protein:MKT" == key("MKT")


def test_smiles_symbols(training_module):
    """Two letters are one symbol only where SMILES says so."""
    pytest.importorskip("rdkit")
    split = training_module("molecules").smiles_symbols
    assert ["S", "c", "[", "Sc", "]", "[", "C", "@@", "H", "]", "Cl"] == split("Sc[Sc][C@@H]Cl")
