"""The program with proteins: runs, FASTA in and out, and every kind of bad row."""

import csv
import gzip
import json
from pathlib import Path

import pytest
import yaml

from taglm_protein.generated import task_sequences
from taglm_protein.labels import blosum1

ROOT = Path(__file__).parents[3]
SMALL = (
    "stages.domain.size=60",
    "stages.domain.max_steps=2",
    "stages.domain.tag_length=3",
    "stages.task.max_steps=3",
    "stages.task.tag_length=3",
    "precision=fp32",
    "baselines=[mean,ridge]",
)


def settings(*more):
    """Return the options that keep a run small."""
    return [word for value in (*SMALL, *more) for word in ("--set", value)]


@pytest.fixture
def short():
    """Generated sequences that fit the tiny backbone."""
    return [row for row in task_sequences(seed=0, size=400)["sequence"] if len(row) < 120]


@pytest.fixture
def fasta(tmp_path, short):
    """Write them as a compressed FASTA file, wrapped at 60."""
    lines = []
    for number, row in enumerate(short, start=1):
        lines += [f">P{number} made up", *(row[i : i + 60] for i in range(0, len(row), 60))]
    path = tmp_path / "proteins.fasta.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


@pytest.fixture
def finished(taglm, tiny, fasta, tmp_path):
    """Return the folder of a finished run of Descriptor on the FASTA file."""
    words = ["--backbone", tiny, "--data", fasta, "--domain-data", f"Protein={fasta}"]
    done = taglm("run", "Descriptor", *words, *settings(), "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert "split: protein/cluster" in done.out
    return tmp_path / "run"


def test_descriptor_learns_from_fasta(finished, short, taglm, tmp_path):
    """Labels are computed, ridge solves what is linear, and stage 1 left the test bucket out."""
    metrics = json.loads((finished / "metrics.json").read_text())["tasks"]["Descriptor"]
    test = metrics["splits"]["test"]
    assert {"mse", "mae", "r2"} <= set(test["metrics"])
    assert test["baselines"]["ridge"]["r2"] > 0.7
    assert test["metrics"]["r2"] < 1
    stage = metrics["stages"][0]
    assert stage["corpus"].endswith("proteins.fasta.gz")
    assert stage["test_bucket_rows_left_out"] >= test["rows"]
    rows = list(csv.DictReader((finished / "predictions" / "test.csv").open()))
    assert {row["sequence"] for row in rows} <= set(short)
    truth = blosum1({"sequence": [row["sequence"] for row in rows]})[:, 0]
    assert [float(row["blosum1.computed"]) for row in rows] == pytest.approx(truth.tolist())


def test_predictions_for_fasta_are_a_table(finished, taglm, tmp_path):
    """Names stay beside the predictions, bad records are kept with their reason or fixed."""
    source = tmp_path / "in.faa"
    source.write_text(">A one\nMKTAYIAKQR\nQISF\n>B\nMKTAYIAKQR*\n>C\nMKT1\n>D\n\n")
    out = tmp_path / "out.csv"
    done = taglm("predict", finished, "-i", source, "-o", out)
    assert done.code == 0, done.err
    rows = list(csv.DictReader(out.open()))
    assert list(rows[0]) == [
        *("id", "description", "sequence", "Descriptor"),
        *("training_similarity", "unlike_training", "error"),
    ]
    assert [row["id"] for row in rows] == ["A", "B", "C", "D"]
    assert rows[0]["sequence"] == "MKTAYIAKQRQISF"
    assert [bool(row["Descriptor"]) for row in rows] == [True, False, False, False]
    assert "'*' at position 11 (a stop); --fix" in rows[1]["error"]
    assert "'1' at position 4" in rows[2]["error"]
    assert rows[3]["error"] == "sequence: empty"
    again = taglm("predict", finished, "-i", source, "-o", out, "--fix")
    assert "1 of 4 rows fixed, the first is row 2" in again.err
    changes = [row["fixed"] for row in csv.DictReader(out.open())]
    assert [bool(change) for change in changes] == [False, True, False, False]
    rows = list(csv.DictReader(out.open()))
    assert [bool(row["Descriptor"]) for row in rows] == [True, True, False, False]
    assert rows[1]["sequence"] == "MKTAYIAKQR*"
    refused = taglm("predict", finished, "-i", source, "-o", tmp_path / "out.fasta")
    assert refused.code == 1
    assert "Write a .csv" in refused.err


def test_protparam_predicts_five_numbers_at_once(taglm, tiny, tmp_path):
    """Each target has its own metrics, in its own unit."""
    more = settings("data.size=120", "backbone=" + str(tiny), "data.on_long=skip")
    done = taglm("run", "ProtParam", *more, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    task = json.loads((tmp_path / "run" / "metrics.json").read_text())["tasks"]["ProtParam"]
    test = task["splits"]["test"]
    assert test["baselines"]["ridge"]["r2.molecular_weight"] > 0.99
    assert test["metrics"]["mae.molecular_weight"] > test["metrics"]["mae.isoelectric_point"]
    assert task["target"]["unit"] == "Da, pH, 1, 1, 1"
    columns = next(csv.reader((tmp_path / "run" / "predictions" / "test.csv").open()))
    assert "isoelectric_point.computed" in columns


def variants(values, column="Target"):
    """Return a CSV of sequences with a number and a split for each."""
    splits = ["train", "train", "train", "valid", "test"]
    lines = [f"{row},{y},{splits[i % 5]}" for i, (row, y) in enumerate(values)]
    return f"{column},Y,split_sampled\n" + "\n".join(lines) + "\n"


def good_rows(number=40):
    """Return variants of a peptide with made-up numbers."""
    letters = "ACDEFGHIKLMNPQRSTVWY"
    return [
        (f"MKTAYIAK{letters[i % 20]}QR{letters[i // 2 % 20]}E", str(i % 7 / 2))
        for i in range(number)
    ]


def run_gb1(taglm, tiny, tmp_path, text, *words):
    """Run the shipped GB1 example on other rows."""
    (tmp_path / "gb1.csv").write_text(text)
    example = ROOT / "examples" / "gb1.yaml"
    options = ["--data", "gb1.csv", "--backbone", tiny, "--out", tmp_path / "run"]
    return taglm("run", example, *options, *settings(), *words)


def test_the_gb1_example_runs(taglm, tiny, tmp_path):
    """The shipped file fits the columns of FLIP."""
    done = run_gb1(taglm, tiny, tmp_path, variants(good_rows()))
    assert done.code == 0, done.err
    assert "split: column split_sampled" in done.out
    shipped = yaml.safe_load((ROOT / "examples" / "gb1.yaml").read_text())
    assert shipped["data"]["split"] == {"column": "split_sampled"}


def test_variants_of_one_protein_cannot_be_split_by_cluster(taglm, tiny, tmp_path):
    """The message says which split would do."""
    core = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"
    rows = [(core + row, y) for row, y in good_rows()]
    words = ("--split", "cluster")
    done = run_gb1(taglm, tiny, tmp_path, variants(rows), *words)
    assert done.code == 1
    assert "leaves no rows in the" in done.err
    assert "--split random" in done.err


BAD = {
    "unknown residue": ("MKT1A,1", ["row 41", "unknown residue '1' at position 4"]),
    "stop inside": ("MK*TA,1", ["row 41", "'*' at position 3 (a stop inside"]),
    "stop": ("MKTA*,1", ["row 41", "'*' at position 5 (a stop)", "--fix"]),
    "lower case": ("MKtA,1", ["row 41", "'t' at position 3 (lower case)", "--fix"]),
    "gap": ("MK-TA,1", ["row 41", "'-' at position 3 (a gap"]),
    "empty": (",1", ["row 41", "sequence: empty"]),
    "infinite": ("MKTA,inf", ["row 41", "'Y'", "'inf' is infinite"]),
    "missing": ("MKTA,", ["row 41", "'Y'", "the cell is empty"]),
    "no number": ("MKTA,high", ["row 41", "'Y'", "'high' is not a number"]),
    "too long": (f"{'MKTAY' * 1000},1", ["row 41", "too long", "--on-long skip"]),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_rows_are_reported_with_file_and_row(kind, taglm, tiny, tmp_path):
    """One message that names file, row and fix, and nothing half written."""
    line, words = BAD[kind]
    done = run_gb1(taglm, tiny, tmp_path, variants(good_rows()) + line + ",train\n")
    assert done.code == 1
    assert done.err.count("error: ") == 1
    assert "Traceback" not in done.err
    for word in ["gb1.csv", *words]:
        assert word in done.err, done.err
    assert len(done.err.splitlines()[-3]) < 300, "the sequence itself is not poured out"
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_bad_rows_can_be_kept_out_or_fixed(taglm, tiny, tmp_path):
    """Nothing disappears silently: each row stands in a file of the run."""
    lines = [f"{line},train" for line, _ in BAD.values()]
    text = variants(good_rows()) + "\n".join(lines) + "\n"
    words = ("--on-error", "skip", "--on-long", "skip", "--fix")
    done = run_gb1(taglm, tiny, tmp_path, text, *words)
    assert done.code == 0, done.err
    run = tmp_path / "run"
    fixed = list(csv.DictReader((run / "fixed.csv").open()))
    assert [row["row"] for row in fixed] == ["43", "44", "45"]
    assert fixed[1]["change"] == "sequence: 1 lower-case residue read as upper case"
    rejected = list(csv.DictReader((run / "rejected.csv").open()))
    assert sorted(int(row["row"]) for row in rejected) == [41, 42, 46, 47, 48, 49, 50]
    task = json.loads((run / "metrics.json").read_text())["tasks"]["GB1"]
    assert (task["rows_skipped"], task["rows_fixed"]) == (7, 3)


def test_rare_residues_are_data_but_have_no_descriptor(taglm, tiny, tmp_path, fasta, short):
    """X and U are encoded; only the index has no value for them, which is said with the row."""
    rows = [(row.replace("Q", "X"), y) for row, y in good_rows()]
    assert run_gb1(taglm, tiny, tmp_path, variants(rows)).code == 0
    (tmp_path / "x.fasta").write_text("".join(f">a\n{row}\n" for row in [*short, "MKTXU"]))
    words = ["--data", "x.fasta", "--backbone", tiny, "--out", tmp_path / "x"]
    done = taglm("run", "Descriptor", *words, *settings())
    assert done.code == 1
    assert f"x.fasta: 1 of {len(short) + 1} rows" in done.err
    assert f"row {len(short) + 1}: blosum1 cannot be computed" in done.err


def test_data_check_finds_contradictions_between_rows(taglm, tmp_path):
    """Equal sequences with different values, and bad rows, before anything is trained."""
    rows = [*good_rows(), (good_rows()[0][0], "9.5"), ("MKt", "1")]
    (tmp_path / "gb1.csv").write_text(variants(rows))
    done = taglm("data", "check", "gb1.csv", "--target", "Y", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["fields"]["sequence"]["column"] == "Target"
    assert found["fields"]["sequence"]["invalid"]["count"] == 1
    conflicts = found["targets"]["Y"]["conflicts"]
    assert conflicts["groups"] == 1
    assert conflicts["examples"] == [{"rows": [1, 41], "values": [0.0, 9.5]}]


def test_a_bad_record_in_the_corpus_is_named(taglm, tiny, tmp_path, fasta):
    """The file of stage 1 is checked like any other, and can be fixed as well."""
    corpus = tmp_path / "corpus.fasta"
    corpus.write_text("".join(f">p\n{row}\n" for row, _ in good_rows()) + ">bad\nMKTAYIA*\n")
    words = ["--backbone", tiny, "--data", fasta, "--domain-data", f"Protein={corpus}"]
    done = taglm("run", "Descriptor", *words, *settings(), "--out", tmp_path / "run")
    assert done.code == 1
    assert "corpus.fasta" in done.err
    assert "row 41: unknown residue '*' at position 8" in done.err
    again = taglm("run", "Descriptor", *words, *settings(), "--fix", "--out", tmp_path / "run")
    assert again.code == 0, again.err
    assert "corpus.fasta: 1 of 41 rows fixed" in again.err
