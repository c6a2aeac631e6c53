"""Fixtures for all tests: an own tag store, few threads, a toy plugin."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

# Files whose tests take half a minute and more, the longest first.
LONG = (
    "tests/docs/test_pages.py",
    "tests/e2e/test_new_plugin.py",
    "tests/e2e/test_processes.py",
    "tests/e2e/test_broken_plugins.py",
    "tests/unit/training/test_precision.py",
    "tests/benchmarks/test_benchmarks.py",
    "plugins/studies/tests/test_sklearn.py",
    "tests/e2e/test_example_plugins.py",
    "tests/docs/test_notebook.py",
    "tests/unit/training/test_stages.py",
    "tests/unit/model/test_divided.py",
    "plugins/nano/tests/test_train.py",
    "tests/e2e/test_wheels.py",
    "tests/unit/cli/test_backbone.py",
    "plugins/protein/tests/test_end_to_end.py",
    "tests/unit/training/test_overfit.py",
    "tests/docs/test_commands.py",
    "tests/unit/training/test_reuse.py",
    "tests/docs/test_gallery.py",
    "tests/e2e/test_members.py",
    "tests/e2e/test_cli.py",
    "plugins/ray/tests/test_ray.py",
)


def pytest_collection_modifyitems(items):
    """Begin with what takes minutes, so that no process ends with it while the others are done."""
    places = {file: place for place, file in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(LONG)))


def pytest_configure(config):
    """Refuse a name in `LONG` that is no file any more."""
    missing = [file for file in LONG if not (config.rootpath / file).is_file()]
    if missing:
        raise pytest.UsageError(f"tests/conftest.py, LONG: no file {', '.join(missing)}")


@pytest.fixture(autouse=True)
def _own_store(tmp_path_factory, monkeypatch):
    """Keep every test away from the user's tag store."""
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path_factory.mktemp("taglm-home")))
    monkeypatch.delenv("TAGLM_PLUGINS", raising=False)
    monkeypatch.delenv("TAGLM_STRICT", raising=False)


@pytest.fixture(scope="session")
def session_registry():
    """Return the same registry for runs that several tests share."""
    return _toy_registry()


def _toy_registry():
    import toy_plugin

    from taglm_core.plugins import load_registry

    return load_registry(only=(), extra=[("toy", toy_plugin)])


@pytest.fixture
def toy_registry():
    """Return a registry with the core's own registrations and the toy plugin only."""
    return _toy_registry()


@pytest.fixture(scope="session")
def printed_registry():
    """Return the same registry, whose letters have fingerprints."""
    import types

    import attrs
    import toy_plugin

    import taglm_core as taglm
    from taglm_core.plugins import load_registry

    module = types.ModuleType("toy_plugin")
    vars(module).update(vars(toy_plugin))

    @taglm.hookimpl
    def register_domains():
        letters, *others = toy_plugin.register_domains()
        return [attrs.evolve(letters, fingerprint="toy_plugin:pairs"), *others]

    module.register_domains = register_domains
    return load_registry(only=(), extra=[("toy", module)])


@pytest.fixture
def toy_backbone(tmp_path):
    """Save a tiny random backbone and return its folder."""
    from small_runs import saved_backbone

    folder = tmp_path / "tiny"
    saved_backbone(folder, "llama")
    return folder
