"""Studies: members that run once, a table with paired differences, a page, and resumption."""

import json
import re

import pytest
import yaml
from small_runs import saved_backbone

import taglm as taglm_module

SETTINGS = {"max_steps": 2, "tag_length": 2, "num_evaluations": 1, "batch_size": 8}
FEW = ("--methods", "tag,linear-probe,lora,prompt-tuning,full,text-prompt", "--passes", 16)


@pytest.fixture(scope="module")
def task_file(tmp_path_factory):
    """Write a run file: the number of letters a in a text, on a tiny random backbone."""
    folder = tmp_path_factory.mktemp("study")
    saved_backbone(folder / "tiny", "llama")
    words = ["".join("ab"[(i >> k) & 1] for k in range(7)) for i in range(64)]
    rows = [
        f"{word},{word.count('a')},{'many' if word.count('a') > 3 else 'few'}" for word in words
    ]
    (folder / "words.csv").write_text("word,count,much\n" + "\n".join(rows) + "\n")
    file = folder / "count.yaml"
    settings = {
        "task": {
            "name": "Count",
            "template": "The word is {word}. It has <Count>",
            "target": {"kind": "regression", "columns": ["count"]},
            "metrics": ["mae", "r2"],
        },
        "data": {"file": str(folder / "words.csv"), "split": {"method": "random"}},
        "backbone": str(folder / "tiny"),
        "baselines": ["mean", "tfidf"],
        "stages": {"task": SETTINGS},
    }
    file.write_text(yaml.safe_dump(settings))
    return file


def results(folder):
    """Return group -> record of study.json."""
    found = json.loads((folder / "study.json").read_text())
    return {record["group"]: record for record in found["groups"]}


def test_methods_are_compared_on_the_same_rows(taglm, task_file, tmp_path):
    """Each method has its parameters, its metric and its paired difference to the tag."""
    done = taglm("compare", task_file, *FEW, "--out", tmp_path / "study")
    assert done.code == 0, done.err
    found = results(tmp_path / "study")
    wanted = {"tag", "linear-probe", "lora", "prompt-tuning", "full", "text-prompt"}
    assert set(found) == {*wanted, "baseline mean", "baseline tfidf"}
    assert found["tag"]["difference"] is None
    for group, record in found.items():
        assert record["values"], group
        if group != "tag":
            value, low, high = record["difference"]
            assert low <= value <= high
            assert value == pytest.approx(record["mean"] - found["tag"]["mean"])
    parameters = {group: found[group]["parameters"] for group in wanted}
    assert parameters["linear-probe"] == parameters["text-prompt"] == 0
    assert 0 < parameters["prompt-tuning"] < parameters["lora"] < parameters["full"]
    assert found["lora"]["passes"] == 16
    rows = [
        (tmp_path / "study/members" / f"{g}-seed-0/predictions/test.csv").read_text().splitlines()
        for g in wanted
    ]
    assert len({tuple(line.split(",")[0] for line in held) for held in rows}) == 1
    page = (tmp_path / "study" / "report.html").read_text()
    assert "Difference of each row of the table to tag" in page
    assert not re.search(r"<script|<link|<img", page)


def test_a_study_goes_on_where_it_was_killed(taglm, task_file, tmp_path, monkeypatch):
    """Finished members are not run again, and the table is that of an unbroken study."""
    from taglm_studies.study import members

    out, whole = tmp_path / "broken", tmp_path / "whole"
    command = ("ablate", task_file, "--variants", "causal", "--lengths", "1", "--json")
    unbroken = taglm(*command, "--out", whole)
    assert unbroken.code == 0, unbroken.err
    begun = []
    run_member = members.run_member

    def killed(function, folder, arguments):
        begun.append(folder.name)
        if len(begun) == 3:
            raise KeyboardInterrupt
        run_member(function, folder, arguments)

    monkeypatch.setattr(members, "run_member", killed)
    assert taglm(*command, "--out", out).code == 130
    assert not (out / "study.json").exists()
    again = taglm(*command, "--out", out)
    assert again.code == 0
    assert begun[2:] == [begun[2]] * 2  # the third alone ran twice
    first, second = json.loads(unbroken.out), json.loads(again.out)
    for one, other in zip(first["groups"], second["groups"], strict=True):
        for key in ("group", "values", "difference", "verdict", "parameters"):
            assert one[key] == other[key]
    refused = taglm(*command, "--out", out, "--seeds", "0,1")
    assert refused.code == 1
    assert "holds another study" in refused.err


