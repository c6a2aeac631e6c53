"""Measures held-out bits per character of the model beside xz and an interpolated n-gram.

    TAGLM_DATA=<raw data> python evaluate.py --work <work folder> --model <model> --out <json>

Every figure is bits for all held-out text divided by its characters (Unicode code points). All
three see the same held-out items; xz and the n-gram learn from a sample of the model's own training
text, at most `--train-chars` characters of each kind.

* model: documents of up to 1,024 tokens, each scored from an empty context; the first token, which
  nothing predicts, is charged log2(vocabulary) bits, and the end token is charged too.
* xz: size of `xz -9e` of sample plus held-out text, less that of the sample alone: the held-out
  text given the sample.
* n-gram: characters, Witten-Bell interpolation down to a uniform distribution over the characters
  seen and one unknown, counts from the sample, frozen while it reads the held-out text; the best
  order from 2 to 6, chosen on the held-out text itself, so in the n-gram's favor.
"""

import argparse
import json
import lzma
import math
import random
import time
from collections import Counter, defaultdict
from pathlib import Path

import corpus
import torch
from corpus import LANGUAGES
from molecules import MOSES, smiles_symbols

ORDERS = (2, 3, 4, 5, 6)
MAX_TOKENS = 1024


def training_samples(work: Path, limit: int) -> dict[str, list[str]]:
    """Return training documents of every kind, at most `limit` characters of each."""
    rng = random.Random(0)
    documents: dict[str, list[str]] = {
        "proteins": corpus.read_proteins().train,
        **{k: ["\n".join(run) for run in corpus.read_novels(k).train] for k in LANGUAGES},
    }
    with (work / "molecules.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    for kind, is_moses in (("molecules", False), ("moses", True)):
        documents[kind] = [
            row["smiles"]
            for row in rows
            if row and not row["held_out"] and (row["source"] == MOSES) == is_moses
        ]
    samples = {}
    for kind, items in documents.items():
        rng.shuffle(items)
        chosen, size = [], 0
        for item in items:
            if size >= limit:
                break
            chosen.append(item[: limit - size])
            size += len(chosen[-1])
        samples[kind] = chosen
    return samples


def held_out_items(work: Path, limit: int) -> dict[str, list[str]]:
    """Return held-out documents of every kind, at most `limit` characters of each."""
    saved = json.loads((work / "held_out.json").read_text(encoding="utf-8"))
    items = {kind: saved[kind] for kind in ("molecules", "moses", "proteins")} | saved["novels"]
    chosen: dict[str, list[str]] = {}
    for kind, texts in items.items():
        chosen[kind], size = [], 0
        for text in texts:
            if size >= limit:
                break
            chosen[kind].append(text[: limit - size])
            size += len(chosen[kind][-1])
    return chosen


def xz_bits(sample: list[str], held_out: list[str]) -> float:
    """Return the bits that `xz -9e` adds for the held-out text after the sample."""

    def size(texts: list[str]) -> int:
        data = "\n".join(texts).encode("utf-8")
        return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))

    return 8.0 * (size(sample + held_out) - size(sample))


class NGram:
    """Character n-gram with Witten-Bell interpolation."""

    def __init__(self, texts: list[str], order: int) -> None:
        """Count all contexts of up to `order - 1` characters."""
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        for text in texts:
            line = text + "\n"
            for i, char in enumerate(line):
                for n in range(min(order, i + 1)):
                    self.counts[line[i - n : i]][char] += 1
        self.num_chars = len(self.counts[""]) + 1
        self.totals = {context: counter.total() for context, counter in self.counts.items()}

    def bits(self, text: str, order: int) -> float:
        """Return the bits of a text and its end, using contexts of up to `order - 1` characters."""
        line = text + "\n"
        total = 0.0
        for i, char in enumerate(line):
            p = 1.0 / self.num_chars
            for n in range(min(order, i + 1)):
                counter = self.counts.get(line[i - n : i])
                if counter is None:
                    break
                seen, kinds = self.totals[line[i - n : i]], len(counter)
                p = (counter[char] + kinds * p) / (seen + kinds)
            total -= math.log2(p)
        return total


@torch.no_grad()
def model_bits(folder: Path, items: dict[str, list[str]]) -> tuple[dict[str, float], dict]:
    """Return bits of each kind under the model, and tokens per kind."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # Long blocks are cut into windows below, so no length limit is meant.
    tokenizer = AutoTokenizer.from_pretrained(folder, model_max_length=10**9)
    lm = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    bits, tokens = dict.fromkeys(items, 0.0), dict.fromkeys(items, 0)
    for kind, texts in items.items():
        for text in texts:
            if kind in ("molecules", "moses"):
                ids = tokenizer.convert_tokens_to_ids(smiles_symbols(text))
            elif kind == "proteins":
                ids = tokenizer.convert_tokens_to_ids(list(text))
            else:
                ids = tokenizer(text).input_ids
            ids = [*ids, tokenizer.eos_token_id]
            tokens[kind] += len(ids)
            for start in range(0, len(ids), MAX_TOKENS):
                window = torch.tensor(ids[start : start + MAX_TOKENS])
                bits[kind] += math.log2(lm.config.vocab_size)
                if len(window) > 1:
                    logits = lm(window[None]).logits[0, :-1]
                    nats = torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum")
                    bits[kind] += float(nats) / math.log(2)
    return bits, tokens


def table(report: dict[str, dict[str, float]]) -> str:
    """Return the report as a Markdown table."""
    lines = [
        "| held-out text | characters | nano | n-gram (order) | xz -9e |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind, row in report.items():
        lines.append(
            f"| {kind} | {row['characters']:,} | {row['model']:.3f} "
            f"| {row['ngram']:.3f} ({row['ngram_order']}) | {row['xz']:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Evaluate and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that prepare.py filled")
    parser.add_argument("--model", type=Path, required=True, help="model in Hugging Face format")
    parser.add_argument("--out", type=Path, required=True, help="report to write, JSON")
    parser.add_argument("--train-chars", type=int, default=2_000_000)
    parser.add_argument("--held-out-chars", type=int, default=60_000)
    args = parser.parse_args()
    start = time.time()
    items = held_out_items(args.work, args.held_out_chars)
    bits, tokens = model_bits(args.model, items)
    samples = training_samples(args.work, args.train_chars)
    report: dict[str, dict[str, float]] = {}
    for kind, texts in items.items():
        characters = sum(map(len, texts))
        ngram = NGram(samples[kind], max(ORDERS))
        by_order = {n: sum(ngram.bits(text, n) for text in texts) for n in ORDERS}
        best = min(by_order, key=by_order.__getitem__)
        report[kind] = {
            "characters": characters,
            "items": len(texts),
            "tokens": tokens[kind],
            "model": round(bits[kind] / characters, 4),
            "ngram": round(by_order[best] / characters, 4),
            "ngram_order": best,
            "xz": round(xz_bits(samples[kind], texts) / characters, 4),
            "sample_characters": sum(map(len, samples[kind])),
        }
        print(kind, report[kind], flush=True)
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))
    print(f"{time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
