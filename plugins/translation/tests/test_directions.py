"""The direction matrix: scores, intervals, tests against copying, the command and the picture."""

import csv
import json
import logging
import sys

import pytest

from taglm_core.errors import DataError
from taglm_translation.directions import read_translations
from taglm_translation.matrix import COPY, Translations, score_directions
from taglm_translation.metrics import chrf

WORDS = ["red", "green", "blue", "white", "black", "big", "small", "old"]


def table(count=30):
    """Return rows of two directions: en-fr translated well, fr-en written as nonsense."""
    rows = []
    for i in range(count):
        a, b = WORDS[i % 8], WORDS[(3 * i + 1) % 8]
        source, target = f"the house number {i} is {a}", f"la maison {b} porte le numéro {i}"
        rows.append(("EN", source, "FR", target, target if i % 3 else f"la maison {i}"))
        rows.append(("FR", target, "EN", source, "zzz"))
    return rows


def write(path, rows, column="Translate", target="target"):
    """Write rows as a table."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["src_lang", "source", "tgt_lang", target, column])
        writer.writerows(rows)
    return path


@pytest.fixture(autouse=True)
def _own_handlers(monkeypatch):
    """Give later tests the log handlers of before: the program sends its log to this stderr."""
    monkeypatch.setattr(logging.getLogger(), "handlers", list(logging.getLogger().handlers))


def held(rows):
    """Return rows with the copy beside."""
    src, source, tgt, truth, output = map(list, zip(*rows, strict=True))
    return Translations(
        list(zip(src, tgt, strict=True)), source, truth, {"Translate": output, COPY: source}
    )


def test_directions_are_scored_with_intervals_and_tests():
    """A good direction is above copying beyond chance, a bad one is not; zero-shot is marked."""
    rows = table()
    report = score_directions(held(rows), ["chrf"], {("EN", "FR")}, samples=200)
    good, bad = report["directions"]
    assert (good["from"], good["to"], good["trained"], good["rows"]) == ("EN", "FR", True, 30)
    own = good["chrf"]["Translate"]
    truth, output = zip(*[(r[3], r[4]) for r in rows if r[0] == "EN"], strict=True)
    assert own["score"] == pytest.approx(chrf(truth, output), abs=0.01)
    assert own["low"] < own["score"] < own["high"]
    assert good["chrf"][COPY]["p"] < 0.05
    assert good["chrf"][COPY]["score"] < own["low"]
    assert bad["trained"] is False
    assert bad["chrf"]["Translate"]["score"] < bad["chrf"][COPY]["score"]
    assert report["pooled"]["zero-shot"]["rows"] == report["pooled"]["trained"]["rows"] == 30
    again = score_directions(held(rows), ["chrf"], {("EN", "FR")}, samples=200)
    assert again == report


def test_a_single_system_has_an_interval_too():
    """Without anything to hold against there is no p."""
    only = Translations([("EN", "FR")] * 3, ["a", "b", "c"], ["x y", "y z", "z"], {"T": ["x"] * 3})
    found = score_directions(only, ["bleu"], samples=20)["pooled"]["all"]["bleu"]
    assert set(found["T"]) == {"score", "low", "high"}


def test_other_systems_are_matched_row_by_row(tmp_path):
    """The order of the other table does not matter; a missing row is an error."""
    rows = table(4)
    own = write(tmp_path / "own.csv", rows, target="measured")
    other = write(tmp_path / "other.csv", [(*r[:4], r[1].upper()) for r in reversed(rows)])
    found = read_translations(own, "Translate", {"upper": other})
    assert found.systems["upper"] == [text.upper() for text in found.source]
    write(tmp_path / "short.csv", rows[1:])
    with pytest.raises(DataError, match=r"short.csv lacks 1 of the 8 rows .* row 1"):
        read_translations(own, "Translate", {"short": tmp_path / "short.csv"})


def test_the_command_prints_writes_and_draws(tmp_path, monkeypatch, capsys):
    """One call gives table, JSON with signatures, and a picture."""
    from taglm_core.cli.main import main

    own = write(tmp_path / "own.csv", table(12))
    words = [own, "--samples", 20, "--out", tmp_path / "m.json", "--heat-map", tmp_path / "m.png"]
    monkeypatch.setattr(sys, "argv", ["taglm", "directions", *map(str, words)])
    with pytest.raises(SystemExit) as leave:
        main()
    assert not leave.value.code
    shown = capsys.readouterr().out
    assert "EN-FR" in shown
    assert "chrf: nrefs:1" in shown
    report = json.loads((tmp_path / "m.json").read_text())
    assert set(report["signatures"]) == {"chrf", "bleu"}
    assert len(report["directions"]) == 2
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_column_is_named(tmp_path, monkeypatch, capsys):
    """The message offers the columns there are."""
    from taglm_core.cli.main import main

    own = write(tmp_path / "own.csv", table(2), column="Output")
    monkeypatch.setattr(sys, "argv", ["taglm", "directions", str(own)])
    with pytest.raises(SystemExit) as leave:
        main()
    assert leave.value.code == 1
    assert "no column for the field 'Translate'" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--heat-map"])
def test_a_table_is_not_replaced_by_a_result(tmp_path, monkeypatch, capsys, option):
    """The name of a result says what it is."""
    from taglm_core.cli.main import main

    own = write(tmp_path / "own.csv", table(2))
    before = own.read_text()
    monkeypatch.setattr(sys, "argv", ["taglm", "directions", str(own), option, str(own)])
    with pytest.raises(SystemExit) as leave:
        main()
    assert leave.value.code == 1
    assert "own.csv: the name of this file must end in" in capsys.readouterr().err
    assert own.read_text() == before
