"""Asks the model for facts of held-out molecules, and lets it write molecules of its own.

    python probe.py --work <work folder> --model <model> --out <json>

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
def written_molecules(lm: Any, tokenizer: Any, count: int, known: set[str]) -> dict[str, float]:
    """Sample molecules that begin with C at temperature 1; say how many are valid and new."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    torch.manual_seed(0)
    start = torch.full((count, 1), tokenizer.convert_tokens_to_ids("C"))
    rows = lm.generate(
        start, attention_mask=torch.ones_like(start), do_sample=True, top_k=0, max_new_tokens=120
    )
    texts = tokenizer.batch_decode(rows, skip_special_tokens=True)
    # A record goes on with facts, a molecule written twice with a new line.
    texts = [text.split("\n")[0].split(". ")[0].removesuffix(".") for text in texts]
    mols = [Chem.MolFromSmiles(text) for text in texts]
    valid = [Chem.MolToSmiles(mol) for mol in mols if mol is not None]
    return {
        "valid": len(valid) / count,
        "unique_of_valid": len(set(valid)) / max(1, len(valid)),
        "new_of_valid": sum(s not in known for s in valid) / max(1, len(valid)),
    }


def main() -> None:
    """Probe and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that prepare.py filled")
    parser.add_argument("--model", type=Path, required=True, help="model in Hugging Face format")
    parser.add_argument("--out", type=Path, required=True, help="report to write, JSON")
    parser.add_argument("--count", type=int, default=300, help="molecules asked and written")
    args = parser.parse_args()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    lm = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    with (args.work / "molecules.jsonl").open(encoding="utf-8") as lines:
        molecules = [json.loads(line) for line in lines]
    train = [m for m in molecules if not m["held_out"]]
    held_out = [m for m in molecules if m["held_out"]]
    held_out = random.Random(0).sample(held_out, args.count)
    majority = majority_right(train, held_out)
    right = answers_right(lm, tokenizer, held_out)
    report = {
        "answers": {
            question: {"nano": round(right[question], 3), "most_frequent": round(share, 3)}
            for question, share in majority.items()
        },
        "written": written_molecules(lm, tokenizer, args.count, {m["smiles"] for m in train}),
    }
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
