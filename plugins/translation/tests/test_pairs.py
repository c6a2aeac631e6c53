"""From sentences to rows: layouts of files, directions, filters, splits, order."""

import gzip
import json
import logging

import pytest

from taglm_core.errors import ConfigError, DataError
from taglm_translation.hub import flores, multiway, opus100
from taglm_translation.pairs import Pairing, is_in_script, make_rows, pairing, read_directions
from taglm_translation.sentences import Sentence, read_sentences


def sentence(i, **texts):
    """Return a sentence in a split that its number decides."""
    split = {0: "test", 1: "valid"}.get(i % 5, "train")
    return Sentence(str(i), texts or {"EN": f"a word {i}", "FR": f"un mot {i}"}, split)


def rows_of(sentences, seed=0, size=None, **options):
    """Return rows as tuples."""
    made = make_rows(sentences, pairing(options), seed, size, "here")
    return list(zip(*made.values(), strict=True))


def test_multi_column_tables_in_every_format(tmp_path):
    """A column a language, whatever the format; other columns and empty cells do no harm."""
    lines = [{"id": "a", "en": "one", "fr": "un", "note": "x"}, {"id": "b", "en": "two", "fr": ""}]
    tsv = tmp_path / "m.tsv.gz"
    tsv.write_bytes(gzip.compress(b"id\ten\tfr\na\tone\tun\nb\ttwo\t\n"))
    jsonl = tmp_path / "m.jsonl"
    jsonl.write_text("\n".join(map(json.dumps, lines)))
    wide = tmp_path / "m.csv"
    wide.write_text("id,sentence_eng_Latn,fra_Latn\na,one,un\nb,two,\n")
    expected = [Sentence("a", {"EN": "one", "FR": "un"}), Sentence("b", {"EN": "two"})]
    assert read_sentences(tsv) == read_sentences(jsonl) == read_sentences(wide) == expected


def test_moses_pairs_and_folders(tmp_path):
    """Files in parallel are found beside the one that is named, or in the folder."""
    (tmp_path / "corpus.en").write_text("one\ntwo\n")
    (tmp_path / "corpus.fr").write_text("un\ndeux\n")
    (tmp_path / "other.de").write_text("eins\n")
    found = read_sentences(tmp_path / "corpus.fr")
    assert found[1] == Sentence("2", {"EN": "two", "FR": "deux"})
    (tmp_path / "corpus.fr").write_text("un\n")
    with pytest.raises(DataError, match="different numbers of lines: {'EN': 2, 'FR': 1}"):
        read_sentences(tmp_path / "corpus.en")
    with pytest.raises(DataError, match="no two files in parallel"):
        read_sentences(tmp_path / "other.de")


def test_a_table_without_two_languages_is_refused(tmp_path):
    """The message lists the columns and says how to name them."""
    file = tmp_path / "m.csv"
    file.write_text("en,francais\none,un\n")
    with pytest.raises(DataError, match="no two languages among the columns en, francais"):
        read_sentences(file)


def test_directions_are_read():
    """One way, both ways, and all; languages that are not there are named."""
    have = ["EN", "FR", "DE"]
    assert read_directions(["en-fr"], have) == [("EN", "FR")]
    assert read_directions(["en=fr", "EN-FR"], have) == [("EN", "FR"), ("FR", "EN")]
    assert len(read_directions(["all"], have)) == 6
    with pytest.raises(ConfigError, match="the data hold no RU; they hold EN, FR, DE"):
        read_directions(["en-ru"], have)
    with pytest.raises(ConfigError, match="write en-fr"):
        read_directions(["enfr"], have)


def test_a_sentence_lies_in_one_split_for_all_directions():
    """Every direction of a sentence has the split of its English side."""
    sentences = [
        Sentence(str(i), {"EN": f"the {i}", "FR": f"le {i}", "DE": f"das {i}"}) for i in range(200)
    ]
    rows = rows_of(sentences)
    splits = {}
    for row in rows:
        splits.setdefault(row[0], set()).add(row[5])
    assert len(splits) == 200
    assert all(len(held) == 1 for held in splits.values())
    assert {split for held in splits.values() for split in held} == {"train", "valid", "test"}


def test_directions_are_balanced_and_interleaved():
    """A size takes as many rows of each direction, and the seed decides which."""
    sentences = [sentence(i, EN=f"one {i}", FR=f"un {i}", DE=f"eins {i}") for i in range(50)]
    rows = [r for r in rows_of(sentences, size=12, directions="en=fr de-en") if r[5] == "train"]
    ways = [(r[1], r[3]) for r in rows]
    assert ways == [("EN", "FR"), ("FR", "EN"), ("DE", "EN")] * 4
    other = [r for r in rows_of(sentences, 1, 12, directions="en=fr de-en") if r[5] == "train"]
    assert rows != other
    few = rows_of(sentences, per_direction=3, test_per_direction=2, test_directions="all")
    assert sum(r[5] == "test" for r in few) == 6 * 2
    assert sum(r[5] == "train" for r in few) == 6 * 3


def test_zero_shot_directions_occur_in_the_test_split_only():
    """What is listed is trained; the others are tested."""
    sentences = [sentence(i, EN=f"one {i}", FR=f"un {i}", DE=f"eins {i}") for i in range(50)]
    rows = rows_of(sentences, directions="en=fr", test_directions="all")
    trained = {(r[1], r[3]) for r in rows if r[5] != "test"}
    assert trained == {("EN", "FR"), ("FR", "EN")}
    assert len({(r[1], r[3]) for r in rows if r[5] == "test"}) == 6


