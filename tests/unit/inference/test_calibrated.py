"""Calibrations are made once for the same tags and rows."""

import csv

import attrs
import pytest
import toy_plugin
from artifacts import tag_artifact

from taglm_core.errors import DataError
from taglm_core.inference import calibrated as module
from taglm_core.inference.calibrated import calibrated
from taglm_core.inference.domains import TrainedDomain
from taglm_core.model.likelihood import DomainSoftmax
from taglm_core.model.symbols import symbol_rows
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.tags import initial_tag
from taglm_core.store.tagstore import TagStore
from taglm_core.testing import tiny_backbone


def letters(registry, seed=0):
    """Return the letters with a tag on a tiny backbone."""
    encoder = toy_plugin.LettersEncoder()
    found = registry.domains.get("Letters")
    model = TaggedModel(tiny_backbone())
    model.add_table(found.name, symbol_rows(model.backbone, encoder.spellings))
    rows = initial_tag(model.backbone, found.name, 4, "vocabulary", seed)
    model.add_tag(found.name, rows)
    artifact = tag_artifact(model.backbone, corpus="gone.csv", toy__Letters=rows)
    softmax = DomainSoftmax.of(model.backbone, encoder)
    return TrainedDomain(found, encoder, model, softmax, artifact)


@pytest.fixture
def rows(tmp_path):
    """Write validation rows of letters."""
    file = tmp_path / "rows.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([["string"], *([text] for text in ("abc", "aab", "cab", "bb"))])
    return file


@pytest.fixture
def made(monkeypatch):
    """Count how often rows are scored."""
    calls = []
    score = module.bits_per_byte

    def counted(*arguments, **named):
        calls.append(arguments)
        return score(*arguments, **named)

    monkeypatch.setattr(module, "bits_per_byte", counted)
    return calls


def test_the_second_call_takes_what_the_first_kept(toy_registry, tmp_path, rows, made):
    """Equal in every split; another tag or other rows are calibrated anew."""
    store, name = TagStore(tmp_path / "home"), "toy/Letters"
    trained = [letters(toy_registry)]
    first = calibrated(trained, toy_registry, store, {name: rows}, print)
    assert (first.rows, len(made)) == (3, 1)  # one of the four lies in the test bucket
    again = calibrated(trained, toy_registry, store, {name: rows}, print)
    assert again == first
    assert len(made) == 1
    calibrated([letters(toy_registry, seed=1)], toy_registry, store, {name: rows}, print)
    assert len(made) == 2
    rows.write_text("string\nabca\nbbbb\n")
    calibrated(trained, toy_registry, store, {name: rows}, print)
    assert len(made) == 3


def test_a_damaged_file_is_made_again(toy_registry, tmp_path, rows, made):
    """Whatever is wrong with it, it is only a saving of time."""
    store, trained = TagStore(tmp_path / "home"), [letters(toy_registry)]
    first = calibrated(trained, toy_registry, store, {"toy/Letters": rows}, print)
    (kept,) = (tmp_path / "home" / "calibrations").glob("*.json")
    for text in ("{", "[]", '{"rows": 3}', '{"limits": {"p": {"a": 1}}}'):
        kept.write_text(text)
        assert calibrated(trained, toy_registry, store, {"toy/Letters": rows}, print) == first


def test_without_rows_nothing_is_kept(toy_registry, tmp_path):
    """A corpus that is gone is said; next time it may be there."""
    said = []
    store = TagStore(tmp_path / "home")
    found = calibrated([letters(toy_registry)], toy_registry, store, {}, said.append)
    assert (found.rows, found.limits) == (0, {})
    assert "not calibrated for toy/Letters" in said[0]
    assert not (tmp_path / "home" / "calibrations").exists()
    assert attrs.asdict(found)["margin"] == 0


def test_a_file_that_was_named_must_be_readable(toy_registry, tmp_path):
    """Verdicts without a calibration would look like those with it."""
    files = {"toy/Letters": tmp_path / "nosuch.csv"}
    with pytest.raises(DataError, match=r"nosuch\.csv: no such file"):
        calibrated([letters(toy_registry)], toy_registry, TagStore(tmp_path), files, print)
