"""Turns the raw data into token arrays: molecules, proteins, novels, sentences, bilingual lines.

    TAGLM_DATA=<raw data> python prepare.py --work <work folder>

Needs what `describe_molecules.py` wrote there. Writes `tokenizer/` (nano's, unchanged),
`arrays.npz.xz`, `held_out.json` and `prepare.json` with counts.
"""

import argparse
import io
import json
import lzma
import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import corpus
import documents
import numpy as np
from corpus import LANGUAGES, PAIRED_WITH_ENGLISH, PARALLEL_FILES
from levels import to_levels
from molecules import MOSES, NUM_COUNTS, RECORD_PREFIX, smiles_symbols
from proteins import RESIDUES
from tokenizers import Tokenizer

NUM_HELD_OUT = 2000
TOKENIZER = Path(__file__).parents[1] / "taglm_nano" / "weights"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return what `describe_molecules.py` wrote so far, less what RDKit cannot read."""
    with path.open(encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [row for row in found if row is not None]


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


def as_bytes(lines: list[str]) -> np.ndarray:
    """Return lines of ASCII as one array of bytes."""
    return np.frombuffer("\n".join(lines).encode("ascii"), np.uint8)


def add_molecules(arrays: Arrays, described: list[dict[str, Any]], more: list[str]) -> None:
    """Store spellings, facts, descriptor levels and counts of training molecules.

    Args:
        arrays: Where to.
        described: Training molecules with descriptors, those of the varied file first.
        more: SMILES of training molecules without descriptors.
    """
    saved = arrays.saved
    varied = [m for m in described if m["source"] != MOSES]
    spelled = ["\t".join([m["smiles"], *m["variants"]]) for m in described]
    saved["smiles"] = as_bytes(spelled + more)
    saved["molecule_counts"] = np.array([len(described), len(varied)])
    symbols = sorted({s for line in spelled + more for s in smiles_symbols(line)} - {"\t"})
    symbols += [r for r in RESIDUES if r not in symbols]
    ids = [arrays.tokenizer.token_to_id(s) for s in symbols]
    missing = [s for s, i in zip(symbols, ids, strict=True) if i is None]
    if missing:
        raise SystemExit(f"no single token for the symbols {missing}")
    saved["symbols"], saved["symbol_ids"] = as_bytes(symbols), np.array(ids, np.uint16)
    arrays.add_texts("facts", [f for m in varied for f in m["facts"]])
    saved["facts.first"] = np.cumsum([0, *(len(m["facts"]) for m in varied)])
    # Columns first: neighbors are alike then, and compress better.
    values = np.array([m["descriptors"] for m in described], np.float64)
    saved["levels"] = np.ascontiguousarray(to_levels(values).T)
    counts = np.zeros((NUM_COUNTS, len(described)), np.uint8)
    for row, molecule in enumerate(described):
        for column, count in molecule["counts"]:
            counts[column, row] = min(count, 255)
    saved["counts"] = counts


def add_glue(arrays: Arrays) -> None:
    """Store the words that stand around molecules, proteins and tags."""
    for name, texts in {
        "newline": ("\n",),
        "record": (RECORD_PREFIX, "."),
        "before_molecule": documents.BEFORE_MOLECULE,
        "before_protein": documents.BEFORE_PROTEIN,
        "between": documents.BETWEEN,
        "behind": documents.BEHIND,
        "last_words": documents.LAST_WORDS,
    }.items():
        arrays.add_texts(name, list(texts))


def add_texts(
    arrays: Arrays, novels: dict[str, corpus.Part], parallel: dict[str, corpus.Part]
) -> None:
    """Store novels, single sentences and bilingual lines."""
    for language in LANGUAGES:
        arrays.add_novels(language, novels[language].train)
        rows = [row for part in parallel.values() for row in part.train if language in row]
        sentences = list(dict.fromkeys(row[language] for row in rows))
        arrays.add_texts(f"sentences.{language}", [s + "\n" for s in sentences])
    for name, part in parallel.items():
        for other in PAIRED_WITH_ENGLISH:
            rows = [row for row in part.train if "en" in row and other in row]
            if not rows:
                continue
            for a, b in (("en", other), (other, "en")):
                arrays.add_texts(
                    f"pairs.{name}.{a}-{b}", [f"{a}: {row[a]}\n{b}: {row[b]}" for row in rows]
                )


def some_proteins(sequences: list[str], residues: int) -> list[str]:
    """Return as many proteins as hold about so many residues: the first file's, then others."""
    chosen, size = [], 0
    for sequence in sequences:
        if size >= residues:
            break
        chosen.append(sequence)
        size += len(sequence)
    return chosen


