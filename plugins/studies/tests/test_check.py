"""`taglm data check`: planted faults are found, clean files are called clean."""

import json
import sys
import types

import pytest
from typer.testing import CliRunner

import taglm_core as taglm
import taglm_core.plugins
import taglm_studies
from taglm_core.errors import DataError, PluginError, UnknownNameError
from taglm_core.plugins import load_registry
from taglm_studies.check import app, check_file
from taglm_studies.check_lines import report_lines
from taglm_studies.splits import split_file


def canonical(rows):
    """Take lower and upper case for one thing, and refuse '?'."""
    return taglm.Checked(
        [None if "?" in row else row.upper() for row in rows],
        ["has a '?'" if "?" in row else None for row in rows],
    )


class Toy:
    """A plugin with one domain and a few tasks."""

    @taglm.hookimpl
    def register_domains(self):
        """Return a domain with a canonical form."""
        return [
            taglm.Domain(
                tag="DNA", field="dna", aliases=("sequence",), canonical="toy_dna:canonical"
            )
        ]

    @taglm.hookimpl
    def register_tasks(self):
        """Return a task of each kind."""
        return [
            taglm.Task(
                name="Heat",
                function_tag="HEAT",
                template="<DNA>{dna} at {salt} melts at <HEAT>",
                target=taglm.Regression(names=("heat",), columns=("Tm",), unit="K"),
            ),
            taglm.Task(
                name="Length",
                function_tag="LEN",
                template="<DNA>{dna} <LEN>",
                target=taglm.Regression(names=("length",), compute="toy_dna:length"),
            ),
            taglm.Task(
                name="Kind",
                function_tag="KIND",
                template="<DNA>{dna} <KIND>",
                target=taglm.Classification(names=("kind",)),
            ),
            taglm.Task(
                name="Name",
                function_tag="NAME",
                template="<DNA>{dna} is called <NAME>{name}",
                target=taglm.Text(),
            ),
        ]


@pytest.fixture
def registry(monkeypatch):
    """Give a registry with the toy plugin alone."""
    module = types.ModuleType("toy_dna")
    module.canonical = canonical
    monkeypatch.setitem(sys.modules, "toy_dna", module)
    return load_registry(only=[], extra=[("toy", Toy()), ("studies", taglm_studies)])


@pytest.fixture
def faulty(tmp_path):
    """Write a file with one fault of each kind."""
    path = tmp_path / "faulty.csv"
    path.write_text(
        "Sequence,salt,Tm,split\n"
        "AC,1,300.0,train\n"  # 1
        "AC,1,300.0,test\n"  # 2: exact duplicate of 1, in another split
        "ac,1,310.0,valid\n"  # 3: canonical duplicate of 1 with another target
        "A?,1,301.0,train\n"  # 4: invalid
        ",,302.0,train\n"  # 5: empty row
        "GG,,303.0,train\n"  # 6: empty cell
        "GT,1,,train\n"  # 7: no target
        "TT,1,inf,train\n"  # 8: infinite target
        "CA,1,9000,train\n"  # 9: outlier
        + "".join(f"{'A' * n}T,1,{300 + n}.5,train\n" for n in range(1, 9)),
        encoding="utf-8",
    )
    return path


