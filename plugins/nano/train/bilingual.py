"""The documents of the sibling for translation: bilingual lines, repaired lines, single sentences.

A document is one of

* a pair: `en:<sentence>`, a new line, `fr:<sentence>`, English with one of five languages in either
  direction; three in ten begin without the first label. Only the second sentence is predicted.
* a repair: the same language on both lines, the first with words left out and neighbours swapped.
* a sentence of one language, with its label or bare.

Spanish and Portuguese occur in repairs and sentences only, and no document holds two languages
neither of which is English.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import batches
import numpy as np
from corpus import LANGUAGES, PAIRED_WITH_ENGLISH

SHARES = {"pairs": 0.70, "repairs": 0.18, "sentences": 0.12}
# Of the pairs of a language, how many come from where.
PAIR_SOURCES = {
    "fr": {"massive": 0.8, "tatoeba_fr": 0.2},
    "ru": {"massive": 1.0},
    "de": {"massive": 0.8, "tatoeba_de": 0.2},
    "it": {"massive": 1.0},
    "el": {"massive": 0.8, "tatoeba_el": 0.2},
}
# Spanish and Portuguese have no pairs, so they get more of what is left.
MONOLINGUAL = {language: 2.0 if language in ("es", "pt") else 1.0 for language in LANGUAGES}
BARE = 0.3
"""Share of the documents whose first sentence has no label."""


def label(language: str, is_second: bool = False) -> str:
    """Return what stands before a sentence; the sentence follows without a blank."""
    return ("\n" if is_second else "") + language + ":"


class Bilingual(batches.Documents):
    """Endless documents of the three kinds, each list in shuffled order without replacement."""

    shares = SHARES

    def _label(self, language: str, place: int) -> np.ndarray:
        return self.row("labels", 2 * LANGUAGES.index(language) + place)

    def _joined(self, languages: tuple[str, str], rows: list[np.ndarray]) -> tuple:
        first = [] if self.rng.random() < BARE else [self._label(languages[0], 0)]
        before = [*first, rows[0], self._label(languages[1], 1)]
        end = np.array([batches.EOS_ID], dtype=np.uint16)
        return np.concatenate([*before, rows[1], end]), sum(map(len, before))

    def pair(self) -> tuple[np.ndarray, int]:
        """Return a pair of the language that is furthest behind, and where prediction begins."""
        other = min(PAIRED_WITH_ENGLISH, key=lambda code: self.used.get("pairs." + code, 0.0))
        sources = PAIR_SOURCES[other]
        source = self.rng.choice(list(sources), p=list(sources.values()))
        is_from_english = self.rng.random() < 0.5
        way = ("en", other) if is_from_english else (other, "en")
        size = len(self.arrays[f"pairs.{source}.{other}.en.offsets"]) - 1
        i = self.next_index(f"pairs.{source}.{way[0]}-{way[1]}", size)
        ids, start = self._joined(way, [self.row(f"pairs.{source}.{other}.{c}", i) for c in way])
        self.used["pairs." + other] = self.used.get("pairs." + other, 0.0) + len(ids)
        return ids, start

    def repair(self) -> tuple[np.ndarray, int]:
        """Return a damaged sentence and the whole one, and where prediction begins."""
        language = self._monolingual("repairs.")
        i = self.next_index(
            "repairs." + language, len(self.arrays[f"damaged.{language}.offsets"]) - 1
        )
        rows = [self.row(f"damaged.{language}", i), self.row(f"sentences.{language}", i)]
        ids, start = self._joined((language, language), rows)
        self.used["repairs." + language] = self.used.get("repairs." + language, 0.0) + len(ids)
        return ids, start

    def sentence(self) -> tuple[np.ndarray, int]:
        """Return a sentence; all of it is predicted but its first token."""
        language = self._monolingual("sentences.")
        first = [] if self.rng.random() < BARE else [self._label(language, 0)]
        end = np.array([batches.EOS_ID], dtype=np.uint16)
        ids = np.concatenate([*first, self.next_row(f"sentences.{language}"), end])
        self.used["sentences." + language] = self.used.get("sentences." + language, 0.0) + len(ids)
        return ids, 1

    def _monolingual(self, prefix: str) -> str:
        return min(LANGUAGES, key=lambda c: self.used.get(prefix + c, 0.0) / MONOLINGUAL[c])

    def step(self, tokens: int, micro_tokens: int) -> list[batches.MicroBatch]:
        """Draw the micro-batches of one optimizer step, the largest first.

        Args:
            tokens: Tokens of the step, padding not counted; the kinds get their fixed shares.
            micro_tokens: Most tokens of a micro-batch, padding counted.
        """
        found: list[batches.MicroBatch] = []
        draws = {"pairs": self.pair, "repairs": self.repair, "sentences": self.sentence}
        for kind, draw in draws.items():
            drawn: list[tuple[np.ndarray, int]] = []
            budget = tokens * SHARES[kind] - self.used.get("over." + kind, 0.0)
            while budget > 0:
                drawn.append(draw())
                budget -= len(drawn[-1][0])
            self.used["over." + kind] = -budget
            found += padded(kind, drawn, micro_tokens)
        return sorted(found, key=lambda b: -b.ids.size)


def padded(
    kind: str, drawn: list[tuple[np.ndarray, int]], micro_tokens: int
) -> Iterator[batches.MicroBatch]:
    """Pad documents of like length together; each comes with the start of its prediction."""
    drawn = sorted(drawn, key=lambda pair: len(pair[0]))
    # `group` sorts by length too, and stably, so it keeps this order within its reversed chunks.
    last = len(drawn)
    for ids, lengths in batches.group([row for row, _ in drawn], micro_tokens):
        chosen = drawn[last - len(lengths) : last]
        last -= len(lengths)
        starts = np.array([start for _, start in chosen])
        yield batches.MicroBatch(kind, ids, lengths, starts)


def held_out_cases(work: Path) -> list[batches.MicroBatch]:
    """Return held-out pairs for the log: trained directions and zero-shot ones, both labelled."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(work / "tokenizer" / "tokenizer.json"))
    rows = json.loads((work / "held_out.json").read_text(encoding="utf-8"))[:60]
    drawn: dict[str, list[tuple[np.ndarray, int]]] = {}
    for row in rows:
        for a in row:
            for b in row:
                if a == b:
                    continue
                is_trained = "en" in (a, b) and not {a, b} & {"es", "pt"}
                kind = f"{a[:2]}-{b[:2]}" if is_trained else "zero-shot"
                texts = [label(a), row[a], label(b, True), row[b]]
                parts = [tokenizer.encode(text).ids for text in texts]
                ids = [i for part in parts for i in part] + [batches.EOS_ID]
                drawn.setdefault(kind, []).append((np.array(ids), len(ids) - len(parts[3]) - 1))
    return [batch for kind, held in drawn.items() for batch in padded(kind, held, 4096)]