def test_filters_leave_out_and_count(caplog):
    """Each reason is counted in one line of the log."""
    odd = [
        {"EN": "x" * 400, "FR": "court"},
        {"EN": "Hello", "FR": "Hello"},
        {"EN": "a sentence of thirty characters", "FR": "bref"},
        {"EN": "привет мир", "FR": "bonjour"},
        {"EN": "a word 2", "FR": "un mot 2"},
    ]
    sentences = [sentence(i) for i in range(20)]
    sentences += [Sentence(f"x{i}", texts, "train") for i, texts in enumerate(odd)]
    with caplog.at_level(logging.INFO):
        rows = rows_of(sentences)
    assert len(rows) == 40
    for words in (
        "1 EN outside 1 to 300 characters",
        "2 both sides equal",
        "2 one side more than 3 times longer",
        "1 EN not in Latin script",
        "2 repeated rows",
    ):
        assert words in caplog.text
    with pytest.raises(DataError, match="no translation rows are left of 1 sentences"):
        rows_of([Sentence("1", odd[1], "train")])


def test_training_rows_that_share_a_text_with_the_test_split_are_left_out():
    """The same French sentence under two English ones does not leak."""
    sentences = [sentence(i) for i in range(10)]
    sentences.append(Sentence("x", {"EN": "other words", "FR": "un mot 0"}, "train"))
    rows = rows_of(sentences)
    assert {r[0] for r in rows if r[5] == "test"} == {"0", "5"}
    assert "x" not in {r[0] for r in rows}


def test_scripts():
    """Half of the letters decide; digits and unknown scripts ask nothing."""
    assert is_in_script("Καλημέρα Tom", "GREEK")
    assert not is_in_script("Good morning", "CYRILLIC")
    assert is_in_script("123", "GREEK")
    assert is_in_script("你好", "")


def test_unknown_options_are_refused():
    """The message lists what there is."""
    with pytest.raises(ConfigError, match="direction is unknown here; known: .*directions"):
        pairing({"direction": "en-fr"})
    assert pairing({"directions": "en-fr, fr-en"}).directions == ("en-fr", "fr-en")
    assert pairing({}) == Pairing()


def test_a_local_copy_of_flores(tmp_path):
    """Dev is for training and validation, devtest the test split."""
    for split, count in (("dev", 20), ("devtest", 4)):
        folder = tmp_path / "flores200_dataset" / split
        folder.mkdir(parents=True)
        for code, word in (("eng_Latn", "line"), ("ell_Grek", "γραμμούλα")):
            lines = "".join(f"{word} {split} {i}\n" for i in range(count))
            (folder / f"{code}.{split}").write_text(lines)
    made = flores(seed=0, file=str(tmp_path))
    assert [made["split"].count(p) for p in ("train", "valid", "test")] == [36, 4, 8]
    assert set(made["src_lang"]) == {"EN", "EL"}
    with pytest.raises(DataError, match="no folder 'dev'"):
        flores(seed=0, file=str(tmp_path / "flores200_dataset" / "dev"))


def test_a_local_copy_of_opus100(tmp_path):
    """Its pairs are named in the order of the alphabet; its own splits stay."""
    for split in ("train", "dev", "test"):
        for code in ("de", "en"):
            text = "".join(f"{code} {split} {i}\n" for i in range(5))
            (tmp_path / f"opus.de-en-{split}.{code}").write_text(text)
    made = opus100(seed=0, file=str(tmp_path), pairs=["en-de"], directions="en-de")
    assert [made["split"].count(p) for p in ("train", "valid", "test")] == [5, 5, 5]
    with pytest.raises(DataError, match="no file opus.en-fr-train.en"):
        opus100(seed=0, file=str(tmp_path), pairs=["en-fr"])


def test_the_hub_offline_is_one_message(monkeypatch):
    """Without a network the message says what to give instead."""
    import datasets

    def fail(*args, **options):
        raise ConnectionError("no route to host\nlong story")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=r"no route to host\. It needs the network once.*--data"):
        flores(seed=0)
    with pytest.raises(DataError, match="opus-100.*--data FOLDER"):
        opus100(seed=0)


def test_the_hub_layouts_are_read(monkeypatch):
    """FLORES gives columns by code, OPUS-100 dictionaries."""
    import datasets

    def load(name, config, split):
        if "flores" in name:
            count = 10 if split == "dev" else 3
            columns = {
                c: [f"{c} {split} {i}" for i in range(count)] for c in ("eng_Latn", "spa_Latn")
            }
            return datasets.Dataset.from_dict({f"sentence_{c}": v for c, v in columns.items()})
        rows = [{"en": f"en {split} {i}", "fr": f"fr {split} {i}"} for i in range(3)]
        return datasets.Dataset.from_dict({"translation": rows})

    monkeypatch.setattr(datasets, "load_dataset", load)
    made = flores(seed=0, directions="en-es")
    assert [made["split"].count(p) for p in ("train", "valid", "test")] == [9, 1, 3]
    made = opus100(seed=0, pairs="en-fr", directions="fr-en")
    assert set(made["src_lang"]) == {"FR"}
    assert len(made["split"]) == 9


def test_multiway_needs_a_file():
    """The message says how to give one."""
    with pytest.raises(DataError, match="--data FILE, or data.options.files"):
        multiway(seed=0)
