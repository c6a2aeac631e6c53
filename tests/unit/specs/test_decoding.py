"""Decoding settings that a command or a program changes: messages name what was typed."""

import pytest

import taglm
from taglm_core.caller import at_command_line
from taglm_core.errors import ConfigError
from taglm_core.specs import Decoding
from taglm_core.specs.decoding import OPTIONS, changed_decoding


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("temperature", 0.0, "must be a finite number above 0, not 0.0"),
        ("top_p", 1.5, "must be above 0 and at most 1, not 1.5"),
        ("beams", 1, "must be 2 or more, not 1"),
        ("max_new_tokens", 0, "must be 1 or more, not 0"),
        ("how", "gredy", "must be one of greedy, beam, sample, not 'gredy'"),
        ("seed", -1, "must be"),
    ],
)
def test_a_wrong_value_is_named_as_it_was_typed(key, value, said):
    """The option at the command line, the key in Python."""
    with at_command_line(), pytest.raises(ConfigError, match=f"^{OPTIONS[key]} {said}"):
        changed_decoding(Decoding(), {key: value})
    with pytest.raises(ConfigError, match=f"^{key} {said}"):
        changed_decoding(Decoding(), {key: value})


def test_sample_has_options_of_its_own():
    """`taglm sample` has --seed where the other commands have --decode-seed."""
    with at_command_line():
        with pytest.raises(ConfigError, match="^--temperature must be a finite number above 0"):
            taglm.sample("SMILES", 1, temperature=0)
        with pytest.raises(ConfigError, match="^--seed must be"):
            taglm.sample("SMILES", 1, seed=-1)
    with pytest.raises(ConfigError, match=r"^top_p must be a number, not 'high'"):
        taglm.sample("SMILES", 1, top_p="high")
