"""Letters of another alphabet that every residue alphabet contains."""

import pytest

from taglm_core.data.doubt import check_rows
from taglm_core.errors import DataError
from taglm_core.plugins import load_registry
from taglm_protein.doubt import doubt, kind_of
from taglm_protein.residues import canonical


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("ACGT", "a nucleotide sequence (DNA letters only)"),
        ("ACGTNNACGTACGTTTAGACGT", "a nucleotide sequence (DNA letters only)"),
        ("AUGGCUUAA", "a nucleotide sequence (RNA letters only)"),
        ("ACGT" * 20 + "RY", "a nucleotide sequence (DNA letters only)"),
        ("METLYSTHR", "residues in three-letter codes"),
    ],
)
def test_other_alphabets(row, kind):
    """DNA, RNA and three-letter codes are made of residue letters throughout."""
    assert doubt([row]) == [kind]


@pytest.mark.parametrize(
    "row",
    [
        "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ",
        "GGGGSGGGGSGGGGS",
        "GAGAGAGAGAGAGA",
        "AAAAAAAA",
        "GAT",
        "NNNN",
        "TTTAAATTTAAA",
    ],
)
def test_proteins_of_few_letters(row):
    """Linkers, silk, homopolymers and very short peptides are proteins."""
    assert doubt([row]) == [None]


def test_canonical_says_what_a_cell_looks_like():
    """The first wrong letter alone helps nobody who put a header or a SMILES there."""
    cells = [">sp|P00698|LYSC", "P00698", "Met-Lys-Thr", "CC(=O)Nc1ccccc1", "MKT*"]
    errors = canonical(cells).errors
    assert "it looks like a FASTA header" in errors[0]
    assert "it looks like a UniProt accession" in errors[1]
    assert "it looks like residues in three-letter codes" in errors[2]
    assert "it looks like a SMILES" in errors[3]
    assert "(a stop)" in errors[4]
    assert kind_of("1ABC") == "an identifier of the PDB"
    assert kind_of("ENSP00000369497.3") == "a database identifier"


def test_a_file_of_genes_is_refused_and_a_gene_among_proteins_is_said(caplog):
    """Three numbers for three genes would look like any other prediction."""
    domain = load_registry().domains.get("Protein")
    gene, read = "ATGAAAACCGCGTATATTGCG", "ACGTNNACGTACGTTTAGACGT"
    rows = [gene, read, "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"]
    check_rows(domain, "sequence", rows, "genes.fna", "raise")
    assert (
        "genes.fna: 2 of 3 distinct values of the field 'sequence' look like a nucleotide sequence"
        in caplog.text
    )
    with pytest.raises(DataError, match="3 of 4 distinct values"):
        check_rows(domain, "sequence", [*rows, "ATGCCC"], "genes.fna", "raise")
