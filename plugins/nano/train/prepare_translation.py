"""Turns parallel lines into what `train.py --mix translation` reads, with a tokenizer of its own.

    TAGLM_DATA=<raw data> python prepare_translation.py --work <work folder>

Writes `tokenizer/`, `arrays.npz.xz`, `held_out.json` and `prepare.json` with counts. A minute.
"""

import argparse
import json
import random
from collections.abc import Iterable

import bilingual
import corpus
import numpy as np
from corpus import LANGUAGES, PAIRED_WITH_ENGLISH
from make_tokenizer import build_tokenizer
from prepare import Arrays, asked_folder, save_arrays

SOURCES = ("massive", "tatoeba_fr", "tatoeba_de", "tatoeba_el", "tatoeba_es")
VOCAB_SIZE = 6144
TOKENIZER_CHARS = 700_000  # of each language
MOST_SENTENCES = 6000  # of each file but MASSIVE, in sentences and repairs
LEFT_OUT = 0.15
SWAP_WINDOW = 2.0


def damage(sentence: str, rng: random.Random) -> str:
    """Leave out words and move others by a few places."""
    words = sentence.split()
    kept = [word for word in words if rng.random() >= LEFT_OUT] or words
    places = [i + rng.uniform(0, SWAP_WINDOW) for i in range(len(kept))]
    return " ".join(word for _, word in sorted(zip(places, kept, strict=True)))


def tokenizer_texts(sentences: dict[str, list[str]]) -> Iterable[str]:
    """Yield training sentences, as many characters of each language, MASSIVE's first."""
    for language in LANGUAGES:
        left = TOKENIZER_CHARS
        for text in sentences[language]:
            yield text
            left -= len(text)
            if left < 0:
                break


def main() -> None:
    """Prepare everything that the mix needs."""
    work = asked_folder(argparse.ArgumentParser(description=__doc__)).work
    rng = random.Random(1)

    parallel = {name: corpus.read_parallel(name) for name in SOURCES}
    sentences = {
        language: list(
            dict.fromkeys(
                row[language]
                for name, part in parallel.items()
                for row in part.train[: None if name == "massive" else MOST_SENTENCES]
                if language in row
            )
        )
        for language in LANGUAGES
    }
    tokenizer = build_tokenizer(tokenizer_texts(sentences), work / "tokenizer", VOCAB_SIZE)
    arrays = Arrays(tokenizer)
    labels = [bilingual.label(code, second) for code in LANGUAGES for second in (False, True)]
    arrays.add_texts("labels", labels)
    for language in LANGUAGES:
        arrays.add_texts(f"sentences.{language}", sentences[language])
        arrays.add_texts(f"damaged.{language}", [damage(s, rng) for s in sentences[language]])
    for name, part in parallel.items():
        for other in PAIRED_WITH_ENGLISH:
            rows = [row for row in part.train if "en" in row and other in row]
            for code in ("en", other) if rows else ():
                arrays.add_texts(f"pairs.{name}.{other}.{code}", [row[code] for row in rows])
    arrays.saved["vocabulary"] = np.array(tokenizer.get_vocab_size())
    save_arrays(work / "arrays.npz.xz", arrays.saved)
    held_out = rng.sample(parallel["massive"].held_out, 500)
    (work / "held_out.json").write_text(json.dumps(held_out, ensure_ascii=False))
    report = {
        "vocabulary": tokenizer.get_vocab_size(),
        "sentences": {code: len(texts) for code, texts in sentences.items()},
        "tokens": {
            name[:-4]: int(a.size) for name, a in arrays.saved.items() if name.endswith(".ids")
        },
        "rows": {k: [len(v.train), len(v.held_out)] for k, v in parallel.items()},
    }
    (work / "prepare.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
