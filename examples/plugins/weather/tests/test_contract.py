"""Everything that the plugin registers keeps taglm's contract."""

import pytest


@pytest.mark.taglm_plugin("weather")
def test_contract(plugin_check):
    """The reason of a failure says what to fix."""
    plugin_check()
