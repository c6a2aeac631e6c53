"""The documents of the sibling for translation: bilingual lines, repaired lines, single sentences.

A document is one of

* a pair: `en:<sentence>`, a new line, `fr:<sentence>`, English with one of five languages in either
  direction; three in ten begin without the first label. Only the second sentence is predicted.
* a repair: the same language on both lines, the first with words left out and neighbors swapped.
* a sentence of one language, with its label or bare.

Spanish and Portuguese occur in repairs and sentences only, and no document holds two languages
neither of which is English.
"""

import batches
import documents
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


class Bilingual(documents.Store):
    """Endless documents of the three kinds, each list in shuffled order without replacement."""

    shares = SHARES

    def __init__(self, arrays: dict[str, np.ndarray], seed: int) -> None:
        """Take the arrays that `prepare_translation.py` wrote."""
        super().__init__(arrays, seed)
        self.vocab = int(arrays["vocabulary"])
        self.end = np.array([batches.EOS_ID], np.uint16)

    def draw(self) -> batches.Document:
        """Return the next document, of the kind that is furthest behind its share."""
        kind = self.behind(SHARES)
        draws = {"pairs": self.pair, "repairs": self.repair, "sentences": self.sentence}
        found = draws[kind]().document(kind)
        self.count(kind, len(found.ids))
        return found

    def _label(self, language: str, place: int) -> np.ndarray:
        return self.row("labels", 2 * LANGUAGES.index(language) + place)

    def _joined(self, languages: tuple[str, str], rows: list[np.ndarray]) -> batches.Writer:
        out = batches.Writer()
        if self.rng.random() >= BARE:
            out.add(self._label(languages[0], 0), batches.GIVEN)
        out.add(rows[0], batches.GIVEN)
        out.add(self._label(languages[1], 1), batches.GIVEN)
        out.add(rows[1])
        out.add(self.end)
        return out

    def pair(self) -> batches.Writer:
        """Return a pair of the language that is furthest behind; the second half is predicted."""
        other = min(PAIRED_WITH_ENGLISH, key=lambda code: self.used.get("pairs." + code, 0.0))
        sources = PAIR_SOURCES[other]
        source = self.rng.choice(list(sources), p=list(sources.values()))
        is_from_english = self.rng.random() < 0.5
        way = ("en", other) if is_from_english else (other, "en")
        size = len(self.arrays[f"pairs.{source}.{other}.en.offsets"]) - 1
        i = self.next_index(f"pairs.{source}.{way[0]}-{way[1]}", size)
        out = self._joined(way, [self.row(f"pairs.{source}.{other}.{c}", i) for c in way])
        self.count("pairs." + other, out.size)
        return out

    def repair(self) -> batches.Writer:
        """Return a damaged sentence and the whole one, which is predicted."""
        language = self._monolingual("repairs.")
        size = len(self.arrays[f"damaged.{language}.offsets"]) - 1
        i = self.next_index("repairs." + language, size)
        rows = [self.row(f"damaged.{language}", i), self.row(f"sentences.{language}", i)]
        out = self._joined((language, language), rows)
        self.count("repairs." + language, out.size)
        return out

    def sentence(self) -> batches.Writer:
        """Return a sentence; all of it is predicted but its first token."""
        language = self._monolingual("sentences.")
        out = batches.Writer()
        if self.rng.random() >= BARE:
            out.add(self._label(language, 0))
        out.add(self.next_row(f"sentences.{language}"))
        out.add(self.end)
        self.count("sentences." + language, out.size)
        return out

    def _monolingual(self, prefix: str) -> str:
        return min(LANGUAGES, key=lambda c: self.used.get(prefix + c, 0.0) / MONOLINGUAL[c])
