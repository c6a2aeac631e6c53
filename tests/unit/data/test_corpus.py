"""The corpus of a domain is made canonical once for the same content, rules and code."""

import attrs
import pytest
import toy_plugin

from taglm_core.data.corpus import read_corpus
from taglm_core.errors import DataError, RowError
from taglm_core.specs import codestamp, encoding
from taglm_core.store.corpora import known_of
from taglm_core.store.fingerprint import fingerprint_of

ROWS = ["abc", "AAB", "cab", "bb", "acca", "bca"]


@pytest.fixture
def counted(monkeypatch):
    """Count the rows that are made canonical."""
    calls = []
    canonical = toy_plugin.canonical

    def count(rows):
        calls.append(len(rows))
        return canonical(rows)

    monkeypatch.setattr(toy_plugin, "canonical", count)
    return calls


def corpus_of(registry, tmp_path, rows=ROWS, on_error="skip", **spec):
    """Read a file of letters as a corpus."""
    file = tmp_path / "rows.csv"
    file.write_text("letters\n" + "\n".join(rows) + "\n")
    domain = registry.domains.get("Letters")
    domain = attrs.evolve(domain, spec=attrs.evolve(domain.spec, **spec))
    return read_corpus(domain, registry, str(file), 0, None, on_error)


def test_the_second_start_makes_no_row_canonical(toy_registry, tmp_path, counted):
    """The fingerprint is that of the canonical rows; other rows are made anew."""
    kept = tmp_path / "kept"
    first = known_of(corpus_of(toy_registry, tmp_path), kept)
    assert counted == [6]
    again = corpus_of(toy_registry, tmp_path)
    assert known_of(again, kept) == first
    assert counted == [6]
    assert first.fingerprint == fingerprint_of(again.rows)
    assert counted == [6, 6]
    other = known_of(corpus_of(toy_registry, tmp_path, ["ABC", *ROWS[1:]]), kept)
    assert other.fingerprint == first.fingerprint, "another spelling of the same rows"
    assert len(counted) == 3
    assert known_of(corpus_of(toy_registry, tmp_path, ROWS[1:]), kept) != first


def test_rules_and_code_that_change_are_seen(toy_registry, tmp_path, counted, monkeypatch):
    """A domain without its rule, and the same rule in other code, are asked anew."""
    kept = tmp_path / "kept"
    known_of(corpus_of(toy_registry, tmp_path), kept)
    known_of(corpus_of(toy_registry, tmp_path, split=None), kept)
    assert len(counted) == 2
    monkeypatch.setattr("taglm_core.data.corpus.code_stamp", lambda reference: "other")
    known_of(corpus_of(toy_registry, tmp_path), kept)
    assert len(counted) == 3


def test_bad_rows_are_said_every_time(toy_registry, tmp_path, counted, caplog):
    """What was left out is logged again from what is kept, and refused where that is asked for."""
    kept, rows = tmp_path / "kept", [*ROWS, "azz"]
    for count in (1, 2):
        known_of(corpus_of(toy_registry, tmp_path, rows), kept)
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == count
        assert "1 of 7 rows skipped, the first is row 7: a z is not allowed" in said[-1]
    assert counted == [7]
    with pytest.raises(RowError, match="a z is not allowed"):
        known_of(corpus_of(toy_registry, tmp_path, rows, on_error="raise"), kept)


def test_doubtful_rows_are_said_every_time_and_refused_where_asked(
    toy_registry, tmp_path, monkeypatch, caplog
):
    """What is kept of a run that only warned does not let another one pass."""
    monkeypatch.setattr(
        toy_plugin, "doubt", lambda rows: ["another kind"] * len(rows), raising=False
    )
    rows = [f"{'abc'[i % 3]}{'ab' * (1 + i // 3)}" for i in range(60)]

    def known(on_doubt):
        corpus = corpus_of(toy_registry, tmp_path, rows, doubt="toy_plugin:doubt")
        return known_of(attrs.evolve(corpus, on_doubt=on_doubt), tmp_path / "kept")

    for count in (1, 2):
        known("warn")
        said = [r.getMessage() for r in caplog.records if "another kind" in r.getMessage()]
        assert len(said) == count
    with pytest.raises(DataError, match="look like another kind"):
        known("raise")


@pytest.mark.parametrize("text", ["", "[]", '{"fingerprint": "x"}'])
def test_a_damaged_record_is_made_anew(text, toy_registry, tmp_path, counted):
    """Nothing depends on the file but time."""
    kept = tmp_path / "kept"
    first = known_of(corpus_of(toy_registry, tmp_path), kept)
    (file,) = kept.iterdir()
    file.write_text(text)
    assert known_of(corpus_of(toy_registry, tmp_path), kept) == first
    assert counted == [6, 6]


def test_the_stamp_of_code_follows_its_sources(tmp_path, monkeypatch):
    """Every file of the package counts, and the versions of what its distribution asks for."""
    package = tmp_path / "stamped_pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "rules.py").write_text("def canonical(rows): ...\n")
    (package / "helper.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def stamp():
        codestamp._code_stamp.cache_clear()
        return codestamp.code_stamp("stamped_pkg.rules:canonical")

    first = stamp()
    assert stamp() == first
    (package / "helper.py").write_text("X = 2\n")
    second = stamp()
    assert second != first
    monkeypatch.setattr(codestamp, "_requirements", lambda package: ["rdkit 1"])
    assert stamp() != second
    assert codestamp.code_stamp("stamped_pkg.rules:canonical") != codestamp.code_stamp(
        "toy_plugin:"
    )


def test_the_first_error_of_a_row_is_its_error():
    """The one place where errors of several checks come together."""
    assert encoding.first_errors([None, "a", None], ["b", "c", None]) == ["b", "a", None]
    assert encoding.first_errors() == []
