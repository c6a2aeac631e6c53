"""Draws nano's documents: molecules, proteins, and text, with stand-ins for tags around them.

taglm puts a domain tag of some vectors before a molecule or protein and a function tag behind it,
after a few words. Random tokens with noise stand in for them here, never predicted, and at their
end the state is read, as a task would.
"""

import random
from collections.abc import Callable, Iterator

import numpy as np
from batches import EOS_ID, GIVEN, MOLECULE, PROTEIN, STAND_IN, Document, Writer
from corpus import LANGUAGES, PAIRED_WITH_ENGLISH
from molecules import smiles_symbols
from respell import can_respell, respell

SHARES = {"molecules": 0.62, "proteins": 0.27, "text": 0.11}
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
BEFORE_MOLECULE = (
    "The SMILES of the molecule is ",
    "The molecule ",
    "The drug ",
    "SMILES: ",
    " and ",
)
BEFORE_PROTEIN = (
    "The protein sequence is ",
    "The protein ",
    "The sequence of the target is ",
    "Protein: ",
)
BETWEEN = (" binds the molecule ", ". The drug is ", " and ", ", ")
BEHIND = (". The", ". Its", ". It", " The", ", ", ":", ".\n")
LAST_WORDS = (" is ", ": ", " = ", ", ")
# Most tokens of random words in a made-up template, and the lengths of tags.
MOST_WORDS = 8
TAG_LENGTHS = (3, 16)
USUAL_TAG = 10
# Of the molecules drawn so many have descriptors; of these so many come from the varied file.
DESCRIBED, VARIED = 0.85, 0.75


class Store:
    """Named ragged arrays of `prepare.py`, and rows in shuffled order without replacement."""

    def __init__(self, arrays: dict[str, np.ndarray], seed: int) -> None:
        """Take arrays that were loaded; several stores may share them."""
        self.arrays = arrays
        self.rng = np.random.default_rng(seed)
        self.used: dict[str, float] = {}
        self._orders: dict[str, Iterator[int]] = {}

    def row(self, name: str, i: int) -> np.ndarray:
        """Return row i of a ragged array."""
        offsets = self.arrays[name + ".offsets"]
        return self.arrays[name + ".ids"][offsets[i] : offsets[i + 1]]

    def _shuffled(self, size: int) -> Iterator[int]:
        while True:
            yield from self.rng.permutation(size)

    def next_index(self, name: str, size: int) -> int:
        """Return the next row of a list, each once before any comes again."""
        if name not in self._orders:
            self._orders[name] = self._shuffled(size)
        return int(next(self._orders[name]))

    def next_row(self, name: str) -> np.ndarray:
        """Return the next row of a ragged array in shuffled order."""
        return self.row(name, self.next_index(name, len(self.arrays[name + ".offsets"]) - 1))

    def behind(self, shares: dict[str, float]) -> str:
        """Return the stream that is furthest behind its share of tokens."""
        return min(shares, key=lambda name: self.used.get(name, 0.0) / shares[name])

    def count(self, name: str, tokens: int) -> None:
        """Note that a stream got so many tokens."""
        self.used[name] = self.used.get(name, 0.0) + tokens


def lines_of(array: np.ndarray) -> list[str]:
    """Return the lines of a text that is stored as bytes."""
    return array.tobytes().decode("ascii").split("\n")


