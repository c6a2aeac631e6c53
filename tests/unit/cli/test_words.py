"""The words of the core's commands, which plugins cannot take."""

import subprocess
import sys

from taglm_core.cli.main import core_app
from taglm_core.cli.words import CORE_WORDS
from taglm_core.plugins.builtin import register_commands


def test_the_words_are_those_of_the_program():
    """A command that is added or renamed is known to the check of plugins."""
    app = core_app()
    names = {item.name for item in [*app.registered_commands, *app.registered_groups]}
    names |= {command.name for command in register_commands()}
    assert names == CORE_WORDS


def test_the_program_starts_without_the_contract_suite():
    """Its command is registered, and imported only when it is called."""
    program = (
        "import sys\n"
        "from taglm_core.cli.main import build_app\n"
        "names = [item.name for item in build_app().registered_commands]\n"
        "assert 'check-plugin' in names, names\n"
        "assert not [name for name in sys.modules if name.startswith('taglm_core.testing')]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
