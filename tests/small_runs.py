"""Small runs of a task of letters on a tiny backbone, for tests of heads."""

import csv
import json
import types

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from taglm_core.inference.loading import load_predictor
from taglm_core.model.backbone import Backbone
from taglm_core.progress import Silent
from taglm_core.store.artifact import find_artifact, load_artifact
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.testing import tiny_backbone
from taglm_core.training.budget import PLAN, TimeBudget
from taglm_core.training.plan import make_plans
from taglm_core.training.run import execute, resolved
from taglm_core.training.settings import run_config

SMALL = {"max_steps": 1, "num_evaluations": 1, "tag_length": 2, "batch_size": 8}


PLAIN = "The string is <Letters>{letters}. It gives <T>"
DOSED = "The string is <Letters>{letters} at {dose}. It gives <T>"
SHARE = {"kind": "regression", "columns": ["share"]}


class Lines:
    """Keeps what is said, technical lines apart."""

    def __init__(self):
        self.said, self.details = [], []
        self.say, self.detail = self.said.append, self.details.append

    def start(self, description, total):
        """Ignore."""

    def advance(self, done, note=""):
        """Ignore."""

    def finish(self):
        """Ignore."""


def saved_backbone(folder, kind="llama", **sizes):
    """Save a tiny random backbone with its tokenizer, and return it."""
    backbone = tiny_backbone(kind, **sizes)
    backbone.model.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    return backbone


def spaced_backbone():
    """Return a tiny backbone whose tokenizer has tokens for " a", " b" and " c"."""
    backbone = tiny_backbone()
    plain = json.loads(backbone.tokenizer.backend_tokenizer.to_str())
    vocab = plain["model"]["vocab"]
    for letter, unused in zip("abc", "\u0100\u0101\u0102", strict=True):  # bytes 0 to 2
        vocab[f"\u0120{letter}"] = vocab.pop(unused)
    plain["model"]["merges"] = [["\u0120", letter] for letter in "abc"]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(plain)),
        eos_token="</s>",
        bos_token="<s>",
        pad_token="<pad>",
        padding_side="right",
    )
    return Backbone(backbone.model, tokenizer, "tiny-spaced")


def write_table(tmp_path):
    """Write strings, doses and targets: the share of a, its sum with the dose, and a class."""
    rng = np.random.default_rng(5)
    words = {"".join(rng.choice(list("abc"), size=rng.integers(3, 9))) for _ in range(150)}
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["letters", "dose", "share", "reply", "kind"])
        for i, word in enumerate(sorted(words)):
            share, dose = word.count("a") / len(word), round(float(rng.normal()), 3)
            reply = "" if i % 5 == 0 else share + dose
            writer.writerow([word, dose, share, reply, "much" if share > 0.3 else "little"])
    return path


def run(
    tmp_path,
    registry,
    backbone,
    table,
    target,
    template,
    say=None,
    precision="auto",
    device="auto",
    seconds=None,
    domain=None,
    **settings,
):
    """Run a task, in some seconds if they are given, and return its metrics and predictor.

    Settings are those of `stages.task`, `domain` holds those of `stages.domain`.
    """
    config = run_config(
        "test",
        {
            "task": {"name": "T", "template": template, "target": target},
            "data": {"file": str(table), "split": {"method": "random"}},
            "backbone": str(backbone),
            "precision": precision,
            "device": device,
            "stages": {
                "domain": {**SMALL, "size": 30, **(domain or {})},
                "task": {**SMALL, **settings},
            },
        },
    )
    store = TagStore(tmp_path / "store")
    plans = make_plans(config, registry, store)
    folder = RunFolder(tmp_path / f"run{len(list(tmp_path.iterdir()))}")
    folder.open(resolved(config))
    for plan in plans if seconds is not None else ():
        plan.budget = TimeBudget(seconds=seconds, file=folder.path / PLAN)
    try:
        metrics = execute(plans, folder, store, say or Silent())
    finally:
        folder.close()
    artifact = load_artifact(find_artifact(folder.path))
    predictor = load_predictor(artifact, registry)
    return types.SimpleNamespace(metrics=metrics, predictor=predictor, folder=folder.path)
