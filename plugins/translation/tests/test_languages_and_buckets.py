"""Languages by configuration, and the split in which a sentence lies."""

import importlib.util
from pathlib import Path

import pytest

from taglm_core.data.splits import bucket, splits_by_groups
from taglm_core.errors import ConfigError
from taglm_translation import buckets
from taglm_translation.languages import find, get, languages


def test_further_languages_come_from_the_environment(monkeypatch):
    """A code becomes a domain without any code; a word that is none is refused."""
    monkeypatch.setenv("TAGLM_LANGUAGES", "nl, zho_Hans EN")
    tags = [language.tag for language in languages()]
    assert tags[8:] == ["NL", "zho_Hans"]
    assert find("zho_hans").tag == "zho_Hans"
    import taglm_translation
    from taglm_core.plugins import load_registry

    registry = load_registry(only=(), extra=[("translation", taglm_translation)])
    assert registry.domains.get("NL").spec.field == "nl"
    monkeypatch.setenv("TAGLM_LANGUAGES", "n1!")
    with pytest.raises(ConfigError, match="'n1!' is not a language code"):
        languages()


def test_codes_of_data_sets_are_known():
    """FLORES codes, columns and tags name the same language; others get advice."""
    assert {find(code).tag for code in ("el", "EL", "ell_Grek", "ell")} == {"EL"}
    with pytest.raises(ConfigError, match="Did you mean 'FR'.*TAGLM_LANGUAGES"):
        get("FRA1", "here")


def test_the_bucket_is_that_of_the_backbones_training():
    """The key of a sentence is the one by which nano's script held rows out."""
    path = Path(__file__).parents[2] / "nano" / "train" / "buckets.py"
    spec = importlib.util.spec_from_file_location("nano_buckets", path)
    nano = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(nano)
    for text in ("A dog runs.", " A cat sleeps. ", "Heute ist Montag."):
        assert buckets.sentence_key({"FR": "x", "EN": text}) == nano.text_key(text)
        assert bucket(buckets.text_key(text)) == nano.bucket(nano.text_key(text))


def test_every_language_of_a_sentence_lies_in_the_split_of_its_english_side():
    """Without English the id decides, without an id the smallest text."""
    texts = {"FR": "un chat", "ES": "un gato"}
    assert buckets.sentence_key({**texts, "EN": "a cat"}) == "text:a cat"
    assert buckets.sentence_key(texts, "7") == "id:7"
    assert buckets.sentence_key(texts) == "text:un chat"


def english(split, count):
    """Return English texts whose bucket gives a split."""
    texts = (f"sentence {i}" for i in range(10_000))
    return [t for t in texts if splits_by_groups([buckets.text_key(t)]) == [split]][:count]


def test_rows_that_share_a_text_lie_in_one_split():
    """A chain over a shared French sentence keeps everything together; mixed keys mean training."""
    test, train = english("test", 2), english("train", 1)
    rows = [
        ("EN", test[0], "FR", "oui"),
        ("FR", "oui", "DE", "ja"),
        ("EN", test[1], "FR", "non"),
        ("EN", train[0], "DE", "nein"),
        ("FR", "non", "DE", "nein"),
    ]
    names = ("src_lang", "source", "tgt_lang", "target")
    columns = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    assert buckets.assign_pairs(columns, 0) == ["test", "test", "train", "train", "train"]


def test_stage_one_leaves_out_the_test_bucket_by_the_english_column(tmp_path):
    """A multi-column file given for French loses the rows whose English side is held out."""
    import taglm_translation
    from taglm_core.data.corpus import corpus_rows
    from taglm_core.plugins import load_registry

    registry = load_registry(only=(), extra=[("translation", taglm_translation)])
    held, kept = english("test", 3), english("train", 5)
    file = tmp_path / "multi.tsv"
    lines = [f"{text}\tphrase {i}" for i, text in enumerate([*held, *kept])]
    file.write_text("\n".join(["en\tfr", *lines]) + "\n")
    rows, _, left_out = corpus_rows(
        registry.domains.get("FR"), registry, str(file), 0, None, "raise"
    )
    assert rows == [f"phrase {i}" for i in range(3, 8)]
    assert left_out == 3


def test_the_source_alone_decides_when_nothing_else_is_given():
    """Rows without target and languages still have a split, equal ones the same."""
    texts = [*english("test", 1), *english("train", 2)] * 2
    assert buckets.assign_pairs({"source": texts}, 0) == ["test", "train", "train"] * 2
