"""A domain of records has no texts: `taglm identify` leaves it out."""

from types import SimpleNamespace

import attrs
import pytest

from taglm_core.api.identification import _chosen
from taglm_core.errors import ConfigError, UnknownNameError
from taglm_core.progress import Silent
from taglm_core.store.tagstore import StoredTag
from taglm_core.testing import tiny_backbone


class Says(Silent):
    """Remembers what is said."""

    def __init__(self):
        """Begin with nothing."""
        self.said = []

    def say(self, text):
        """Keep a line."""
        self.said.append(text)


class Domains(list):
    """Domains by name."""

    def get(self, name):
        """Return one."""
        return next(domain for domain in self if name in (domain.name, domain.short))


@pytest.fixture
def registry(toy_registry):
    """Return a registry in which the digits are a record of two columns."""
    domains = Domains(toy_registry.domains)
    for i, domain in enumerate(domains):
        if domain.short == "Digits":
            spec = attrs.evolve(domain.spec, columns=("a", "b"))
            domains[i] = attrs.evolve(domain, spec=spec)
    return SimpleNamespace(domains=domains)


def test_stored_tags_of_records_are_left_out_with_a_note(registry, tmp_path):
    """They would be given a text where their encoder wants a row of cells."""
    backbone = tiny_backbone()
    key = backbone.fingerprint().key
    names = ["toy/Letters", "toy/Digits"]
    entries = [StoredTag(name, key, "f", tmp_path) for name in names]
    store = SimpleNamespace(entries=lambda: entries, folder=tmp_path)
    bar = Says()
    assert _chosen(None, backbone, registry, store, bar) == ["toy/Letters"]
    assert bar.said == ["skipped domains, whose rows have several columns: toy/Digits"]
    with pytest.raises(ConfigError, match=r"has several columns \(a, b\)"):
        _chosen(["Letters", "Digits"], backbone, registry, store, bar)
    entries[:] = entries[1:]
    with pytest.raises(UnknownNameError, match="no domain tag of texts"):
        _chosen(None, backbone, registry, store, bar)
