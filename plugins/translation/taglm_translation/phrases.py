"""Simple sentences in eight languages, composed from a small typed grammar by a seed.

They are generated: nobody wrote or translated them one by one. Words, genders and clauses stand in
`phrases.tsv`; whoever adds a line adds it in every language.
"""

import csv
import functools
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np

from taglm_translation.languages import BUILT_IN, PAPER_PAIRS
from taglm_translation.pairs import Pairing, make_rows
from taglm_translation.sentences import Sentence

_GENDERS = "mfn"
_FIELDS = ("noun", "object", "adjective", "day", "number")

Entry = Mapping[str, str]


@functools.cache
def _grammar() -> dict[str, dict[str, Entry]]:
    """Return kind -> key -> language -> entry."""
    entries: dict[str, dict[str, Entry]] = {}
    path = Path(__file__).with_name("phrases.tsv")
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            entries.setdefault(row["kind"], {})[row["key"]] = row
    return entries


def _adjective(entry: str, gender: str) -> str:
    """Return the form of an adjective for a gender: one form, masculine|feminine, or all three."""
    forms = entry.split("|")
    return forms[min(_GENDERS.index(gender), len(forms) - 1)]


@functools.cache
def _clauses() -> list[list[dict[str, str]]]:
    """Return the clauses of each kind, language -> text in lower case."""
    words = _grammar()
    clauses: list[list[dict[str, str]]] = []
    for clause in words["clause"].values():
        fields = [field for field in _FIELDS if "{" + field in clause["EN"]]
        kinds = ["noun" if field == "object" else field for field in fields]
        of_kind = []
        for keys in product(*(words[kind] for kind in kinds)):
            entries = {f: words[k][key] for f, k, key in zip(fields, kinds, keys, strict=True)}
            of_kind.append({lang.tag: _clause(clause, entries, lang.tag) for lang in BUILT_IN})
        clauses.append(of_kind)
    return clauses


def _clause(clause: Entry, entries: Mapping[str, Entry], tag: str) -> str:
    filled: dict[str, str] = {}
    gender = "m"
    for field, entry in entries.items():
        word, _, rest = entry[tag].partition("|")
        if field in ("noun", "object"):
            gender, _, accusative = rest.partition("|")
            gender = gender or "m"
            filled[field] = accusative or word if field == "object" else word
        elif field == "adjective":
            filled[field] = _adjective(entry[tag], gender)
        else:
            filled[field] = word
    return clause[tag].format(**filled)


def sentences(seed: int, count: int) -> list[Sentence]:
    """Return distinct sentences in the eight languages.

    Args:
        seed: Equal seeds give equal sentences; more of them continue the fewer.
        count: How many.
    """
    rng = np.random.default_rng([seed, 7])
    clauses, joints = _clauses(), list(_grammar()["joint"].values())
    by_text: dict[str, Sentence] = {}
    while len(by_text) < count:
        kinds = rng.choice(len(clauses), size=2, replace=False)  # two kinds, each as likely
        first, second = (clauses[k][int(rng.integers(len(clauses[k])))] for k in kinds)
        joint = joints[int(rng.integers(len(joints)))]
        texts = {}
        for language in BUILT_IN:
            tag = language.tag
            text = joint[tag].format(a=first[tag], b=second[tag])
            texts[tag] = text[0].upper() + text[1:]
        by_text.setdefault(texts["EN"], Sentence(str(len(by_text) + 1), texts))
    return list(by_text.values())


def parallel(
    *, seed: int, size: int | None = None, directions: str | tuple[str, ...] | None = None
) -> dict[str, list[str]]:
    """Make translation rows of generated sentences: training on the paper's pairs, all tested.

    Args:
        seed: Seed of the sentences.
        size: Rows, a fifth of them for tests and a twentieth for validation; None: 2,500.
        directions: Directions of training; None: English with FR, RU, DE, IT and EL, both ways.
    """
    wanted = 2500 if size is None else size
    chosen = directions or tuple(pair.replace("-", "=") for pair in PAPER_PAIRS)
    how = Pairing(
        directions=(chosen,) if isinstance(chosen, str) else tuple(chosen),
        test_directions=("all",),
    )
    generated = sentences(seed, max(100, wanted // 4))
    rows = make_rows(generated, how, seed, None, "translation/phrases")
    return _cut(rows, wanted)


def _cut(rows: dict[str, list[str]], wanted: int) -> dict[str, list[str]]:
    """Return so many rows, the first ones of each split in their shares."""
    places = {
        split: [i for i, row_split in enumerate(rows["split"]) if row_split == split]
        for split in ("train", "valid", "test")
    }
    test = places["test"][: wanted // 5]
    valid = places["valid"][: wanted // 20]
    train = places["train"][: wanted - len(test) - len(valid)]
    return {name: [column[i] for i in (*train, *valid, *test)] for name, column in rows.items()}


def corpus(tag: str, seed: int, size: int | None) -> dict[str, list[str]]:
    """Return sentences of one language for stage 1, with the English side that decides the bucket.

    Args:
        tag: The language.
        seed: Seed of the run; the sentences are others than those of `parallel`.
        size: How many; None: 2,000.
    """
    generated = sentences(seed + 1, 2000 if size is None else size)
    return {name.lower(): [s.texts[name] for s in generated] for name in dict.fromkeys((tag, "EN"))}