def save_arrays(path: Path, saved: dict[str, np.ndarray]) -> None:
    """Write arrays as an npz file packed by xz: what travels to another machine is small."""
    buffer = io.BytesIO()
    np.savez(buffer, **saved)
    part = path.with_suffix(".part")
    # Sentences come back in pairs and directions, far apart: only a large dictionary sees it.
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 4, "dict_size": 1 << 26}]
    with lzma.open(part, "wb", filters=filters) as out:
        out.write(buffer.getbuffer())
    os.replace(part, path)


def asked_folder(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the command line with the folder for the results, made when it is missing."""
    parser.add_argument("--work", type=Path, required=True, help="folder for the results")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    return args


def main() -> None:
    """Prepare everything that `train.py` reads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, default=TOKENIZER, help="folder of nano's")
    parser.add_argument("--residues", type=int, default=17_000_000, help="residues of proteins")
    args = asked_folder(parser)
    work, rng = args.work, random.Random(1)
    (work / "tokenizer").mkdir(exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(args.tokenizer / name, work / "tokenizer" / name)
    tokenizer = Tokenizer.from_file(str(work / "tokenizer" / "tokenizer.json"))

    novels = {language: corpus.read_novels(language) for language in LANGUAGES}
    parallel = {name: corpus.read_parallel(name) for name in PARALLEL_FILES}
    proteins = corpus.read_proteins()
    molecules = read_lines(work / "molecules.jsonl")
    more = read_lines(work / "more_molecules.jsonl")
    train_molecules = [m for m in molecules if not m["held_out"]]
    arrays = Arrays(tokenizer)
    arrays.saved["vocabulary"] = np.array(tokenizer.get_vocab_size())
    more_smiles = [m["smiles"] for m in more if not m["held_out"]]
    add_molecules(arrays, train_molecules, more_smiles)
    chosen = some_proteins(proteins.train, args.residues)
    arrays.saved["proteins"] = as_bytes(chosen)
    add_glue(arrays)
    add_texts(arrays, novels, parallel)
    save_arrays(work / "arrays.npz.xz", arrays.saved)

    def some(items: list) -> list:
        return rng.sample(items, min(NUM_HELD_OUT, len(items)))

    held = [m for m in molecules + more if m["held_out"]]
    held_out = {
        "molecules": some([m["smiles"] for m in held if m["source"] != MOSES]),
        "moses": some([m["smiles"] for m in held if m["source"] == MOSES]),
        "proteins": some(proteins.held_out),
        "novels": {k: some(["\n".join(block) for block in v.held_out]) for k, v in novels.items()},
        "parallel": some([row for part in parallel.values() for row in part.held_out]),
    }
    (work / "held_out.json").write_text(json.dumps(held_out, ensure_ascii=False))
    report = {
        "tokens": {
            name[:-4]: int(a.size) for name, a in arrays.saved.items() if name.endswith(".ids")
        },
        "described": dict(Counter(m["source"] for m in train_molecules)),
        "more_molecules": len(more_smiles),
        "held_out_molecules": dict(Counter(m["source"] for m in held)),
        "proteins": {
            "train": len(chosen),
            "residues": sum(map(len, chosen)),
            "held_out": len(proteins.held_out),
        },
        "novel_runs": {k: [len(v.train), len(v.held_out)] for k, v in novels.items()},
        "parallel_rows": {k: [len(v.train), len(v.held_out)] for k, v in parallel.items()},
    }
    (work / "prepare.json").write_text(json.dumps(report, indent=1, ensure_ascii=False))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