def test_faults_of_a_task_file(faulty, registry):
    """Every planted fault is found, with its row."""
    report = check_file(faulty, registry, task="Heat")
    assert report["rows"] == 17
    dna, salt = report["fields"]["dna"], report["fields"]["salt"]
    assert (dna["column"], dna["domain"]) == ("Sequence", "toy/DNA")
    assert dna["invalid"] == {"count": 1, "examples": [{"row": 4, "reason": "has a '?'"}]}
    assert [one["row"] for one in dna["empty"]["examples"]] == [5]
    assert [one["row"] for one in salt["empty"]["examples"]] == [5, 6]
    assert [one["row"] for one in report["empty_rows"]["examples"]] == [5]
    assert report["duplicates"] == {
        "exact": {"groups": 1, "repeated_rows": 1, "examples": [[1, 2]]},
        "canonical": {"groups": 1, "repeated_rows": 2, "examples": [[1, 2, 3]]},
    }
    splits = report["between_splits"]
    assert splits["rows"] == {"train": 15, "test": 1, "valid": 1}
    assert splits["exact"]["groups"] == {"test-train": 1}
    assert splits["canonical"]["groups"] == {"test-train": 1, "test-valid": 1, "train-valid": 1}
    assert splits["exact"]["examples"] == [{"test": 2, "train": 1}]
    heat = report["targets"]["heat"]
    assert heat["column"] == "Tm"
    assert [one["row"] for one in heat["unusable"]["examples"]] == [7, 8]
    assert "is infinite" in heat["unusable"]["examples"][1]["reason"]
    assert [one["row"] for one in heat["outliers"]["examples"]] == [9]
    assert heat["conflicts"]["groups"] == 1
    assert heat["conflicts"]["largest_spread"] == 10.0
    assert heat["conflicts"]["examples"] == [{"rows": [1, 2, 3], "values": [300.0, 300.0, 310.0]}]
    assert report["notes"] == []


def test_report_marks_what_was_found(faulty, registry):
    """The text names counts and rows."""
    text = "\n".join(report_lines(check_file(faulty, registry, task="Heat")))
    assert "field dna (column Sequence, domain toy/DNA)" in text
    assert "!!   1 invalid cells\n         row 4: has a '?'" in text
    assert "!!   2 rows repeat another (canonical)\n         rows 1, 2, 3" in text
    assert (
        "inputs in several splits (exact): test-train 1\n         test row 2, train row 1" in text
    )
    assert "1 of 1 repeated inputs have different targets: spread 10 (median) to 10" in text
    assert "row 9 9000, robust z" in text


def test_clean_file_is_called_clean(tmp_path, registry):
    """No line may cry wolf."""
    path = tmp_path / "a.csv"
    path.write_text("dna,kind,Y\n" + "".join(f"{'A' * (n + 1)},{n % 2},{n}.5\n" for n in range(20)))
    report = check_file(path, registry, targets=["Y", "kind"])
    lines = list(report_lines(report))
    assert not [line for line in lines if "!!" in line]
    assert report["targets"]["Y"]["kind"] == "regression"
    assert report["targets"]["kind"]["classes"] == {"0": 10, "1": 10}
    assert report["notes"] == ["rows between splits were not compared: no split column"]


@pytest.mark.parametrize("column", ["split", "Part", "partition", "subset"])
def test_split_columns_are_those_of_split_files(tmp_path, registry, column):
    """A name that a run takes for the column of the splits is one here."""
    path = tmp_path / "a.csv"
    path.write_text(f"dna,{column}\nAC,train\nAC,test\n")
    report = check_file(path, registry)
    assert report["between_splits"]["column"] == column
    assert report["between_splits"]["exact"]["groups"] == {"test-train": 1}


@pytest.mark.parametrize(
    ("task", "text", "name", "kind"),
    [
        ("Kind", "dna,kind\nA,x\nA,y\nC,x\nC,x\n", "kind", "classification"),
        ("Name", "dna,name\nA,x\nA,y\nC,z\nC,z\n", "name", "text"),
    ],
)
def test_conflicting_words(tmp_path, registry, task, text, name, kind):
    """Classes and texts can conflict too."""
    path = tmp_path / "a.csv"
    path.write_text(text)
    target = check_file(path, registry, task=task)["targets"][name]
    assert target["kind"] == kind
    assert target["conflicts"] == {
        "groups": 1,
        "repeated_inputs": 2,
        "examples": [{"rows": [1, 2], "values": ["x", "y"]}],
    }


def test_targets_that_are_not_there_are_noted(tmp_path, registry):
    """What was not checked is said."""
    path = tmp_path / "a.csv"
    path.write_text("dna,fold,split\nA,1,0\n")
    notes = check_file(path, registry, task="Length")["notes"]
    assert notes[1] == "target length was not checked: the task computes it"
    assert "row 1: column 'split' holds '0'" in notes[0]
    assert "no column for the field 'kind'" in check_file(path, registry, task="Kind")["notes"][1]
    assert "no target was checked" in check_file(path, registry)["notes"][1]


