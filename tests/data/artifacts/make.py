"""Writes the artifacts of the present format version, for the test that later versions read them.

`PYTHONPATH=tests python tests/data/artifacts/make.py` writes `vN/` beside this file, once for each
format version; a folder that is there is never written again. The backbone is the random one of
`taglm_core.testing.tiny_backbone`, so it is not kept.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import toy_plugin

from taglm_core.data.table import Table
from taglm_core.inference.loading import load_predictor
from taglm_core.plugins import load_registry
from taglm_core.progress import Silent
from taglm_core.store import artifact as artifacts
from taglm_core.store.migrations import FORMAT_VERSION
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.testing import tiny_backbone
from taglm_core.training.plan import make_plans
from taglm_core.training.run import execute, resolved
from taglm_core.training.settings import run_config

HERE = Path(__file__).parent
BACKBONE = "tiny"
ROWS = {"letters": ["abca", "bbbb", "cacac"], "digits": ["101", "1", "1110"]}
PAIRS = ["letters,digits,y"] + [
    f"{'abc'[i % 3] * (1 + i % 5)}{'cab'[i % 2]},{i:b},{i % 7 / 7}" for i in range(8, 60)
]
SHARE = {
    "name": "Share",
    "template": "The string is <Letters>{letters}. Its share is <Share>",
    "target": {"kind": "regression", "columns": ["share_a"], "unit": "1", "floor": 0.3},
}
SUM = {
    "name": "Sum",
    "template": "<Letters>{letters} and <Digits>{digits} sum to <Sum>",
    "target": {"kind": "regression", "columns": ["y"]},
}
SAY = {
    "name": "Say",
    "template": "Letters {letters} begin with <Say>{first}",
    "target": {"kind": "text"},
}
FAST = {
    "domain": {"max_steps": 3, "num_evaluations": 1, "tag_length": 2, "batch_size": 8},
    "task": {
        "max_steps": 3,
        "num_evaluations": 1,
        "tag_length": 2,
        "batch_size": 8,
        "fit_rows": 50,
    },
}
MLP = {"task": {"pooling": "all", "head": "mlp", "head_options": {"units": 3, "layers": 1}}}


def runs() -> dict[str, dict[str, Any]]:
    """Return name -> settings of the runs whose predictors are kept."""
    letters = {"dataset": "letters"}
    return {
        "censored": {"task": SHARE, "data": letters},
        "classes": {"task": "First", "stages": {"domain": {"train_symbols": True}}},
        "layers": {"task": "Both", "stages": MLP},
        "pair": {"task": SUM, "data": {"file": "pairs.csv"}},
        "text": {"task": SAY, "data": letters, "decode": {"max_new_tokens": 4}},
    }


def main() -> None:
    """Write the artifacts of the present version."""
    target = HERE / f"v{FORMAT_VERSION}"
    if target.exists():
        raise SystemExit(f"{target} is there; a version's files never change")
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # so that the backbone's name is a relative one
        os.environ["TAGLM_HOME"] = "home"
        backbone = tiny_backbone("llama")
        backbone.model.save_pretrained(BACKBONE)
        backbone.tokenizer.save_pretrained(BACKBONE)
        Path("pairs.csv").write_text("\n".join(PAIRS) + "\n", encoding="utf-8")
        registry = load_registry(only=(), extra=[("toy", toy_plugin)])
        predicted: dict[str, Any] = {}
        for name, settings in runs().items():
            base = {"backbone": BACKBONE, "stages": FAST, "precision": "fp32", "device": "cpu"}
            config = run_config(name, base, settings)
            folder = RunFolder(Path(name))
            folder.open(resolved(config))
            execute(make_plans(config, registry, TagStore()), folder, TagStore(), Silent())
            folder.close()
            shutil.copytree(Path(name) / "predictor", target / name)
            predictor = load_predictor(
                artifacts.load_artifact(target / name), registry, device="cpu"
            )
            predicted[name] = predictor.predict_table(Table(ROWS, [1, 2, 3], "rows")).columns
        entry = next(e for e in TagStore().entries() if e.name == "toy/Letters")
        shutil.copytree(entry.folder, target / "tag")
    text = json.dumps({"rows": ROWS, "predicted": predicted}, indent=1)
    (target / "predictions.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
