"""Draws training documents and groups them into padded micro-batches of one kind.

Everything is a deterministic function of the seed and the number of steps drawn before, so a
resumed run replays the draws and goes on where it stopped.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from corpus import LANGUAGES, PAIRED_WITH_ENGLISH

EOS_ID = 1
PAD_ID = 0
SHARES = {"molecules": 0.52, "proteins": 0.20, "text": 0.28}
# Shares of the text tokens. English is the language of templates; Spanish and Portuguese have no
# bilingual lines, so they get more lines of their own.
NOVELS = {language: 0.08 if language == "en" else 0.055 for language in LANGUAGES}
SENTENCES = {language: 0.022 if language in ("es", "pt") else 0.011 for language in LANGUAGES}
PAIRS = {language: 0.085 for language in PAIRED_WITH_ENGLISH}
PAIR_SOURCES = {
    "fr": {"tatoeba_fr": 0.5, "massive": 0.15, "bible": 0.2, "tico": 0.15},
    "de": {"tatoeba_de": 0.55, "massive": 0.2, "bible": 0.25},
    "it": {"massive": 0.5, "bible": 0.5},
    "ru": {"massive": 0.35, "bible": 0.4, "tico": 0.25},
    "el": {"tatoeba_el": 0.6, "massive": 0.4},
}


class MicroBatch(NamedTuple):
    """Right-padded documents of one kind.

    Attributes:
        kind: molecules, proteins or text.
        ids: Token ids, (batch, seq).
        lengths: Tokens of each document, (batch,).
        starts: First token of each document that is predicted, (batch,); None: the second.
    """

    kind: str
    ids: np.ndarray
    lengths: np.ndarray
    starts: np.ndarray | None = None

    @property
    def num_targets(self) -> int:
        """Return how many tokens are predicted: all but the first of each document."""
        before = len(self.lengths) if self.starts is None else int(self.starts.sum())
        return int(self.lengths.sum()) - before


class Documents:
    """Endless documents of the three kinds, drawn in shuffled order without replacement."""

    shares = SHARES

    def __init__(self, arrays_path: Path, seed: int) -> None:
        """Load the arrays that `prepare.py` wrote."""
        with np.load(arrays_path) as saved:
            self.arrays = {name: saved[name] for name in saved.files}
        self.rng = np.random.default_rng(seed)
        self.orders: dict[str, Iterator[int]] = {}
        self.used: dict[str, float] = {}

    def row(self, name: str, i: int) -> np.ndarray:
        """Return row i of a ragged array."""
        offsets = self.arrays[name + ".offsets"]
        return self.arrays[name + ".ids"][offsets[i] : offsets[i + 1]]

    def _shuffled(self, size: int) -> Iterator[int]:
        while True:
            yield from self.rng.permutation(size)

    def next_index(self, name: str, size: int) -> int:
        """Return the next row of a list, each once before any comes again."""
        if name not in self.orders:
            self.orders[name] = self._shuffled(size)
        return int(next(self.orders[name]))

    def next_row(self, name: str) -> np.ndarray:
        """Return the next row of a ragged array in shuffled order."""
        return self.row(name, self.next_index(name, len(self.arrays[name + ".offsets"]) - 1))

    def _random_smiles(self, molecule: int, canonical: bool) -> np.ndarray:
        first, last = self.arrays["smiles.first"][molecule : molecule + 2]
        return self.row("smiles", first if canonical else self.rng.integers(first + 1, last))

    def molecule(self) -> list[np.ndarray]:
        """Return a molecule alone (45 %), twice (15 %), or with 4 to 6 facts (40 %)."""
        number = self.next_index("molecules", len(self.arrays["smiles.first"]) - 1)
        form = self.rng.random()
        smiles = self._random_smiles(number, canonical=self.rng.random() < 0.5)
        if form < 0.45:
            return [smiles]
        if form < 0.60:
            newline = self.row("record_prefix", 2)
            return [smiles, newline, self._random_smiles(number, canonical=False)]
        first, last = self.arrays["facts.first"][number : number + 2]
        size = min(int(self.rng.integers(4, 7)), last - first)
        chosen = self.rng.choice(np.arange(first, last), size=size, replace=False)
        prefix = [self.row("record_prefix", 0)] if self.rng.random() < 0.3 else []
        return [
            *prefix,
            smiles,
            self.row("record_prefix", 1),
            *(self.row("facts", i) for i in chosen),
        ]

    def protein(self, length: int) -> list[np.ndarray]:
        """Return one protein (length 0), or several with ends between them up to a length."""
        pieces = [self.next_row("proteins")]
        while sum(len(p) + 1 for p in pieces) < length:
            pieces.append(self.next_row("proteins"))
        end = np.array([EOS_ID], dtype=np.uint16)
        return [piece for p in pieces for piece in (p, end)][:-1]

    def novel(self, language: str) -> list[np.ndarray]:
        """Return a window of a work that begins with a paragraph: 1,024, 2,048 or 256 tokens."""
        starts = self.arrays[f"novels.{language}.starts"]
        run, offset = starts[self.next_index(f"starts.{language}", len(starts))]
        size = self.rng.choice([256, 1023, 2047], p=[0.7, 0.22, 0.08])
        return [self.row(f"novels.{language}", run)[offset : offset + size]]

    def sentences(self, language: str) -> list[np.ndarray]:
        """Return unrelated sentences of one language, a line each, 64 to 400 tokens."""
        target = self.rng.integers(64, 400)
        lines: list[np.ndarray] = []
        while sum(map(len, lines)) < target:
            lines.append(self.next_row(f"sentences.{language}")[:400])
        return lines

    def pairs(self, language: str) -> list[np.ndarray]:
        """Return English beside another language in one direction: one pair, or several."""
        sources = PAIR_SOURCES[language]
        source = self.rng.choice(list(sources), p=list(sources.values()))
        direction = f"en-{language}" if self.rng.random() < 0.5 else f"{language}-en"
        name = f"pairs.{source}.{direction}"
        lines = [self.next_row(name)[:600]]
        if self.rng.random() < 0.25:
            target = self.rng.integers(128, 600)
            while sum(map(len, lines)) < target:
                lines += [self.row("record_prefix", 2), self.next_row(name)[:600]]
        return lines

    def text(self) -> list[np.ndarray]:
        """Return a document of the text stream that is furthest behind its share."""
        streams: dict[str, tuple[float, Callable[[str], list[np.ndarray]]]] = {}
        for shares, draw in (
            (NOVELS, self.novel),
            (SENTENCES, self.sentences),
            (PAIRS, self.pairs),
        ):
            for language, share in shares.items():
                streams[f"{draw.__name__}.{language}"] = (share, draw)
        name = min(streams, key=lambda n: self.used.get(n, 0.0) / streams[n][0])
        pieces = streams[name][1](name.split(".")[1])
        self.used[name] = self.used.get(name, 0.0) + sum(map(len, pieces))
        return pieces

    def step(self, tokens: int, micro_tokens: int) -> list[MicroBatch]:
        """Draw the micro-batches of one optimizer step, the largest first.

        Args:
            tokens: Tokens of the step, padding not counted; the kinds get their fixed shares.
            micro_tokens: Most tokens of a micro-batch, padding counted; a longer document is alone.
        """
        protein_length = int(self.rng.choice([0, 1024, 2048], p=[0.5, 0.35, 0.15]))
        draws: dict[str, Callable[[], list[np.ndarray]]] = {
            "molecules": self.molecule,
            "proteins": lambda: self.protein(protein_length),
            "text": self.text,
        }
        batches: list[MicroBatch] = []
        for kind, draw in draws.items():
            rows: list[np.ndarray] = []
            # What one step takes too much, the next takes less.
            budget = tokens * SHARES[kind] - self.used.get("over." + kind, 0.0)
            while budget > 0:
                end = np.array([EOS_ID], dtype=np.uint16)
                rows.append(np.concatenate([*draw(), end]))
                budget -= len(rows[-1])
            self.used["over." + kind] = -budget
            batches += [MicroBatch(kind, *padded) for padded in group(rows, micro_tokens)]
        return sorted(batches, key=lambda b: -b.ids.size)


def group(rows: list[np.ndarray], micro_tokens: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sort documents by length and pad neighbours together.

    Yields:
        Token ids (batch, seq) and lengths (batch,).
    """
    rows = sorted(rows, key=len)
    while rows:
        size = 1
        while size < len(rows) and (size + 1) * len(rows[-1]) <= micro_tokens:
            size += 1
        chosen, rows = rows[-size:], rows[:-size]
        lengths = np.array([len(row) for row in chosen])
        ids = np.full((size, lengths.max()), PAD_ID, dtype=np.int64)
        for i, row in enumerate(chosen):
            ids[i, : len(row)] = row
        yield ids, lengths
