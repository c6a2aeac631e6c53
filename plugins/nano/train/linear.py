"""Measures what the states hold linearly: ridge regression of descriptors on held-out items.

    python linear.py --work <work folder> --model <model> --out <json>

A ridge is fitted on the states of training molecules (proteins) and asked about held-out ones, at
the last symbol and behind words and ten random tokens that stand in for a function tag. Reported
are mean and median R2 over the numbers that the auxiliary read-out regresses, each clipped at 0.
"""

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import corpus
import levels
import numpy as np
import proteins
import torch
from molecules import smiles_symbols
from prepare import read_lines

WORDS = ". The value is "
TAG_LENGTH = 10
BATCH = 16
PENALTIES = (1e-2, 1e-1, 1.0, 10.0, 100.0)


@torch.no_grad()
def states(lm: Any, rows: list[list[int]], suffix: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the states at the last symbol and at the end of the suffix, each (rows, hidden)."""
    ends = np.empty((len(rows), lm.config.hidden_size))
    behind = np.empty_like(ends)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        # Padding stands at the right, where no earlier token sees it.
        whole = [torch.tensor(rows[i] + suffix) for i in chosen]
        ids = torch.nn.utils.rnn.pad_sequence(whole, batch_first=True)
        found = lm.model(ids).last_hidden_state.numpy()
        for place, i in enumerate(chosen):
            ends[i] = found[place, len(rows[i]) - 1]
            behind[i] = found[place, len(whole[place]) - 1]
    return ends, behind


def ridge_scores(x: np.ndarray, y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray) -> Any:
    """Return R2 of each column on the test rows; the penalty is chosen on a fifth of the others."""
    mean, spread = x.mean(0), x.std(0) + 1e-9
    x, test_x = ((m - mean) / spread for m in (x, test_x))
    cut = len(x) * 4 // 5

    def scores(train: slice, penalty: float, ask_x: np.ndarray, ask_y: np.ndarray) -> np.ndarray:
        a, shift = x[train], y[train].mean(0)
        gram = a.T @ a + penalty * len(a) / 100 * np.eye(a.shape[1])
        told = ask_x @ np.linalg.solve(gram, a.T @ (y[train] - shift)) + shift
        wrong = ((told - ask_y) ** 2).sum(0)
        return 1 - wrong / (((ask_y - ask_y.mean(0)) ** 2).sum(0) + 1e-9)

    inner = {p: scores(slice(cut), p, x[cut:], y[cut:]).clip(0).mean() for p in PENALTIES}
    return scores(slice(None), max(inner, key=inner.__getitem__), test_x, test_y).clip(0, 1)


def report_of(
    lm: Any,
    suffix: list[int],
    parts: list[tuple[list[list[int]], np.ndarray]],
    groups: dict[str, slice],
) -> dict[str, dict[str, float]]:
    """Return mean and median R2 of groups of columns at both places.

    Args:
        lm: The model.
        suffix: Tokens behind each row.
        parts: Training and held-out rows, each with what is to be told.
        groups: Names of columns.
    """
    (train_states, test_states) = (states(lm, rows, suffix) for rows, _ in parts)
    found = {}
    for place, name in enumerate(("last symbol", "behind a tag")):
        r2 = ridge_scores(train_states[place], parts[0][1], test_states[place], parts[1][1])
        for group, columns in groups.items():
            chosen = r2[columns]
            found[f"{group}, {name}"] = {
                "mean": round(float(chosen.mean()), 3),
                "median": round(float(np.median(chosen)), 3),
            }
    return found


def molecule_parts(
    work: Path, spell: Callable[[list[str]], list[int]], sizes: tuple[int, int]
) -> tuple[list[tuple[list[list[int]], np.ndarray]], dict[str, slice]]:
    """Return training and held-out molecules with descriptors and counts."""
    rows = [m for m in read_lines(work / "molecules.jsonl") if "facts" in m]
    rng = random.Random(3)
    chosen = [
        m
        for held_out, size in zip((False, True), sizes, strict=True)
        for m in rng.sample([m for m in rows if m["held_out"] == held_out], size)
    ]
    described = levels.to_targets(levels.to_levels(np.array([m["descriptors"] for m in chosen])))
    counts = np.zeros((len(chosen), 512))
    for i, m in enumerate(chosen):
        for column, count in m["counts"]:
            counts[i, column] = np.log1p(count)
    targets = np.concatenate([described.astype(float), counts], axis=1)
    spelled = [spell(smiles_symbols(m["smiles"])) for m in chosen]
    cut, width = sizes[0], described.shape[1]
    parts = [(spelled[:cut], targets[:cut]), (spelled[cut:], targets[cut:])]
    return parts, {"descriptors": slice(width), "Morgan counts": slice(width, None)}


def protein_parts(
    spell: Callable[[list[str]], list[int]], sizes: tuple[int, int]
) -> tuple[list[tuple[list[list[int]], np.ndarray]], dict[str, slice]]:
    """Return training and held-out proteins with their numbers."""
    part, rng = corpus.read_proteins(), random.Random(3)
    chosen = [
        s
        for items, size in zip((part.train, part.held_out), sizes, strict=True)
        for s in rng.sample(items, size)
    ]
    targets = proteins.target_table(chosen).astype(float)
    spelled = [spell(list(s)) for s in chosen]
    cut, kinds = sizes[0], len(proteins.RESIDUES)
    stretches = kinds * (1 + proteins.WINDOWS)
    groups = {"composition": slice(kinds), "composition of stretches": slice(kinds, stretches)}
    groups["residue pairs"] = slice(stretches + 1, stretches + 1 + kinds * kinds)
    parts = [(spelled[:cut], targets[:cut]), (spelled[cut:], targets[cut:])]
    return parts, groups


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that prepare.py filled")
    parser.add_argument("--model", type=Path, required=True, help="model in Hugging Face format")
    parser.add_argument("--out", type=Path, required=True, help="report to write, JSON")
    args = parser.parse_args()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    lm = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    tag = random.Random(1).choices(range(2, lm.config.vocab_size), k=TAG_LENGTH)
    suffix = tokenizer(WORDS).input_ids + tag
    spell = tokenizer.convert_tokens_to_ids
    report = report_of(lm, suffix, *molecule_parts(args.work, spell, (3000, 800)))
    report |= report_of(lm, suffix, *protein_parts(spell, (1000, 300)))
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
