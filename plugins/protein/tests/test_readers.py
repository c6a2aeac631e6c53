"""FASTA files: every record is a row, and what is no FASTA is named."""

import gzip

import pytest

from taglm_core.errors import DataError
from taglm_core.plugin import clean_cell, iter_tables, read_table


def write(path, text, compress=False):
    """Write a test file and return its path."""
    data = text.encode()
    path.write_bytes(gzip.compress(data) if compress else data)
    return path


FASTA = ">P1 first one\nMKT\nAYI\n\n>P2\n;a comment\nMK*\n>\n>P4 no sequence\n"


@pytest.mark.parametrize("name", ["a.fasta", "a.fa", "a.faa", "a.FASTA.gz", "a.fas", "a.fna.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_fasta_gives_id_description_and_sequence(tmp_path, name, end):
    """Row n is record n, wrapped lines are joined, and nothing inside a sequence is changed."""
    path = write(tmp_path / name, "\ufeff" + FASTA.replace("\n", end), name.endswith("gz"))
    table = read_table(path)
    assert table.columns == {
        "id": ["P1", "P2", "", "P4"],
        "description": ["first one", "", "", "no sequence"],
        "sequence": ["MKTAYI", "MK*", "", ""],
    }
    assert table.rows == [1, 2, 3, 4]
    assert [t.rows for t in iter_tables(path, chunk_rows=3)] == [[1, 2, 3], [4]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nMKT\n>P1\n", "a.fasta, line 2: a FASTA record begins with .>. and a name.*.MKT."),
        ("@read1\nACGT\n+\n!!!!\n", "a.fasta, line 1: .*FASTQ"),
        ("", "the file is empty"),
        (";only a comment\n", "the file is empty"),
    ],
)
def test_faults_of_fasta_name_file_and_line(tmp_path, text, message):
    """A file that is something else is not read as one long sequence."""
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path / "a.fasta", text))


def test_a_peptide_may_be_called_na(tmp_path):
    """A record cannot be left out, so that the letters mean residues; elsewhere NA is missing."""
    path = write(tmp_path / "a.fasta", ">x\nNA\n>y\nNAN\n>z\n\n")
    read = [clean_cell(value) for value in read_table(path).columns["sequence"]]
    assert read == ["NA", "NAN", ""]
    table = read_table(write(tmp_path / "a.csv", "sequence\nNA\nNAN\n"))
    assert [clean_cell(value) for value in table.columns["sequence"]] == ["", ""]
