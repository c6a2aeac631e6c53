"""Every check of the contract suite fails on an object that is broken on purpose."""

import re

import pytest
from contract_cases import Case, domains, encoders, heads, letters, metrics, others, tables, task

from taglm_core.errors import UnknownNameError
from taglm_core.plugins import load_registry
from taglm_core.testing import check_plugin, plan_checks
from taglm_core.testing.contract import encoders as encoder_checks
from taglm_core.testing.contract.suite import RULES

CASES = [
    case for split in (encoders, domains, tables, metrics, heads, others) for case in split.CASES
]


def registry_of(plugin):
    """Return a registry with the core and one plugin named "bad"."""
    return load_registry(only=(), extra=[("bad", plugin)])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_broken_object_fails_its_check_with_a_reason(case: Case, monkeypatch):
    """The reason names what is wrong, so that the plugin's author can fix it."""
    monkeypatch.setattr(encoder_checks, "_SPEED_CHARACTERS", 1)
    planned = [
        check
        for check in plan_checks("bad", registry_of(case.plugin))
        if (check.kind, check.rule.name) == (case.kind, case.check)
        and case.name in (None, check.object)
    ]
    made = [check.run() for check in planned]
    failed = [check for check in made if check.outcome == "failed"]
    assert failed, made
    assert re.search(case.match, failed[0].reason, re.S), failed[0].reason


COMMON = {"pickles", "references_exist"}  # the same for every kind, broken once


@pytest.mark.parametrize("kind", RULES)
def test_every_check_has_a_broken_object(kind):
    """A check that nothing fails might look at nothing."""
    broken = {(case.kind, case.check) for case in CASES}
    missing = [r.name for r in RULES[kind] if (kind, r.name) not in broken]
    assert [name for name in missing if name not in COMMON] == []
    assert {name for _, name in broken} >= COMMON


def test_a_good_plugin_passes_and_is_walked_whole():
    """All kinds of objects are seen, and none of them is blamed."""
    made = check_plugin("bad", registry_of(letters(tasks=[task()])))
    assert [check for check in made if check.outcome == "failed"] == []
    walked = {(check.kind, check.object) for check in made}
    assert walked == {
        ("plugin", "bad"),
        ("domain", "Letters"),
        ("encoder", "Letters"),
        ("dataset", "letters"),
        ("task", "Share"),
        ("template", "Share"),
    }


def test_an_unknown_plugin_offers_the_nearest():
    """A misspelt name is no empty success."""
    with pytest.raises(UnknownNameError, match="unknown plugin 'bda'. Did you mean 'bad'"):
        check_plugin("bda", registry_of(letters()))


def test_outcomes_have_an_id_and_come_one_by_one():
    """The command's progress bar and pytest rely on both."""
    heard = []
    made = check_plugin("bad", registry_of(letters()), heard.append)
    assert heard == made
    assert "encoder:Letters:round_trip" in [check.id for check in made]
    assert len({check.id for check in made}) == len(made)