def test_the_head_and_the_symbols_are_taken_away(taglm, task_file, tmp_path):
    """Without a head the LM writes the target as text; its tokenizer reads what symbols did."""
    smiles = ["".join("CNOS"[(i >> 2 * k) & 3] for k in range(3)) for i in range(64)]
    rows = [f"{s},{s.count('C')}.5,{'' if i % 9 else 0.25}" for i, s in enumerate(smiles)]
    (tmp_path / "rows.csv").write_text("smiles,carbons,some\n" + "\n".join(rows) + "\n")
    settings = yaml.safe_load(task_file.read_text())
    settings["task"] |= {
        "template": "Of <SMILES>{smiles} it is <Count>",
        "target": {"kind": "regression", "columns": ["carbons", "some"]},
    }
    settings["data"] = {
        "file": "rows.csv",
        "split": {"method": "random"},
        "domain": {"SMILES": "rows.csv"},
    }
    settings["stages"]["domain"] = {"max_steps": 2, "tag_length": 2, "num_evaluations": 1}
    (tmp_path / "count.yaml").write_text(yaml.safe_dump(settings))
    out = tmp_path / "study"
    words = ("--variants", "as-text,lm-tokenizer", "--lengths", "")
    done = taglm("ablate", tmp_path / "count.yaml", *words, "--out", out)
    assert done.code == 0, done.err
    found = results(out)
    assert {"full", "as-text", "lm-tokenizer"} <= set(found)
    assert found["as-text"]["parameters"] < found["full"]["parameters"]  # by the head
    assert found["as-text"]["difference"] is not None
    members = out / "members"
    written = (members / "as-text-seed-0" / "rows.csv").read_text().splitlines()
    assert written[0] == "smiles,answer_as_text,split_of_row"
    assert {line.split('"')[1] for line in written[1:]} >= {"1.500, 0.250", "1.500, ?"}
    page = (out / "report.html").read_text()
    assert "as-text-seed-0: " in page  # a random backbone writes no numbers
    artifact = members / "lm-tokenizer-seed-0" / "predictor" / "config.json"
    config = json.loads(artifact.read_text())
    assert "chem/SMILES+text" in config["tags"]
    assert config["domains"]["chem/SMILES"]["alphabet"] is None
    predictor = taglm_module.load(members / "lm-tokenizer-seed-0")
    stored = taglm_module.Run(members / "lm-tokenizer-seed-0").predictions
    test = stored[stored["split"] == "test"]
    made = predictor.predict(list(test["smiles"])).to_numpy()
    assert made[:, 0] == pytest.approx(test["Count.carbons"].to_numpy(), abs=1e-5)


def test_a_sweep_tries_every_combination(taglm, task_file, tmp_path):
    """A grid of two settings has four members; the best on the validation split is held."""
    words = ("tag_length=1,2", "tag_lr=0.01,0.1")
    plan = taglm("sweep", task_file, *words, "--out", tmp_path / "study", "--dry-run", "--json")
    assert plan.code == 0, plan.err
    planned = json.loads(plan.out)
    assert list(planned["members"].values()) == ["waiting"] * 4
    assert planned["seconds"] > 0
    assert not (tmp_path / "study").exists()
    done = taglm("sweep", task_file, *words, "--out", tmp_path / "study")
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "study" / "study.json").read_text())
    valid = {record["group"]: record["valid"][0] for record in found["groups"]}
    assert set(valid) == {f"tag_length={n},tag_lr={r}" for n in (1, 2) for r in (0.01, 0.1)}
    assert valid[found["held_against"]] == min(valid.values())
    settings = yaml.safe_load(
        (tmp_path / "study/members/tag_length=1,tag_lr=0.01-seed-0/run.yaml").read_text()
    )
    assert settings["stages"]["task"]["tag_length"] == 1
    assert settings["stages"]["task"]["tag_lr"] == 0.01


def test_a_search_goes_on_from_its_journal(taglm, task_file, tmp_path):
    """TPE asks for as many trials as wanted; the same command again runs nothing."""
    pytest.importorskip("optuna")
    command = ("sweep", task_file, "tag_length=1,2,3", "--sampler", "tpe", "--trials", 3)
    done = taglm(*command, "--out", tmp_path / "study")
    assert done.code == 0, done.err
    before = (tmp_path / "study" / "study.json").read_text()
    again = taglm(*command, "--out", tmp_path / "study")
    assert again.code == 0
    assert "reading data" not in again.err
    assert (tmp_path / "study" / "study.json").read_text() == before


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("compare", "QED", "--methods", "loar"), "unknown method 'loar'. Did you mean 'lora'"),
        (("compare", "QED", "--seeds", "0,0"), "different whole numbers"),
        (("compare", "QED", "--lr", "lora=-1"), "not a positive number"),
        (("ablate", "QED", "--variants", "casual"), "unknown variant 'casual'"),
        (("ablate", "QED", "--lengths", "one"), "'one' is not a whole number"),
        (("sweep", "QED", "tag_length"), "write KEY=VALUE"),
        (("sweep", "QED", "lr=1,1"), "a value is given twice"),
        (
            ("sweep", "QED", "lr=1", "--sampler", "gird"),
            "--sampler must be one of grid, random, tpe",
        ),
    ],
)
def test_wrong_words_are_named(taglm, tmp_path, monkeypatch, words, reason):
    """A mistake is one message, and no folder is left."""
    monkeypatch.chdir(tmp_path)
    found = taglm(*words)
    assert found.code == 1
    assert reason in found.err
    assert list(tmp_path.iterdir()) == []


def test_a_member_that_fails_does_not_stop_the_others(taglm, task_file, tmp_path):
    """The page and the exit code say which; running again tries it again."""
    done = taglm("sweep", task_file, "head=linear,unknown", "--out", tmp_path / "s")
    assert done.code == 1
    assert "head=unknown-seed-0 failed: " in done.err
    assert "1 member failed; run the same command again" in done.err
    assert set(results(tmp_path / "s")) == {"head=linear"}
    assert "head=unknown-seed-0 failed" in (tmp_path / "s" / "report.html").read_text()