class Documents(Store):
    """Endless documents of the three kinds."""

    shares = SHARES

    def __init__(self, arrays: dict[str, np.ndarray], seed: int) -> None:
        """Take the arrays that `prepare.py` wrote."""
        super().__init__(arrays, seed)
        self.spelling = random.Random(seed)
        self.smiles = lines_of(arrays["smiles"])
        self.proteins = lines_of(arrays["proteins"])
        self.num_described, self.num_varied = map(int, arrays["molecule_counts"])
        self.symbols = dict(zip(lines_of(arrays["symbols"]), arrays["symbol_ids"], strict=True))
        self.letters = np.zeros(128, np.uint16)
        for letter in "ACDEFGHIKLMNPQRSTVWY":
            self.letters[ord(letter)] = self.symbols[letter]
        self.vocab = int(arrays["vocabulary"])
        self.newline = self.row("newline", 0)
        self.end = np.array([EOS_ID], np.uint16)

    def draw(self) -> Document:
        """Return the next document, of the kind that is furthest behind its share."""
        kind = self.behind(SHARES)
        draws: dict[str, Callable[[], Writer]] = {
            "molecules": self.molecule,
            "proteins": self.protein,
            "text": self.text,
        }
        found = draws[kind]().document(kind)
        self.count(kind, len(found.ids))
        return found

    def _tag(self, out: Writer) -> int:
        """Write the stand-in of a tag; return its length."""
        usual = self.rng.random() < 0.5
        size = USUAL_TAG if usual else int(self.rng.integers(*TAG_LENGTHS, endpoint=True))
        out.add(self.rng.integers(2, self.vocab, size), STAND_IN)
        return size

    def _glue(self, name: str) -> np.ndarray:
        return self.row(name, int(self.rng.integers(len(self.arrays[name + ".offsets"]) - 1)))

    def _opening(self, out: Writer, name: str, share: float) -> None:
        """Write what often stands before a molecule or protein: words, or a tag, or both."""
        if self.rng.random() >= share:
            return
        form = self.rng.random()
        if form < 0.8:
            out.add(self._glue(name), GIVEN)
        if form > 0.2:
            self._tag(out)

    def _asked(self, out: Writer, *reads: tuple[int, int]) -> None:
        """Write words and the stand-in of a function tag, and read at its end and within it."""
        if self.rng.random() < 0.7:
            out.add(self._glue("behind"), GIVEN)
            words = self.next_row("sentences.en")
            out.add(words[: int(self.rng.integers(0, MOST_WORDS, endpoint=True))], GIVEN)
            out.add(self._glue("last_words"), GIVEN)
        size = self._tag(out)
        for table, row in reads:
            out.read(table, row)
            out.read(table, row, back=int(self.rng.integers(1, size)))

    def _number(self) -> int:
        """Return the number of the next molecule."""
        if self.rng.random() >= DESCRIBED:
            rest = len(self.smiles) - self.num_described
            if rest:
                return self.num_described + self.next_index("undescribed", rest)
        moses = self.num_described - self.num_varied
        if moses and self.rng.random() >= VARIED:
            return self.num_varied + self.next_index("moses", moses)
        return self.next_index("varied", self.num_varied)

    def _spelled(self, number: int, canonical: bool) -> np.ndarray:
        smiles, *others = self.smiles[number].split("\t")
        if not canonical:
            if others:
                smiles = self.spelling.choice(others)
            elif can_respell(smiles):
                smiles = respell(smiles, self.spelling)
        return np.array([self.symbols[s] for s in smiles_symbols(smiles)], np.uint16)

    def _add_molecule(self, out: Writer, number: int, canonical: bool) -> None:
        out.add(self._spelled(number, canonical))
        if number < self.num_described:
            out.read(MOLECULE, number)

    def molecule(self) -> Writer:
        """Return a molecule alone, asked about, twice, beside another, or with facts.

        Behind a molecule nothing but the end is ever predicted, so that one that the model writes
        ends there.
        """
        out, number, form = Writer(), self._number(), self.rng.random()
        canonical = self.rng.random() < 0.5
        if form < 0.28:
            self._opening(out, "before_molecule", 0.15)
            self._add_molecule(out, number, canonical)
        elif form < 0.80:
            self._opening(out, "before_molecule", 0.7)
            self._add_molecule(out, number, canonical)
            reads = [(MOLECULE, number)] if number < self.num_described else []
            self._asked(out, *reads)
            return out
        elif form < 0.91:
            self._add_molecule(out, number, canonical)
            out.add(self.newline, GIVEN)
            self._add_molecule(out, number, canonical=False)
        elif form < 0.95:
            for other in (number, self._number()):
                if out.size:
                    out.add(self._glue("between"), GIVEN)
                self._opening(out, "before_molecule", 0.9)
                self._add_molecule(out, other, canonical)
        else:
            self._record(out, canonical)
        out.add(self.end)
        return out

    def _record(self, out: Writer, canonical: bool) -> None:
        """Write a molecule and four to six sentences about it."""
        firsts = self.arrays["facts.first"]
        number = self.next_index("records", len(firsts) - 1)
        if self.rng.random() < 0.3:
            out.add(self.row("record", 0))
        self._add_molecule(out, number, canonical)
        out.add(self.row("record", 1), GIVEN)
        first, last = firsts[number : number + 2]
        size = min(int(self.rng.integers(4, 7)), last - first)
        for i in self.rng.choice(np.arange(first, last), size=size, replace=False):
            out.add(self.row("facts", i))

    def _add_protein(self, out: Writer) -> int:
        number = self.next_index("proteins", len(self.proteins))
        out.add(self.letters[np.frombuffer(self.proteins[number].encode(), np.uint8)])
        out.read(PROTEIN, number)
        return number

    def protein(self) -> Writer:
        """Return a protein alone, asked about, beside a molecule, or several in a row."""
        out, form = Writer(), self.rng.random()
        if form < 0.40:
            self._opening(out, "before_protein", 0.15)
            self._add_protein(out)
        elif form < 0.83:
            self._opening(out, "before_protein", 0.7)
            self._asked(out, (PROTEIN, self._add_protein(out)))
            return out
        elif form < 0.95:
            return self._pair(out)
        else:
            target = int(self.rng.choice([1024, 2048, 3072], p=[0.3, 0.5, 0.2])) - 512
            while out.size < target:
                if out.size:
                    out.add(self.end)
                self._add_protein(out)
        out.add(self.end)
        return out

    def _pair(self, out: Writer) -> Writer:
        """Write a protein and a molecule in either order, and ask about both."""
        molecule = self.next_index("varied", self.num_varied)
        is_molecule_first = self.rng.random() < 0.5
        protein = -1
        for is_molecule in (is_molecule_first, not is_molecule_first):
            if out.size:
                out.add(self._glue("between"), GIVEN)
                self._opening(out, "between", 0.5)
            else:
                self._opening(out, "before_molecule" if is_molecule else "before_protein", 0.9)
            if is_molecule:
                self._add_molecule(out, molecule, canonical=self.rng.random() < 0.5)
            else:
                protein = self._add_protein(out)
        self._asked(out, (MOLECULE, molecule), (PROTEIN, protein))
        return out

    def text(self) -> Writer:
        """Return a document of the text stream that is furthest behind its share."""
        streams: dict[str, Callable[[str], list[np.ndarray]]] = {}
        all_shares: dict[str, float] = {}
        for shares, draw in (
            (NOVELS, self.novel),
            (SENTENCES, self.sentences),
            (PAIRS, self.pairs),
        ):
            for language, share in shares.items():
                streams[f"{draw.__name__}.{language}"] = draw
                all_shares[f"{draw.__name__}.{language}"] = share
        name = self.behind(all_shares)
        out = Writer()
        for piece in streams[name](name.split(".")[1]):
            out.add(piece)
        self.count(name, out.size)
        out.add(self.end)
        return out

    def novel(self, language: str) -> list[np.ndarray]:
        """Return a window of a work that begins with a paragraph: 255, 1,023 or 2,047 tokens."""
        starts = self.arrays[f"novels.{language}.starts"]
        run, offset = starts[self.next_index(f"starts.{language}", len(starts))]
        size = self.rng.choice([255, 1023, 2047], p=[0.7, 0.22, 0.08])
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
                lines += [self.newline, self.next_row(name)[:600]]
        return lines
