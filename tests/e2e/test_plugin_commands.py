"""`taglm check-plugin` and `taglm new-plugin` as a user types them."""

import json

import pytest


def test_check_plugin_shows_a_table(taglm):
    """One line for each object, and a count at the end."""
    done = taglm("check-plugin", "nano")
    assert done.code == 0, done.err
    rows = [line.split()[:3] for line in done.out.splitlines()]
    assert ["backbone", "nano", "4"] in rows
    assert ["tag_folder", "defaults", "3"] in rows
    assert "checks: " in done.out
    assert "failed" not in done.out.splitlines()[-1]


def test_check_plugin_for_a_program(taglm):
    """Every check with its outcome."""
    done = taglm("check-plugin", "nano", "--json")
    held = json.loads(done.out)
    assert held["plugin"] == "nano"
    assert {"kind", "object", "check", "outcome", "reason"} == set(held["checks"][0])


def test_a_failing_check_ends_with_code_1(taglm, monkeypatch):
    """The reason stands in the output, so that a CI log is enough."""
    from contract_cases import others

    import taglm_core.plugins as plugins

    load = plugins.load_registry
    bad = next(case.plugin for case in others.CASES if case.kind == "backbone")
    monkeypatch.setattr(plugins, "load_registry", lambda: load((), [("bad", bad)]))
    done = taglm("check-plugin", "bad")
    assert done.code == 1
    assert "FAILED backbone:own:source: /nowhere holds no config.json" in done.out
    assert taglm("check-plugin", "bad", "--json").code == 1


def test_an_unknown_plugin_is_one_message(taglm):
    """The nearest name is offered."""
    done = taglm("check-plugin", "chemm")
    assert done.code == 1
    assert "error: unknown plugin 'chemm'. Did you mean 'chem'?" in done.err


def test_new_plugin_says_what_to_do_next(taglm, tmp_path, monkeypatch):
    """The lines can be typed as they stand."""
    monkeypatch.chdir(tmp_path)
    done = taglm("new-plugin", "demo", "--domain", "RNA")
    assert done.code == 0, done.err
    for line in ("cd taglm-plugin-demo", "taglm check-plugin demo", "taglm run RNAContent"):
        assert f"  {line}\n" in done.out
    assert (tmp_path / "taglm-plugin-demo" / "taglm_demo" / "encoder.py").is_file()
    again = taglm("new-plugin", "demo")
    assert again.code == 1
    assert "already exists" in again.err


@pytest.mark.parametrize(("name", "word"), [("Bad Name", "bad_name"), ("import", "import_data")])
def test_new_plugin_refuses_bad_names(name, word, taglm, tmp_path, monkeypatch):
    """Nothing is written."""
    monkeypatch.chdir(tmp_path)
    done = taglm("new-plugin", name)
    assert done.code == 1
    assert word in done.err
    assert list(tmp_path.iterdir()) == []
