"""`taglm run Translate` from end to end on a tiny backbone, and what can be done with the run."""

import csv
import json
import logging
import sys
from types import SimpleNamespace

import pytest

from taglm_core.testing import tiny_backbone

SETTINGS = {
    "data.size": 60,
    "data.options": "{directions: [en=fr, en=el]}",
    "stages.domain.size": 60,
    "stages.domain.max_steps": 2,
    "stages.domain.tag_length": 3,
    "stages.domain.num_evaluations": 1,
    "stages.task.max_steps": 3,
    "stages.task.tag_length": 3,
    "stages.task.num_evaluations": 1,
    "decode.max_new_tokens": 6,
}


@pytest.fixture
def taglm(monkeypatch, capsys, tmp_path):
    """Return a function that runs the program in an own store."""
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path / "home"))
    # the program sends its log to this test's stderr; later tests get the handlers of before
    monkeypatch.setattr(logging.getLogger(), "handlers", list(logging.getLogger().handlers))

    def call(*arguments):
        from taglm_core.cli.main import main

        monkeypatch.setattr(sys, "argv", ["taglm", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as leave:
            code = leave.code or 0
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


@pytest.fixture
def backbone(tmp_path):
    """Save a tiny random backbone."""
    made = tiny_backbone("llama")
    made.model.save_pretrained(tmp_path / "tiny")
    made.tokenizer.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def settings(**changes):
    """Return the words of small settings."""
    return [w for k, v in (SETTINGS | changes).items() for w in ("--set", f"{k}={v}")]


@pytest.fixture
def multi(tmp_path):
    """Write a file with one column a language."""
    file = tmp_path / "multi.tsv"
    rows = [(f"one {i}", f"un {i}", f"uno {i}", f"um {i}") for i in range(30)]
    lines = ["en\tfr\tes\tpt", *("\t".join(row) for row in rows)]
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.slow
def test_translate_runs_without_data_and_tests_every_direction(taglm, backbone, tmp_path, multi):
    """Zero-shot directions are marked; the run scores a multi-column file."""
    out = tmp_path / "run"
    words = settings(**{"data.size": 300})
    done = taglm("run", "Translate", "--backbone", backbone, "--out", out, *words)
    assert done.code == 0, done.err
    assert "never seen together" in done.out
    task = json.loads((out / "metrics.json").read_text())["tasks"]["Translate"]
    groups = task["splits"]["test"]["groups"]
    assert len(groups) == 56
    assert sum(group["trained"] for group in groups) == 4
    assert task["signatures"]["bleu"].startswith("nrefs:1")
    zero = task["splits"]["test"]["zero_shot"]
    assert zero["rows"] == sum(g["rows"] for g in groups if not g["trained"])
    written = list(csv.DictReader((out / "predictions" / "test.csv").open()))
    assert {row["tgt_lang"] for row in written} == {"EN", "FR", "RU", "DE", "IT", "EL", "ES", "PT"}
    scores = tmp_path / "scores.csv"
    scored = taglm("evaluate", out, "-i", multi, "-o", scores, "--limit", 2, "--json")
    assert scored.code == 0, scored.err
    found = json.loads(scored.out)["tasks"]["Translate"]["splits"]["input"]
    assert found["rows"] == 2 * 12
    assert len(found["groups"]) == 12
    rows = list(csv.DictReader(scores.open()))
    assert [row["src_lang"] + row["tgt_lang"] for row in rows[:2]] == ["ENFR", "ENFR"]
    sampled = [
        taglm("evaluate", out, "-i", multi, "--limit", 1, "--json", "--decode", "sample").out
        for _ in range(2)
    ]
    assert sampled[0] == sampled[1]
    pictured = taglm("directions", out, "--samples", 20)
    assert pictured.code == 0, pictured.err
    assert "zero-shot" in pictured.out


@pytest.mark.slow
def test_own_pairs_and_a_tag_from_another_run(taglm, backbone, tmp_path, multi):
    """A multi-column file trains the directions asked for; tags of the store join later."""
    first, second = tmp_path / "first", tmp_path / "second"
    common = ["run", "Translate", "--backbone", backbone, "--data", multi]
    common += ["--dataset", "translation/multiway"]
    options = settings(**{"data.options": "{directions: [en=fr]}"})
    done = taglm(*common, "--out", first, *options)
    assert done.code == 0, done.err
    assert "30 sentences give" in done.err
    groups = json.loads((first / "metrics.json").read_text())["tasks"]["Translate"]
    assert len(groups["splits"]["test"]["groups"]) == 2
    source = tmp_path / "in.csv"
    source.write_text("src_lang,source,tgt_lang\nES,uno,PT\nFR,un,EN\n")
    target = tmp_path / "out.csv"
    alone = taglm("predict", first, "-i", source, "-o", target)
    assert alone.code == 0, alone.err
    assert "no domain tag <ES> is known" in alone.err
    missing = taglm("predict", first, "-i", source, "-o", target, "--tag", "ES")
    assert missing.code == 1
    assert "holds no trained tag <translation/ES>" in missing.err
    with_tags = settings(**{"data.options": "{directions: [en=fr]}", "task.tags": "[ES, PT]"})
    done = taglm(*common, "--out", second, *with_tags)
    assert done.code == 0, done.err
    recombined = taglm("predict", first, "-i", source, "-o", target, "--tag", "ES", "--tag", "PT")
    assert recombined.code == 0, recombined.err
    rows = list(csv.DictReader(target.open()))
    assert [row["error"] for row in rows] == ["", ""]
    own = taglm("predict", second, "-i", source, "-o", tmp_path / "own.csv")
    assert "could not" not in own.err


def test_no_text_is_decoded_by_a_numeric_task(taglm, backbone, tmp_path):
    """Options of decoding belong to text; unknown dataset options and tags are refused early."""
    given = ("--backbone", backbone, "--out", tmp_path / "run")  # not runs/QED of the quickstart
    done = taglm("run", "Translate", *given, *settings(**{"data.options": "{a: 1}"}))
    assert done.code == 1
    assert "dataset translation/phrases has no option 'a'" in done.err
    done = taglm("run", "QED", *given, "--set", "task.tags=[EN]", "--set", "data.size=50")
    assert done.code == 1
    assert "no column names a tag" in done.err


@pytest.mark.slow
def test_without_a_function_tag_nothing_is_trained_in_its_stage(taglm, backbone, tmp_path, multi):
    """A comparison: the domain tags alone; the artifact repeats what the run wrote."""
    out = tmp_path / "run"
    changes = {"data.options": "{directions: [en=fr]}", "stages.task.tag_length": 0}
    common = ["run", "Translate", "--backbone", backbone, "--data", multi]
    common += ["--dataset", "translation/multiway", "--out", out]
    done = taglm(*common, *settings(**changes))
    assert done.code == 0, done.err
    stage = json.loads((out / "metrics.json").read_text())["tasks"]["Translate"]["stages"][-1]
    assert stage["steps"] == 0
    assert stage["trained"] == {"<translation/Translate>": 0}
    written = {
        (row["src_lang"], row["source"]): row["Translate"]
        for row in csv.DictReader((out / "predictions" / "test.csv").open())
    }
    again = tmp_path / "again.csv"
    source = out / "predictions" / "test.csv"
    done = taglm("predict", out, "-i", source, "-o", again, "--overwrite-column")
    assert done.code == 0, done.err
    for row in csv.DictReader(again.open()):
        assert row["Translate"] == written[row["src_lang"], row["source"]]


def test_a_head_needs_a_function_tag_to_read(taglm, backbone, tmp_path):
    """Leaving it out is refused for numbers before anything is trained."""
    words = ["--set", "stages.task.tag_length=0", "--set", "data.size=50"]
    done = taglm("run", "QED", "--backbone", backbone, "--out", tmp_path / "r", *words)
    assert done.code == 1
    assert "the head of QED reads that tag" in done.err


def test_spbleu_without_its_model_is_found_before_training(taglm, backbone, tmp_path, monkeypatch):
    """A missing tokenizer model ends the run at once."""
    monkeypatch.setenv("TAGLM_FLORES_SPM", str(tmp_path / "none"))
    words = settings(**{"task.metrics": "[spbleu, chrf]"})
    done = taglm("run", "Translate", "--backbone", backbone, "--out", tmp_path / "r", *words)
    assert done.code == 1
    assert "TAGLM_FLORES_SPM" in done.err
    assert not (tmp_path / "r").exists()
