"""Which columns hold which kind of data is found by names and contents, and never guessed."""

import pytest

from taglm_core.caller import at_command_line
from taglm_core.data.recognition import choose_inputs, matches
from taglm_core.data.table import Table
from taglm_core.errors import DataError
from taglm_core.plugins import load_registry

MOLECULES = ["CCO", "c1ccccc1", "CC(=O)O", "CCN(CC)CC", "OC(=O)c1ccccc1", "CCCl"]
PROTEINS = [
    "MKTAYIAKQRQISFVKSHFSRQ",
    "GSHMRYWDEFLLNPQTVAKRGE",
    "MVLSPADKTNVKAAWGKVGAHA",
    "MNIFEMLRIDEGLRLKIYKDTE",
    "AEAKQLNDRVWFEHIPTSGGML",
    "KVFGRCELAAAMKRHGLDNYRG",
]


@pytest.fixture(scope="module")
def registry():
    """Return the registry of the installed plugins."""
    return load_registry()


def table(**columns):
    """Return a table of six rows."""
    return Table(columns=columns, rows=list(range(1, 7)), source="lab.csv")


def names(inputs):
    """Return field, tag and column of each input."""
    return [(item.field, item.domain.spec.tag, item.column) for item in inputs]


@pytest.mark.parametrize("column", ["Structure", "smiles", "MOL", "Verbindung", "x"])
def test_molecules_are_found_under_any_name(registry, column):
    """A lab names its column as it likes; the contents decide."""
    made = table(**{"Cpd": [f"LAB-{i}" for i in range(6)], column: MOLECULES, "y": list("123456")})
    assert names(choose_inputs(made, registry, {}, ["y"])) == [("smiles", "SMILES", column)]


def test_a_few_bad_cells_do_not_matter(registry):
    """The share that can be read is kept for the message."""
    (found,) = choose_inputs(table(A=[*MOLECULES[:4], "c1ccccc", ""]), registry, {}, [])
    assert found.column == "A"
    assert found.share == pytest.approx(0.8)


@pytest.mark.parametrize(
    "cells",
    [
        ["active", "inactive"] * 3,
        ["ACTIVE", "INACTIVE"] * 3,
        ["NO", "YES"] * 3,
        ["CO", "IN", "CN", "NO", "PS", "F"],
        ["1.5", "-3", "7", "12", "1e-3", "0"],
        ["LAB-0001", "LAB-0002", "LAB-0003", "B12", "C1", "C2"],
        ["aspirin", "benzene", "caffeine", "phenol", "urea", "glycine"],
        ["P12345", "Q9Y6K9", "P69905", "P68871", "P01308", "O00206"],
        ["ACGTACGTACGTACGT", "TTGACCAGTACGGATC", "ACGTTGCAACGT"] * 2,
    ],
)
def test_other_columns_are_no_input(registry, cells):
    """Words, codes, numbers, names and identifiers are no rows of a domain."""
    assert matches(table(remark=cells), registry) == []
    with pytest.raises(DataError, match=r"no column holds .*<SMILES>.*Columns: remark\. Name the"):
        choose_inputs(table(remark=cells), registry, {}, [])


def test_two_domains_are_two_inputs(registry):
    """A file of pairs has both."""
    found = choose_inputs(table(Ki=list("123456"), Seq=PROTEINS, Lig=MOLECULES), registry, {}, [])
    assert sorted(names(found)) == [("sequence", "Protein", "Seq"), ("smiles", "SMILES", "Lig")]


def test_an_input_that_was_named_as_the_target_is_said(registry):
    """Rather than that no column holds what stands in it."""
    with pytest.raises(DataError, match="The column 'SMILES' may hold them, but it is a target"):
        choose_inputs(table(SMILES=MOLECULES, Y=list("123456")), registry, {}, ["SMILES"])


def test_two_columns_of_one_domain_are_a_question(registry):
    """Without a person it is an error that says what to write; a person chooses."""
    pair = table(drugA=MOLECULES, drugB=MOLECULES[::-1])
    with at_command_line(), pytest.raises(DataError, match="2 columns hold <SMILES>") as caught:
        choose_inputs(pair, registry, {}, [])
    assert "--column smiles=drugA" in str(caught.value)
    assert "--column smiles1=drugA --column smiles2=drugB" in str(caught.value)
    asked = []

    def second(question, answers, advice):
        asked.append(answers)
        return 1

    assert names(choose_inputs(pair, registry, {}, [], second)) == [("smiles", "SMILES", "drugB")]
    assert asked == [["drugA alone", "drugB alone", "all of them, as one input"]]
    both = choose_inputs(pair, registry, {}, [], lambda *given: 2)
    assert names(both) == [("smiles1", "SMILES", "drugA"), ("smiles2", "SMILES", "drugB")]
    given = choose_inputs(pair, registry, {"smiles1": "drugA", "smiles2": "drugB"}, [])
    assert names(given) == names(both)


def test_the_same_molecules_in_two_spellings_are_one_input(registry):
    """The column with the better name is taken."""
    other = ["OCC", "C1=CC=CC=C1", "OC(C)=O", "N(CC)(CC)CC", "c1ccccc1C(O)=O", "ClCC"]
    made = table(Structure=other, canonical_smiles=MOLECULES)
    assert names(choose_inputs(made, registry, {}, [])) == [
        ("smiles", "SMILES", "canonical_smiles")
    ]


def test_a_named_column_is_the_only_input(registry):
    """`--column` for one domain leaves the others out."""
    made = table(Seq=PROTEINS, Lig=MOLECULES)
    assert names(choose_inputs(made, registry, {"smiles": "Lig"}, [])) == [
        ("smiles", "SMILES", "Lig")
    ]


def test_a_column_that_nothing_can_read_is_found_by_its_name_only_if_it_can_be_read(registry):
    """A column called structure with names in it is no input."""
    assert matches(table(structure=["aspirin", "x?", "?", "n/a", "none", "-"]), registry) == []


def test_why_a_column_named_as_a_field_is_none_is_said(registry):
    """Names of drugs in a column SMILES: to name that column would not help."""
    drugs = ["aspirin", "benzene", "caffeine", "phenol", "urea", "glycine"]
    with pytest.raises(DataError, match=r"no column holds <SMILES>") as caught:
        choose_inputs(table(SMILES=drugs, y=list("123456")), registry, {}, ["y"])
    assert "In 'SMILES' 6 of 6 values are no <SMILES>, such as 'aspirin': not a valid" in str(
        caught.value
    )
    assert "Name the column" not in str(caught.value)
    with pytest.raises(DataError, match="Texts are read by a run file"):
        choose_inputs(table(review=drugs, y=list("123456")), registry, {}, ["y"])
