"""What the core registers keeps the contract that plugins keep; one test for each check."""

import pytest


@pytest.mark.taglm_plugin("core")
def test_contract(plugin_check):
    """The reason of a failure says what to fix."""
    plugin_check()
