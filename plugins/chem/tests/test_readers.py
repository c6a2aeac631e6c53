"""Files of molecules: SMI and SDF are read as tables."""

import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from taglm_core.errors import DataError
from taglm_core.plugin import iter_tables, read_table


def write(path, text):
    """Write a test file and return its path."""
    path.write_text(text)
    return path


@pytest.mark.parametrize("header", ["", "smiles name\n", "SMILES\n"])
def test_smi_takes_an_optional_name_and_header(tmp_path, header):
    """The name may hold spaces; a line without one has an empty name."""
    path = write(tmp_path / "a.smi", header + "CCO\tethyl alcohol\nC\n\nCC  x \n")
    table = read_table(path)
    assert table.columns == {"smiles": ["CCO", "C", "CC"], "name": ["ethyl alcohol", "", "x"]}


def record(structure, title="", is_3d=False, **fields):
    """Return a record of an SDF file."""
    mol = Chem.MolFromSmiles(structure, sanitize=False)
    mol.UpdatePropertyCache(strict=False)
    if is_3d:
        Chem.SanitizeMol(mol)
        mol = Chem.AddHs(mol)
        AllChem.EmbedMolecule(mol, randomSeed=1)
    else:
        AllChem.Compute2DCoords(mol)
    mol.SetProp("_Name", title)
    data = "".join(f">  <{name}>  (1)\n{value}\n\n" for name, value in fields.items())
    return Chem.MolToMolBlock(mol, kekulize=False) + data + "$$$$\n"


@pytest.mark.parametrize("is_3d", [False, True])
def test_sdf_gives_structures_names_and_fields(tmp_path, is_3d):
    """Stereochemistry comes from the coordinates; a field of one record only is None elsewhere."""
    smiles = ["C[C@H](N)C(=O)O", "F/C=C/F"]
    text = record(smiles[0], "alanine", is_3d, logS="-0.1", smiles="old", note="one\ntwo")
    text += record(smiles[1], "", is_3d, logS="2")
    table = read_table(write(tmp_path / "a.sdf", text))
    assert table.columns == {
        "smiles": [Chem.CanonSmiles(one) for one in smiles],
        "name": ["alanine", ""],
        "logS": ["-0.1", "2"],
        "field_smiles": ["old", None],
        "note": ["one two", None],
    }
    assert [t.rows for t in iter_tables(tmp_path / "a.sdf", chunk_rows=1)] == [[1], [2]]


def test_a_last_record_without_its_end_is_read(tmp_path):
    """Single molecules are saved without the line of dollars."""
    text = record("CCO", "ethanol").removesuffix("$$$$\n")
    assert read_table(write(tmp_path / "a.sdf", text)).columns["smiles"] == ["CCO"]


def test_records_that_cannot_be_read_stay_as_rows(tmp_path, caplog):
    """The row is there without a structure, and the log says which and why."""
    broken = record("CC(C)(C)(C)C")
    text = record("CCO") + broken + "nothing\n$$$$\n"
    table = read_table(write(tmp_path / "a.sdf", text))
    assert table.columns["smiles"] == ["CCO", None, None]
    assert "a.sdf: 2 of 3 records have no structure" in caplog.text
    assert "the first is record 2" in caplog.text


def test_an_empty_sdf_is_an_error(tmp_path):
    """No record, no table."""
    with pytest.raises(DataError, match="the file is empty"):
        read_table(write(tmp_path / "a.sdf", "\n"))
