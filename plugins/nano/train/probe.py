"""Asks the model for facts of held-out molecules, and lets it write molecules of its own.

    python probe.py --work <work folder> --model <model> --out <json>

The model writes at temperature 1, the first symbol drawn as the training molecules begin; a sample
is valid when RDKit reads it and it has ended by itself.

An answer counts as right when the most likely token is the right one at every place of the answer,
the full stop included (that is: greedy decoding would write exactly it). Beside it stands how often
the answer that is most frequent in the training molecules would be right.
"""

import argparse
import json
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import torch
from molecules import smiles_symbols
from prepare import read_lines

MOST_SYMBOLS = 150


def question_and_answer(fact: str) -> tuple[str, str] | None:
    """Split a fact after ` is`; None for the list of groups, which has no short answer."""
    question, is_, answer = fact.partition(" is ")
    return (question + " is", " " + answer) if is_ else None


@torch.no_grad()
def answers_right(lm: Any, tokenizer: Any, molecules: list[dict]) -> dict[str, float]:
    """Return for each question the share of molecules answered exactly."""
    right: dict[str, list[bool]] = defaultdict(list)
    for molecule in molecules:
        smiles = tokenizer.convert_tokens_to_ids(smiles_symbols(molecule["smiles"]))
        for fact in molecule["facts"]:
            parts = question_and_answer(fact)
            if parts is None:
                continue
            prompt = smiles + tokenizer("." + parts[0]).input_ids
            answer = torch.tensor(tokenizer(parts[1]).input_ids)
            row = torch.cat([torch.tensor(prompt), answer])
            guess = lm(row[None]).logits[0, -len(answer) - 1 : -1].argmax(-1)
            right[parts[0].strip()].append(bool((guess == answer).all()))
    return {question: sum(flags) / len(flags) for question, flags in right.items()}


def majority_right(train: list[dict], molecules: list[dict]) -> dict[str, float]:
    """Return how often the most frequent training answer is right."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for molecule in train:
        for parts in filter(None, map(question_and_answer, molecule["facts"])):
            seen[parts[0].strip()][parts[1]] += 1
    modes = {question: counter.most_common(1)[0][0] for question, counter in seen.items()}
    hits: dict[str, list[bool]] = defaultdict(list)
    for molecule in molecules:
        for parts in filter(None, map(question_and_answer, molecule["facts"])):
            hits[parts[0].strip()].append(parts[1] == modes[parts[0].strip()])
    return {question: sum(flags) / len(flags) for question, flags in hits.items()}


@torch.no_grad()
def sample(lm: Any, firsts: torch.Tensor, most: int, end: int) -> torch.Tensor:
    """Return rows that the model writes after first tokens; after the end comes only the end."""
    rows, cache, last = [firsts], None, firsts
    has_ended = torch.zeros(len(firsts), dtype=torch.bool)
    for _ in range(most):
        out = lm(last[:, None], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        last = torch.multinomial(out.logits[:, -1].float().softmax(-1), 1)[:, 0]
        last = torch.where(has_ended, end, last)
        rows.append(last)
        has_ended |= last == end
        if has_ended.all():
            break
    return torch.stack(rows, dim=1)


def written_molecules(lm: Any, tokenizer: Any, count: int, known: list[str]) -> dict[str, float]:
    """Sample molecules at temperature 1; say how many are valid, different and new."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    torch.manual_seed(0)
    beginnings = random.Random(0).choices([smiles_symbols(s[:3])[0] for s in known], k=count)
    firsts = torch.tensor(tokenizer.convert_tokens_to_ids(beginnings))
    end = tokenizer.eos_token_id
    texts = []
    for part in firsts.split(500):
        for row in sample(lm, part, MOST_SYMBOLS, end).tolist():
            is_whole = end in row
            texts.append(tokenizer.decode(row[: row.index(end)]) if is_whole else "")
    mols = [Chem.MolFromSmiles(text) if text else None for text in texts]
    valid = [Chem.MolToSmiles(mol) for mol in mols if mol is not None]
    seen = set(known)
    return {
        "count": count,
        "valid": len(valid) / count,
        "unique_of_valid": len(set(valid)) / max(1, len(valid)),
        "new_of_unique": sum(s not in seen for s in set(valid)) / max(1, len(set(valid))),
    }


def main() -> None:
    """Probe and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that prepare.py filled")
    parser.add_argument("--model", type=Path, required=True, help="model in Hugging Face format")
    parser.add_argument("--out", type=Path, required=True, help="report to write, JSON")
    parser.add_argument("--count", type=int, default=300, help="molecules asked")
    parser.add_argument("--written", type=int, default=10_000, help="molecules written")
    args = parser.parse_args()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    lm = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    molecules = read_lines(args.work / "molecules.jsonl")
    more = read_lines(args.work / "more_molecules.jsonl")
    known = [m["smiles"] for m in molecules + more if not m["held_out"]]
    train = [m for m in molecules if not m["held_out"] and "facts" in m]
    held_out = [m for m in molecules if m["held_out"] and "facts" in m]
    held_out = random.Random(0).sample(held_out, args.count)
    majority = majority_right(train, held_out)
    right = answers_right(lm, tokenizer, held_out)
    report = {
        "answers": {
            question: {"nano": round(right[question], 3), "most_frequent": round(share, 3)}
            for question, share in majority.items()
        },
        "written": written_molecules(lm, tokenizer, args.written, known),
    }
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
