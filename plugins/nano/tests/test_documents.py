"""nano's documents: what is predicted, where is read, and how they are packed."""

import random

import numpy as np
import pytest

PROTEINS = ["MKTAYIAKQR", "GSHMLEDPVV", "ACDEFGHIKLMNPQRSTVWY" * 3]
# Five molecules of the varied file, two of MOSES, two without descriptors.
SMILES = ["CCO\tOCC", "c1ccccc1", "CC(=O)O", "CCS", "CC#N", "CCCC", "C1CC1", "CO", "NCCO"]
FIRST_WORD = 500  # letters and symbols lie below, words above


def ragged(saved, name, rows):
    """Store rows the way that `prepare.py` does."""
    saved[name + ".offsets"] = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    saved[name + ".ids"] = np.array([i for r in rows for i in r], dtype=np.uint16)


@pytest.fixture
def arrays():
    """The arrays of a made-up corpus: every symbol is the code of its letter."""
    languages = ("en", "fr", "ru", "de", "it", "el", "es", "pt")
    symbols = sorted(set("".join(SMILES) + "".join(PROTEINS)) - {"\t"})
    saved = {
        "smiles": np.frombuffer("\n".join(SMILES).encode(), np.uint8),
        "proteins": np.frombuffer("\n".join(PROTEINS).encode(), np.uint8),
        "molecule_counts": np.array([7, 5]),
        "symbols": np.frombuffer("\n".join(symbols).encode(), np.uint8),
        "symbol_ids": np.array([ord(s) for s in symbols], np.uint16),
        "vocabulary": np.array(600),
        "facts.first": np.arange(0, 5 * 6 + 1, 6),
    }
    ragged(saved, "facts", [[510, 511, 512]] * 30)
    for name in ("before_molecule", "before_protein", "between", "behind", "last_words"):
        ragged(saved, name, [[520, 521]])
    ragged(saved, "newline", [[530]])
    ragged(saved, "record", [[531, 532], [533]])
    for language in languages:
        ragged(saved, f"novels.{language}", [list(range(540, 590)) * 8])
        saved[f"novels.{language}.starts"] = np.array([[0, 0], [0, 50]])
        ragged(saved, f"sentences.{language}", [[540, 541, 542], [543, 544]])
    for name in ("massive", "bible", "tico", "tatoeba_fr", "tatoeba_de", "tatoeba_el"):
        for other in languages[1:6]:
            for way in (f"en-{other}", f"{other}-en"):
                ragged(saved, f"pairs.{name}.{way}", [[550, 551], [552]])
    return saved


@pytest.fixture
def drawn(arrays, training_module):
    """Many documents of the mix."""
    mix = training_module("documents").Documents(arrays, 3)
    return [mix.draw() for _ in range(1500)]


def test_stand_ins_and_given_words_are_never_predicted(drawn, training_module):
    """Random tokens must not become targets; behind a molecule only the end is predicted."""
    batches = training_module("batches")
    for document in drawn:
        assert len(document.ids) == len(document.roles)
        predicted = document.roles == batches.PREDICTED
        for place in np.flatnonzero(document.ids == 533):
            assert not predicted[place], "the full stop behind a molecule"
        if document.kind == "molecules" and 533 not in document.ids:
            words = predicted & (document.ids >= FIRST_WORD)
            assert not words.any(), "only symbols and the end are predicted"
    assert any((document.roles == batches.STAND_IN).any() for document in drawn)


def test_reads_stand_where_a_task_reads(drawn, training_module):
    """At the last symbol of the item that they name, or in the tag that stands last."""
    batches = training_module("batches")
    spellings = {tuple(sorted(s.split("\t")[0])): i for i, s in enumerate(SMILES)}
    seen = set()
    for document in drawn:
        for read in document.reads:
            role = document.roles[read.place]
            seen.add((read.table, int(role)))
            if role == batches.STAND_IN:
                assert (document.roles[read.place :] == batches.STAND_IN).all()
            elif read.table == batches.PROTEIN:
                protein = PROTEINS[read.row]
                ids = document.ids[read.place + 1 - len(protein) : read.place + 1]
                assert protein == bytes(ids.astype(np.uint8)).decode()
            else:
                first = read.place
                while (
                    first > 0
                    and 1 < document.ids[first - 1] < FIRST_WORD
                    and (document.roles[first - 1] == batches.PREDICTED)
                ):
                    first -= 1
                text = bytes(document.ids[first : read.place + 1].astype(np.uint8)).decode()
                atoms = tuple(sorted(c for c in text if c.isalpha()))
                wanted = {tuple(c for c in k if c.isalpha()): v for k, v in spellings.items()}
                assert wanted[atoms] == read.row
    assert seen == {(t, r) for t in (0, 1) for r in (batches.PREDICTED, batches.STAND_IN)}


def test_molecules_without_descriptors_are_not_read(drawn):
    """Their rows do not exist in the table."""
    rows = {read.row for document in drawn for read in document.reads if read.table == 0}
    assert rows == set(range(7))


def test_shares(drawn, training_module):
    """The kinds get their tokens."""
    shares = training_module("documents").SHARES
    counts = dict.fromkeys(shares, 0)
    for document in drawn:
        counts[document.kind] += len(document.ids)
    for kind, share in shares.items():
        assert counts[kind] / sum(counts.values()) == pytest.approx(share, abs=0.03)


def test_packing_keeps_documents_whole_and_places_reads(arrays, training_module):
    """Rows are padded at the right; a read of the flattened batch finds the same token."""
    batches, documents = training_module("batches"), training_module("documents")
    mix, kept = documents.Documents(arrays, 4), []

    def endless():
        for _ in range(2000):
            kept.append(mix.draw())
            yield kept[-1]

    kinds = list(documents.SHARES)
    found = list(batches.packed(endless(), kinds, 1536))
    assert len(found) > 10
    by_ids = {tuple(document.ids): document for document in kept}
    for batch in found:
        rows, length = batch.ids.shape
        assert rows == max(1, 1536 // length)
        assert (batch.roles[:, 0] != batches.PREDICTED).all()
        number = 0
        for i, (ids, kind) in enumerate(zip(batch.ids, batch.kinds, strict=True)):
            size = int(np.flatnonzero(ids)[-1]) + 1
            document = by_ids[tuple(ids[:size])]
            assert document.kind == kinds[kind]
            number += len(document.reads)
            flat = {(i * length + read.place, read.table) for read in document.reads}
            assert flat <= {(place, table) for place, table, _ in batch.reads.tolist()}
        assert number == len(batch.reads)


def test_a_molecule_is_respelt(arrays, training_module):
    """Molecules without stereo marks come in orders that no array holds."""
    mix = training_module("documents").Documents(arrays, 5)
    mix.spelling = random.Random(1)
    spelled = {tuple(mix._spelled(4, canonical=False)) for _ in range(30)}
    assert tuple(map(ord, "N#CC")) in spelled
    assert {tuple(map(ord, "CC#N"))} == {tuple(mix._spelled(4, canonical=True)) for _ in range(5)}
    assert {tuple(map(ord, "OCC"))} == {tuple(mix._spelled(0, canonical=False)) for _ in range(5)}
