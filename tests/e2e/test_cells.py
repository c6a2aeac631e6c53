"""Cells of molecules and proteins: missing ones, and characters that look like others."""

import pytest

from taglm_core.data.corpus import read_corpus
from taglm_core.data.fields import canonical_fields, read_fields
from taglm_core.data.fixing import fix_rows
from taglm_core.data.readers import read_table
from taglm_core.errors import DataError
from taglm_core.plugins import load_registry
from taglm_core.plugins.resolved import resolve_task
from taglm_core.specs import Regression, Task


def task_of(domain):
    """Return a task that reads one field of a domain."""
    registry = load_registry()
    found = registry.domains.get(domain).spec
    task = Task(
        name="T",
        function_tag="T",
        template=f"<{domain}>{{{found.field}}} <T>",
        target=Regression(names="Y"),
        metrics=("mae",),
    )
    return resolve_task(task, "core", registry)


def fields_of(domain, column):
    """Return canonical values and errors of a field of a domain."""
    task = task_of(domain)
    return canonical_fields({task.fields[0]: column}, task)


def test_missing_words_are_empty_before_rows_are_fixed():
    """`nan` would become the tripeptide NAN by reading lower case as upper case."""
    registry = load_registry()
    domain = registry.domains.get("Protein")
    cells = ["MKT", "nan", "NA", "NaN", "None", "", "mkt"]
    rows, changes = fix_rows(cells, domain)
    assert rows == ["MKT", "nan", "NA", "NaN", "None", "", "MKT"]
    assert [i for i, change in enumerate(changes) if change] == [6]
    fields, errors = fields_of("Protein", rows)
    assert fields["sequence"] == ["MKT", "", "", "", "", "", "MKT"]
    assert "'nan' stands for a missing value" in errors[1]
    assert errors[5] == "sequence: empty"


def test_json_nan_and_null_are_empty_fields(tmp_path):
    """They are no SMILES that is not valid."""
    (tmp_path / "a.jsonl").write_text('{"smiles":"CCO"}\n{"smiles":NaN}\n{"smiles":null}\n')
    fields, errors = fields_of("SMILES", read_table(tmp_path / "a.jsonl").columns["smiles"])
    assert fields["smiles"] == ["CCO", "", ""]
    assert errors == [None, "smiles: empty", "smiles: empty"]


@pytest.mark.parametrize(
    ("cell", "place"),
    [
        ("CCO\u200bC", r"character 4 is '\u200b' (U+200B ZERO WIDTH SPACE)"),
        ("CC\u00ad-O", r"character 3 is '\xad' (U+00AD SOFT HYPHEN)"),
        ("CC[O\u2212]", "character 5 is '\u2212' (U+2212 MINUS SIGN)"),
        ("CCl\u2082OZr", "character 4 is '\u2082' (U+2082 SUBSCRIPT TWO)"),
        ("C\u0421O", "character 2 is '\u0421' (U+0421 CYRILLIC CAPITAL LETTER ES)"),
        ("СС\u00a0О", "character 1 is 'С' (U+0421 CYRILLIC CAPITAL LETTER ES) and 3 more"),
    ],
)
def test_characters_that_look_alike_are_named(cell, place):
    """A syntax error in a SMILES that looks right helps nobody."""
    _, errors = fields_of("SMILES", [cell])
    assert place in errors[0]


def test_invisible_characters_around_a_row_do_no_harm():
    """They come with copies from web pages and with joined files."""
    fields, errors = fields_of("SMILES", ["\ufeffCCO", "CCO\u200b", "\u00a0CCO "])
    assert fields["smiles"] == ["CCO"] * 3
    assert errors == [None] * 3


def test_a_file_without_header_is_named(tmp_path):
    """The first line holds a molecule where a name is expected."""
    (tmp_path / "a.csv").write_text("CCO,ethanol\nCCN,ethylamine\n")
    table = read_table(tmp_path / "a.csv")
    task = task_of("SMILES")
    with pytest.raises(DataError, match=r"If the first line is a row and not a header \('CCO'"):
        read_fields(table, task, {})


def corpus_of(path, text):
    """Read a corpus of molecules from a file and return its rows."""
    path.write_text(text)
    registry = load_registry()
    domain = registry.domains.get("SMILES")
    return read_corpus(domain, registry, str(path), 0, None, "raise").rows


def test_a_corpus_of_one_row_is_refused(tmp_path):
    """One row is held out for scoring, and then none is left."""
    with pytest.raises(DataError, match="a corpus needs 2 rows or more.* 1 of 1 can be used"):
        corpus_of(tmp_path / "a.csv", "smiles\nCCO\n")


def test_a_corpus_with_another_column_says_what_helps(tmp_path):
    """The option --column speaks of the rows of the task, not of this file."""
    with pytest.raises(DataError, match="Rename the column in this file to 'smiles'") as raised:
        corpus_of(tmp_path / "a.csv", "Smiles_Std\nCCO\nCCN\n")
    assert "--column smiles=NAME" not in str(raised.value)


def test_a_corpus_has_the_same_missing_values(tmp_path):
    """Stage 1 trains on no word that stands for a missing row."""
    with pytest.raises(DataError, match="row 2: smiles: 'NA' stands for a missing value"):
        corpus_of(tmp_path / "a.csv", "smiles\nCCO\nNA\nCCN\n")
