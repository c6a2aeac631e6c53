"""The mix for translation: which languages meet in a document, and what of it is predicted."""

import random

import numpy as np
import pytest

LANGUAGES = ("en", "fr", "ru", "de", "it", "el", "es", "pt")
ROWS = 12


def number(language):
    """Return the hundreds of a language's made-up tokens."""
    return 100 * (LANGUAGES.index(language) + 1)


def sentence(language, row):
    """Return tokens that tell language and row."""
    return [number(language) + row] * (2 + row % 3)


@pytest.fixture
def arrays(tmp_path):
    """Write the arrays of a made-up corpus of twelve sentences."""
    saved = {}

    def add(name, rows):
        saved[name + ".offsets"] = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
        saved[name + ".ids"] = np.array([i for r in rows for i in r], dtype=np.uint16)

    add("labels", [[number(code) + 90 + second] for code in LANGUAGES for second in (0, 1)])
    for code in LANGUAGES:
        add(f"sentences.{code}", [sentence(code, i) for i in range(ROWS)])
        add(f"damaged.{code}", [sentence(code, i)[1:] for i in range(ROWS)])
    for source, others in {
        "massive": ("fr", "ru", "de", "it", "el"),
        "tatoeba_fr": ("fr",),
        "tatoeba_de": ("de",),
        "tatoeba_el": ("el",),
    }.items():
        for other in others:
            for code in ("en", other):
                add(f"pairs.{source}.{other}.{code}", [sentence(code, i) for i in range(ROWS)])
    np.savez(tmp_path / "arrays.npz", **saved)
    return tmp_path / "arrays.npz"


@pytest.fixture
def documents(arrays, training_module):
    """Return (kind, tokens, start of the prediction) of many documents."""
    mix = training_module("bilingual").Bilingual(arrays, seed=4)
    found = []
    for _ in range(40):
        for batch in mix.step(400, 120):
            for ids, length, start in zip(batch.ids, batch.lengths, batch.starts, strict=True):
                found.append((batch.kind, ids[:length].tolist(), int(start)))
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


def test_a_pair_is_of_one_row_and_its_second_sentence_is_predicted(documents):
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


def test_the_loss_counts_what_is_predicted(training_module):
    """Tokens before the start do not count; the vocabulary follows from the tensor's length."""
    torch = pytest.importorskip("torch")
    model = training_module("model")
    flat = torch.zeros(model.num_parameters(600))
    model.initialise(flat, seed=1)
    assert model.vocab_of(flat) == 600
    params, tables = model.fused_views(flat), model.rope_tables()
    ids = torch.randint(2, 600, (2, 9), generator=torch.Generator().manual_seed(2))
    lengths = torch.tensor([9, 6])
    with torch.no_grad():
        states = model.hidden_states(params, ids, *tables)
        logs = (states @ params["embed"].T).log_softmax(-1)
        wanted = -sum(
            float(logs[row, place - 1, ids[row, place]])
            for row, (start, length) in enumerate([(4, 9), (2, 6)])
            for place in range(start, length)
        )
        found = model.loss_sum(params, ids, lengths, *tables, torch.tensor([4, 2]))
    assert float(found) == pytest.approx(wanted, rel=1e-4)


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
