"""The core's pytest plugin: one test for each check of a plugin's contract.

    @pytest.mark.taglm_plugin("demo")
    def test_contract(plugin_check):
        plugin_check()

Everything but pytest is imported when a test asks for the fixture.
"""

from collections.abc import Callable

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line(
        "markers",
        "taglm_plugin(name): check the contract of an installed taglm plugin, one test a check "
        "(fixture plugin_check)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `plugin_check` one parameter for each check."""
    parametrized = [
        mark.args[0] for mark in metafunc.definition.iter_markers("parametrize") if mark.args
    ]
    if "plugin_check" not in metafunc.fixturenames or "plugin_check" in parametrized:
        return
    from taglm_core.errors import TaglmError
    from taglm_core.testing.contract.suite import plan_checks

    names = [mark.args[0] for mark in metafunc.definition.iter_markers("taglm_plugin") if mark.args]
    if not names:
        raise pytest.Collector.CollectError(
            'plugin_check needs the plugin\'s name: put @pytest.mark.taglm_plugin("NAME") on '
            f"{metafunc.function.__name__}."
        )
    try:
        planned = [check for name in names for check in plan_checks(name)]
    except TaglmError as error:
        raise pytest.Collector.CollectError(str(error)) from error
    metafunc.parametrize(
        "plugin_check", planned, ids=[check.id for check in planned], indirect=True
    )


@pytest.fixture
def plugin_check(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Return a function that makes one check, fails with its reason, or skips with it."""
    planned = request.param

    def call() -> None:
        result = planned.run()
        if result.outcome == "failed":
            pytest.fail(result.reason, pytrace=False)
        if result.outcome == "skipped":
            pytest.skip(result.reason)

    return call
