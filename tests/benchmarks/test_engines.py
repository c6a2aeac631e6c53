"""What an engine costs is measured on the same rows, and both files are compared."""

import csv
import json
import re

import pytest
from artifacts import kept_predictor

from taglm_core.api import loading

SCRIPT = "engines"


@pytest.fixture
def asked(tmp_path, toy_registry, toy_backbone, monkeypatch, script):
    """Return the arguments of the script: a predictor of pairs, and a table of three."""
    monkeypatch.setattr(loading, "load_registry", lambda: toy_registry)
    monkeypatch.setattr(script, "load_registry", lambda: toy_registry)
    folder = kept_predictor("pair", tmp_path / "sum")
    config = json.loads((folder / "config.json").read_text())
    config["backbone"]["name"] = str(toy_backbone)
    (folder / "config.json").write_text(json.dumps(config))
    table = tmp_path / "pairs.csv"
    table.write_text("id,letters,digits\n1,abca,101\n2,zz,1\n3,bb,110\n")
    return [str(folder), str(table), "--engine", "local", "--rows", "8", "--part-rows", "3"]


def test_both_ways_write_the_same_file_and_a_line_is_printed(asked, script, monkeypatch, capsys):
    """Toy size, on the engine that is this process."""
    monkeypatch.setattr("sys.argv", ["engines.py", *asked, "--repeats", "2"])
    script.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    number = r"\d+\.\d"
    times = rf"{number} s \({number} s of the processor\)"
    shown = rf"8 rows in parts of 3: here {times}, local {times} and {times} to start, ratio .*"
    assert all(re.fullmatch(f"{shown}; files equal; load average {number}", line) for line in lines)


def test_files_that_differ_are_said(asked, script, monkeypatch, capsys):
    """The comparison can fail: an engine that writes something else is found out."""
    predict = script.predict_in_parts

    def spoiled(workers, request, progress):
        written = predict(workers, request, progress)
        request.output.write_text("id\n")
        return written

    monkeypatch.setattr(script, "predict_in_parts", spoiled)
    monkeypatch.setattr("sys.argv", ["engines.py", *asked])
    script.main()
    assert "; files differ; " in capsys.readouterr().out


def test_rows_are_repeated_from_the_beginning(tmp_path, script):
    """A small table makes a large one, in order, cells with commas included."""
    source, target = tmp_path / "a.csv", tmp_path / "b.csv"
    source.write_text('id,text\n1,"a, b"\n2,c\n')
    script.write_rows(source, target, 5)
    with target.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["id", "text"], ["1", "a, b"], ["2", "c"], ["1", "a, b"], ["2", "c"]] + [
        ["1", "a, b"]
    ]
