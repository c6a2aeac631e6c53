"""The mix for translation: which languages meet in a document, and what of it is predicted."""

import random

import numpy as np
import pytest

LANGUAGES = ("en", "fr", "ru", "de", "it", "el", "es", "pt")


@pytest.fixture
def documents(bilingual_arrays, training_module):
    """Return (kind, tokens, start of the prediction) of many documents."""
    mix = training_module("bilingual").Bilingual(bilingual_arrays, seed=4)
    found = []
    for _ in range(1500):
        kind, ids, roles, reads = mix.draw()
        predicted = np.flatnonzero(roles == 1)
        assert predicted[-1] - predicted[0] + 1 == len(predicted)
        assert not reads
        found.append((kind, ids.tolist(), max(1, int(predicted[0]))))
    return found


def languages(tokens):
    """Return the languages of some tokens in the order in which they come."""
    return list(dict.fromkeys(LANGUAGES[token // 100 - 1] for token in tokens))


def test_only_the_five_pairs_with_english_meet(documents):
    """No zero-shot pair is ever in one document, Spanish and Portuguese are always alone."""
    met = {tuple(languages(ids[:-1])) for _, ids, _ in documents}
    pairs = {pair for pair in met if len(pair) > 1}
    others = ("fr", "ru", "de", "it", "el")
    assert pairs == {("en", code) for code in others} | {(code, "en") for code in others}
    assert {pair for pair in met if len(pair) == 1} == {(code,) for code in LANGUAGES}


def test_a_pair_is_of_one_row_and_its_second_sentence_is_predicted(documents, sentence):
    """What is predicted begins behind the second label and ends with the end of the text."""
    for kind, ids, start in documents:
        assert ids[-1] == 1
        if kind == "sentences":
            assert start == 1
            continue
        assert ids[start - 1] % 100 == 91, "the second label stands before what is predicted"
        target = ids[start:-1]
        row = target[0] % 100
        assert target == sentence(languages(target)[0], row)
        assert {token % 100 for token in ids[: start - 1]} <= {row, 90}
        assert (kind == "repairs") == (len(languages(ids[:-1])) == 1)


def test_labels_are_sometimes_left_out(documents):
    """Three in ten first sentences are bare, so that they are read without a label too."""
    bare = np.mean([ids[0] % 100 != 90 for _, ids, _ in documents])
    assert 0.2 < bare < 0.4


def test_the_shares_are_those_of_the_mix(documents, training_module):
    """Tokens of the kinds, and Spanish and Portuguese twice as often in what is of one language."""
    counts = {kind: 0 for kind in training_module("bilingual").SHARES}
    single = dict.fromkeys(LANGUAGES, 0)
    for kind, ids, _ in documents:
        counts[kind] += len(ids)
        if kind == "repairs":
            single[languages(ids[:-1])[0]] += len(ids)
    total = sum(counts.values())
    for kind, share in training_module("bilingual").SHARES.items():
        assert counts[kind] / total == pytest.approx(share, abs=0.02)
    assert single["es"] / single["fr"] == pytest.approx(2.0, abs=0.3)


def test_damage_keeps_words_and_loses_some(training_module):
    """Only words of the sentence, near their places; never nothing."""
    pytest.importorskip("tokenizers")
    damage = training_module("prepare_translation").damage
    words = [f"w{i}" for i in range(200)]
    damaged = damage(" ".join(words), random.Random(1)).split()
    assert len(set(damaged)) == len(damaged)
    assert 150 < len(damaged) < 190
    places = [int(word[1:]) for word in damaged]
    assert places != sorted(places)
    assert max(abs(a - b) for a, b in zip(places, sorted(places), strict=True)) < 8
    assert damage("one", random.Random(0)) == "one"