def test_mapping_names_columns(tmp_path, registry):
    """Columns of any name, also of fields that no domain has."""
    path = tmp_path / "a.csv"
    path.write_text("x,text,val,where\nA,hello,1.5,Training\na,hello,2.5,dev\n")
    mapping = {"dna": "x", "note": "text", "split": "where"}
    report = check_file(path, registry, mapping=mapping, targets=["val"])
    assert list(report["fields"]) == ["dna", "note"]
    assert report["between_splits"]["canonical"]["groups"] == {"train-valid": 1}
    assert report["targets"]["val"]["conflicts"]["groups"] == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mapping": {"dna": "nope"}}, DataError, "there is no column 'nope'"),
        ({"mapping": {"split": "nope"}}, DataError, "there is no column 'nope'"),
        ({"mapping": {"kind": "nope"}, "task": "Kind"}, DataError, "there is no column 'nope'"),
        ({"targets": ["nope"]}, DataError, "no column for the field 'nope'"),
        ({"task": "Heat"}, DataError, "no column for the field 'salt'"),
        ({"task": "Heart"}, UnknownNameError, "Did you mean 'Heat'"),
    ],
)
def test_mistakes_are_explained(tmp_path, registry, arguments, error, message):
    """A name that the user gave must exist."""
    path = tmp_path / "a.csv"
    path.write_text("dna\nA\n")
    with pytest.raises(error, match=message):
        check_file(path, registry, **arguments)


def test_texts_that_hardly_recur_are_no_classes(tmp_path, registry):
    """Decimal commas are wrong numbers, each with its reason, and not 20 classes."""
    path = tmp_path / "a.csv"
    rows = [f'{"A" * (n + 1)},"{n},5"\n' for n in range(20)]
    path.write_text("dna,Y\n" + "".join(rows))
    target = check_file(path, registry, targets=["Y"])["targets"]["Y"]
    assert target["kind"] == "regression"
    assert target["unusable"]["count"] == 20
    assert "write 0.5" in str(target["unusable"])


def test_a_table_that_is_split_is_not_replaced(tmp_path, registry):
    """`taglm data split lab.csv --out lab.csv` would leave numbers of rows alone."""
    path = tmp_path / "a.csv"
    path.write_text("dna,Tm\nA,1\nC,2\n")
    with pytest.raises(DataError, match="is read by this command"):
        split_file(path, path, registry, "Heat", None, {}, 0)
    assert path.read_text().startswith("dna,Tm")


def test_file_without_a_known_field(tmp_path, registry):
    """The message says how to name one."""
    path = tmp_path / "a.csv"
    path.write_text("x\nA\n")
    with pytest.raises(DataError, match=r"no column of a known field \(fields: dna\).*--task"):
        check_file(path, registry)


def test_broken_canonical_is_charged_to_its_plugin(tmp_path, registry, monkeypatch):
    """It has to give one answer a row."""
    monkeypatch.setattr(sys.modules["toy_dna"], "canonical", lambda rows: taglm.Checked([], []))
    path = tmp_path / "a.csv"
    path.write_text("dna\nA\n")
    with pytest.raises(PluginError, match="canonical of toy/DNA gave 0 values for 1 rows"):
        check_file(path, registry)


def test_command(faulty, registry, monkeypatch):
    """The command prints text, or JSON for a program."""
    monkeypatch.setattr(taglm_core.plugins, "load_registry", lambda: registry)
    command = registry.commands.get("data").spec
    assert command.app == "taglm_studies.check:app"
    text = CliRunner().invoke(app, ["check", str(faulty), "--task", "Heat"])
    assert text.exit_code == 0
    assert "17 rows" in text.output
    arguments = ["check", str(faulty), "--column", "split=split", "--target", "Tm", "--json"]
    found = json.loads(CliRunner().invoke(app, arguments).output)
    assert found["targets"]["Tm"]["outliers"]["count"] == 1
