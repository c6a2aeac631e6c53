"""What the plugin registers keeps the contract of taglm's own suite; one test for each check."""

import pytest


@pytest.mark.taglm_plugin("serve")
def test_contract(plugin_check):
    """The reason of a failure says what to fix."""
    plugin_check()
