"""Pictures of rows by their domains."""

import attrs
import pytest
import toy_plugin

from taglm_core.errors import DataError
from taglm_core.inference.pictures import draw_row


@pytest.fixture
def drawn_by(monkeypatch, toy_registry):
    """Return a function that gives a domain with some way to draw."""

    def make(draw):
        monkeypatch.setattr(toy_plugin, "picture", draw, raising=False)
        spec = toy_registry.domains.get("toy/Letters").spec
        return attrs.evolve(spec, draw="toy_plugin:picture")

    return make


def test_weights_are_shares_of_the_largest(drawn_by):
    """A domain is given what it was promised: numbers from 0 to 1."""
    domain = drawn_by(lambda row, weights=None: f"<svg>{row} {weights}</svg>")
    assert draw_row(domain, "ab", [0.1, 0.2]) == "<svg>ab [0.5, 1.0]</svg>"
    assert draw_row(domain, "ab", [0.0, 0.0]) == "<svg>ab [0.0, 0.0]</svg>"
    assert draw_row(domain, "ab") == "<svg>ab None</svg>"
    assert draw_row(drawn_by(lambda row: f"<svg>{row}</svg>"), "ab", [1.0, 1.0]) == "<svg>ab</svg>"


def test_no_picture_where_there_is_none(drawn_by, toy_registry):
    """A domain that draws nothing, a row that it cannot draw, a picture that runs something."""

    def fail(row):
        raise DataError("no")

    assert draw_row(toy_registry.domains.get("toy/Letters").spec, "ab") is None
    assert draw_row(drawn_by(fail), "ab") is None
    for unsafe in ("<svg><script>1</script></svg>", '<svg onload="1"/>', '<svg href="x"/>', 5):
        assert draw_row(drawn_by(lambda row, unsafe=unsafe: unsafe), "ab") is None
