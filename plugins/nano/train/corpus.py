"""Reads the raw files under `TAGLM_DATA` and divides each kind into training and held-out parts.

Nothing here knows tokens; `prepare.py` turns what these functions return into arrays.
"""

import csv
import gzip
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from buckets import block_key, is_held_out, protein_key, text_key
from molecules import MOSES

LANGUAGES = ("en", "fr", "ru", "de", "it", "el", "es", "pt")
# The only language pairs of which bilingual lines are shown, each in both directions.
PAIRED_WITH_ENGLISH = ("fr", "ru", "de", "it", "el")
PARALLEL_FILES = {
    "massive": "massive_train_dev",
    "bible": "bible_verses_train",
    "tico": "tico19_train",
    "tatoeba_fr": "tatoeba_en_fr_train",
    "tatoeba_de": "tatoeba_en_de_train",
    "tatoeba_el": "tatoeba_en_el_train",
    "tatoeba_es": "tatoeba_en_es_train",
}
BLOCK_PARAGRAPHS = 20


class Part(NamedTuple):
    """Training and held-out items of one kind."""

    train: list
    held_out: list


def data_folder() -> Path:
    """Return the folder that the environment variable `TAGLM_DATA` names."""
    value = os.environ.get("TAGLM_DATA")
    if not value or not Path(value).is_dir():
        raise SystemExit(f"set TAGLM_DATA to the folder of the raw data (it is {value!r})")
    return Path(value)


def _open(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        yield from lines


def read_molecules() -> list[tuple[str, str]]:
    """Return (SMILES, source) of every molecule, held-out ones included: the varied file first.

    The molecules of each of the two files come in random order.
    """
    folder = data_folder() / "chem"
    varied = csv.DictReader(_open(folder / "smiles_train.csv.gz"))
    moses = csv.DictReader(_open(folder / "moses_500k.csv.gz"))
    parts = [
        [(row["smiles"], row["source"]) for row in varied],
        [(row["smiles"], MOSES) for row in moses],
    ]
    for part in parts:
        random.Random(0).shuffle(part)
    return parts[0] + parts[1]


def read_proteins() -> Part:
    """Return protein sequences, divided by min-hash cluster: the small file's come first."""
    part = Part([], [])
    sequences: list[str] = []
    for name in ("sequences", "proteins_pretrain"):
        for line in _open(data_folder() / "protein" / f"{name}.fasta.gz"):
            if line.startswith(">"):
                sequences.append("")
            else:
                sequences[-1] += line.strip()
    for sequence in dict.fromkeys(sequences):
        part[is_held_out(protein_key(sequence))].append(sequence)
    return part


def read_novels(language: str) -> Part:
    """Return runs of consecutive paragraphs of one language, divided by blocks of 20 paragraphs.

    Returns:
        Lists of runs; a run is a list of paragraphs that follow each other in one work. Held-out
        runs are single blocks; a training run goes on until a held-out block or the work's end.
    """
    folder = data_folder() / "text"
    text = "".join(_open(folder / f"{language}_novels.txt.gz"))
    works = [work.split("\n") for work in text.replace("\r", "").split("\n\n")]
    if language == "en":
        plays = "".join(_open(folder / "en_tinyshakespeare.txt.gz"))
        works.append(plays.split("\n\n"))
    part = Part([], [])
    for work in works:
        paragraphs = [paragraph.strip() for paragraph in work if paragraph.strip()]
        run: list[str] = []
        for start in range(0, len(paragraphs), BLOCK_PARAGRAPHS):
            block = paragraphs[start : start + BLOCK_PARAGRAPHS]
            if is_held_out(block_key(block)):
                part.held_out.append(block)
                part.train.append(run)
                run = []
            else:
                run = run + block
        part.train.append(run)
    return Part([run for run in part.train if run], part.held_out)


def read_parallel(name: str) -> Part:
    """Return the rows of a parallel file, language code to sentence, divided by the English side.

    Args:
        name: A key of `PARALLEL_FILES`.
    """
    path = data_folder() / "mt" / f"{PARALLEL_FILES[name]}.tsv.gz"
    rows = csv.DictReader(_open(path), delimiter="\t", quoting=csv.QUOTE_NONE)
    part = Part([], [])
    for row in rows:
        sentences = {code: row[code].strip() for code in LANGUAGES if (row.get(code) or "").strip()}
        part[is_held_out(text_key(row["en"]))].append(sentences)
    return part
