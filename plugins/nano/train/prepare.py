"""Turns the raw data into token arrays: molecules, proteins, novels, sentences, bilingual lines.

    TAGLM_DATA=<raw data> python prepare.py --work <work folder>

Writes `molecules.jsonl` (kept when it exists), `tokenizer/`, `arrays.npz`, `held_out.json` and
`prepare.json` with counts. About five minutes on two cores.
"""

import argparse
import json
import os
import random
from collections import Counter
from collections.abc import Iterable
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import corpus
import numpy as np
from corpus import LANGUAGES, PAIRED_WITH_ENGLISH, PARALLEL_FILES
from make_tokenizer import build_tokenizer
from molecules import RECORD_PREFIX, describe, smiles_symbols
from tokenizers import Tokenizer

NUM_HELD_OUT = 2000
TOKENIZER_CHARS = 900_000  # of each language


def describe_molecules(path: Path) -> list[dict[str, Any]]:
    """Compute SMILES variants and facts of all molecules, or read them when done before."""
    if not path.exists():
        part = path.with_suffix(".part")
        with Pool() as pool, part.open("w", encoding="utf-8") as out:
            for row in pool.imap(describe, corpus.read_molecules(), chunksize=500):
                if row is not None:
                    out.write(json.dumps(row) + "\n")
        os.replace(part, path)
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def tokenizer_texts(
    novels: dict[str, list], sentences: dict[str, list[str]], facts: list[str]
) -> Iterable[str]:
    """Yield training text balanced over the languages, plus a little of the molecule records."""
    rng = random.Random(0)
    for language in LANGUAGES:
        paragraphs = [paragraph for run in novels[language] for paragraph in run]
        lines = list(sentences[language])
        for pool, share in ((paragraphs, 0.6), (lines, 0.4)):
            rng.shuffle(pool)
            left = TOKENIZER_CHARS * share
            for text in pool:
                yield text
                left -= len(text)
                if left < 0:
                    break
    yield from facts


class Arrays:
    """Ragged token arrays gathered under names, saved as one npz file."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Start empty, with the tokenizer that `add_texts` uses."""
        self.tokenizer = tokenizer
        self.saved: dict[str, np.ndarray] = {}

    def add(self, name: str, rows: list[list[int]]) -> None:
        """Store rows of token ids as `<name>.ids` and `<name>.offsets`."""
        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        self.saved[name + ".offsets"] = np.concatenate([[0], np.cumsum(lengths)])
        self.saved[name + ".ids"] = np.fromiter(
            (i for row in rows for i in row), dtype=np.uint16, count=int(lengths.sum())
        )

    def add_texts(self, name: str, texts: list[str]) -> None:
        """Encode texts with the tokenizer and store them."""
        self.add(name, [e.ids for e in self.tokenizer.encode_batch(texts)])

    def add_novels(self, language: str, runs: list[list[str]]) -> None:
        """Store runs, and in `.starts` where paragraphs begin (run number, offset in the run)."""
        rows, starts = [], []
        for number, run in enumerate(runs):
            row: list[int] = []
            for encoded in self.tokenizer.encode_batch([p + "\n" for p in run]):
                starts.append((number, len(row)))
                row.extend(encoded.ids)
            rows.append(row)
        self.add(f"novels.{language}", rows)
        self.saved[f"novels.{language}.starts"] = np.array(starts, dtype=np.int64)


