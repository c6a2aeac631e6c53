"""The words of the core's commands, which plugins cannot take."""

from taglm_core.cli.main import core_app
from taglm_core.cli.words import CORE_WORDS


def test_the_words_are_those_of_the_program():
    """A command that is added or renamed is known to the check of plugins."""
    app = core_app()
    names = {item.name for item in [*app.registered_commands, *app.registered_groups]}
    assert names == CORE_WORDS
