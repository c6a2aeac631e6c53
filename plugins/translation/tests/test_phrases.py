"""The generated sentences: same in every language, no test bucket in a corpus, agreement kept."""

from collections import Counter

from taglm_core.data.splits import TEST_BUCKET, bucket
from taglm_translation import corpora, phrases
from taglm_translation.buckets import text_key
from taglm_translation.languages import BUILT_IN
from taglm_translation.pairs import is_in_script


def test_sentences_are_distinct_seeded_and_in_every_language():
    """More sentences continue fewer; each is in its language's script."""
    made = phrases.sentences(3, 200)
    assert made[:50] == phrases.sentences(3, 50)
    assert made != phrases.sentences(4, 200)
    assert len({s.texts["EN"] for s in made}) == 200
    for s in made:
        assert set(s.texts) == {language.tag for language in BUILT_IN}
        for language in BUILT_IN:
            assert is_in_script(s.texts[language.tag], language.script)
            assert s.texts[language.tag][0].isupper()
            assert "{" not in s.texts[language.tag]
            assert "|" not in s.texts[language.tag]


def test_words_agree_with_their_noun():
    """Gender of the predicate and case of the object follow the noun."""
    clauses = {c["EN"]: c for kind in phrases._clauses() for c in kind}
    assert len(clauses) == 290
    red = clauses["the window is red"]
    assert red["RU"] == "окно красное"
    assert red["FR"] == "la fenêtre est rouge"
    assert red["EL"] == "το παράθυρο είναι κόκκινο"
    assert red["PT"] == "a janela é vermelha"
    see = clauses["I do not see the dog"]
    assert see["DE"] == "ich sehe den Hund nicht"
    assert see["RU"] == "я не вижу собаку"
    assert see["EL"] == "εγώ δεν βλέπω τον σκύλο"
    assert clauses["tomorrow is Friday"]["ES"] == "mañana es viernes"
    assert clauses["the number is seven"]["IT"] == "il numero è sette"


def test_rows_train_on_the_papers_pairs_and_test_all():
    """Ten directions for training, 56 for the test split."""
    made = phrases.parallel(seed=0, size=400)
    ways = {
        split: {
            (s, t)
            for s, t, p in zip(made["src_lang"], made["tgt_lang"], made["split"], strict=True)
            if p == split
        }
        for split in ("train", "test")
    }
    assert len(ways["train"]) == 10
    assert all("EN" in way for way in ways["train"])
    assert len(ways["test"]) == 56
    assert made["split"].count("valid") == 20
    assert [len(phrases.parallel(seed=0, size=n)["id"]) for n in (1, 7, 400)] == [1, 7, 400]
    counts = Counter(zip(made["src_lang"], made["tgt_lang"], made["split"], strict=True))
    trained = [count for (_, _, split), count in counts.items() if split == "train"]
    assert max(trained) - min(trained) <= 1


def test_the_corpora_leave_the_test_bucket_out():
    """Stage 1 of every language skips the same sentences, by their English side."""
    import taglm_translation
    from taglm_core.data.corpus import corpus_rows
    from taglm_core.plugins import load_registry

    registry = load_registry(only=(), extra=[("translation", taglm_translation)])
    found = {
        tag: corpus_rows(registry.domains.get(tag), registry, None, 0, 300, "raise")
        for tag in ("EN", "EL")
    }
    assert found["EN"][2] == found["EL"][2] > 10
    english, greek = found["EN"][0], found["EL"][0]
    assert all(bucket(text_key(text)) != TEST_BUCKET for text in english)
    by_english = {s.texts["EN"]: s.texts["EL"] for s in phrases.sentences(1, 300)}
    assert greek == [by_english[text] for text in english]
    assert list(corpora.el(seed=0, size=5)) == ["el", "en"]