def asked_folder(description: str | None) -> Path:
    """Return the folder for the results that the command line names, made when it is missing."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, required=True, help="folder for the results")
    work: Path = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    return work


def main() -> None:
    """Prepare everything that `train.py` reads."""
    work = asked_folder(__doc__)
    rng = random.Random(1)

    novels = {language: corpus.read_novels(language) for language in LANGUAGES}
    parallel = {name: corpus.read_parallel(name) for name in PARALLEL_FILES}
    proteins = corpus.read_proteins()
    sentences: dict[str, list[str]] = {
        language: list(
            dict.fromkeys(
                row[language] for part in parallel.values() for row in part.train if language in row
            )
        )
        for language in LANGUAGES
    }
    molecules = describe_molecules(work / "molecules.jsonl")
    train_molecules = [m for m in molecules if not m["held_out"]]
    print(f"{len(train_molecules)} of {len(molecules)} molecules train", flush=True)

    facts = ["".join(m["facts"]) for m in train_molecules[:300]]
    tokenizer = build_tokenizer(
        tokenizer_texts({k: v.train for k, v in novels.items()}, sentences, facts),
        work / "tokenizer",
    )
    print(f"vocabulary {tokenizer.get_vocab_size()}", flush=True)

    arrays = Arrays(tokenizer)
    symbol_ids = {
        s: tokenizer.token_to_id(s)
        for s in sorted({s for m in molecules for v in m["variants"] for s in smiles_symbols(v)})
    }
    missing = [s for s, i in symbol_ids.items() if i is None]
    if missing:
        raise SystemExit(f"no single token for the SMILES symbols {missing}")
    variants = [
        [symbol_ids[s] for s in smiles_symbols(v)] for m in train_molecules for v in m["variants"]
    ]
    arrays.add("smiles", variants)
    counts = [len(m["variants"]) for m in train_molecules]
    arrays.saved["smiles.first"] = np.concatenate([[0], np.cumsum(counts)])
    arrays.add_texts("facts", [f for m in train_molecules for f in m["facts"]])
    counts = [len(m["facts"]) for m in train_molecules]
    arrays.saved["facts.first"] = np.concatenate([[0], np.cumsum(counts)])
    arrays.add_texts("record_prefix", [RECORD_PREFIX, ".", "\n"])
    arrays.add("proteins", [[tokenizer.token_to_id(r) for r in p] for p in proteins.train])

    for language in LANGUAGES:
        arrays.add_novels(language, novels[language].train)
        arrays.add_texts(f"sentences.{language}", [s + "\n" for s in sentences[language]])
    for name, part in parallel.items():
        for other in PAIRED_WITH_ENGLISH:
            rows = [row for row in part.train if "en" in row and other in row]
            if not rows:
                continue
            for a, b in (("en", other), (other, "en")):
                arrays.add_texts(
                    f"pairs.{name}.{a}-{b}", [f"{a}: {row[a]}\n{b}: {row[b]}" for row in rows]
                )
    np.savez(work / "arrays.npz", **arrays.saved)

    def some(items: list) -> list:
        return rng.sample(items, min(NUM_HELD_OUT, len(items)))

    held_out = {
        "molecules": some([m["smiles"] for m in molecules if m["held_out"]]),
        "proteins": some(proteins.held_out),
        "novels": {k: some(["\n".join(block) for block in v.held_out]) for k, v in novels.items()},
        "parallel": some([row for part in parallel.values() for row in part.held_out]),
    }
    (work / "held_out.json").write_text(json.dumps(held_out, ensure_ascii=False))
    report = {
        "tokens": {
            name[:-4]: int(a.size) for name, a in arrays.saved.items() if name.endswith(".ids")
        },
        "molecules": {
            "train": dict(Counter(m["source"] for m in train_molecules)),
            "held_out": dict(Counter(m["source"] for m in molecules if m["held_out"])),
        },
        "proteins": {"train": len(proteins.train), "held_out": len(proteins.held_out)},
        "novel_runs": {k: [len(v.train), len(v.held_out)] for k, v in novels.items()},
        "parallel_rows": {k: [len(v.train), len(v.held_out)] for k, v in parallel.items()},
        "smiles_symbols": symbol_ids,
    }
    (work / "prepare.json").write_text(json.dumps(report, indent=1, ensure_ascii=False))
    print(json.dumps(report["tokens"], indent=1))


if __name__ == "__main__":
    main()
