"""The invariants of the core on a GPU, in both precisions; run by `pytest -m gpu`."""

import numpy as np
import pytest
import torch

from taglm_core.data.table import Table
from taglm_core.inference.evaluate import evaluate_table
from taglm_core.inference.loading import load_predictor
from taglm_core.inference.precision import open_backbone
from taglm_core.model.precision import BF16, FP32
from taglm_core.model.precisionprobe import measure_precision
from taglm_core.progress import Silent
from taglm_core.store.artifact import load_artifact
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.testing import tiny_backbone
from taglm_core.training.plan import make_plans
from taglm_core.training.run import execute, resolved
from taglm_core.training.settings import run_config

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here"),
]

STAGES = {
    "domain": {"max_steps": 3, "num_evaluations": 1, "tag_length": 3, "batch_size": 8, "size": 60},
    "task": {
        "max_steps": 6,
        "num_evaluations": 2,
        "tag_length": 3,
        "batch_size": 8,
        "fit_epochs": 4,
    },
}
TOLERANCE = {FP32: 1e-3, BF16: 0.05}
"""Share of the targets' spread by which predictions of one row may differ."""


def go(task, precision, backbone, registry, folder, **stage):
    """Run a task of the toy plugin on the GPU; return plan, metrics and weights before."""
    stages = {**STAGES, "task": {**STAGES["task"], **stage}}
    config = run_config(
        "test",
        {
            "task": task,
            "backbone": str(backbone),
            "stages": stages,
            "device": "cuda",
            "precision": precision,
        },
    )
    store = TagStore()
    plans = make_plans(config, registry, store)
    before = plans[0].backbone.checksum()
    opened = RunFolder(folder)
    opened.open(resolved(config))
    try:
        return plans[0], execute(plans, opened, store, Silent()), before
    finally:
        opened.close()


@pytest.mark.parametrize("precision", [FP32, BF16])
@pytest.mark.parametrize(
    ("task", "head"), [("ShareA", "linear"), ("Both", "mlp"), ("First", "mlp")]
)
def test_a_run_on_a_gpu_and_its_predictor(
    task, head, precision, toy_registry, toy_backbone, tmp_path
):
    """Weights bit-identical, metrics repeated by the artifact, a row the same alone."""
    plan, metrics, before = go(
        task, precision, toy_backbone, toy_registry, tmp_path / "run", head=head
    )
    assert plan.backbone.device.type == "cuda"
    assert plan.backbone.precision == metrics["precision"] == precision
    assert plan.backbone.checksum() == before
    artifact = load_artifact(tmp_path / "run" / "predictor")
    rows = plan.rows.of_split("test")
    columns = {name: [values[i] for i in rows] for name, values in plan.rows.fields.items()}
    target = plan.task.spec.target
    truth = plan.rows.targets.reshape(len(plan.rows.targets), -1)
    for k, name in enumerate(target.names if target.compute is None else ()):
        held = truth[rows, k].tolist()
        columns[name] = [plan.rows.classes[int(v)] for v in held] if task == "First" else held
    table = Table(columns=columns, rows=list(range(1, len(rows) + 1)), source="x")
    values = {}
    for device, cache in (("cuda", "auto"), ("cuda", "off"), ("cpu", "auto")):
        predictor = load_predictor(artifact, toy_registry, device=device, cache=cache)
        assert predictor.task_model.model.backbone.precision == precision
        values[device, cache] = predictor.predict_table(table).values
        if (device, cache) == ("cuda", "auto"):
            scored = evaluate_table(predictor, table, {}, "raise")
            now = scored.metrics["tasks"][task]["splits"]["input"]["metrics"]
            reported = metrics["tasks"][task]["splits"]["test"]["metrics"]
            assert now == pytest.approx(reported, rel=1e-3, abs=1e-4)
    spread = 1.0 if task == "First" else truth.std(axis=0).max()
    bound = TOLERANCE[precision] * spread
    for found in values.values():
        assert np.abs(found - values["cuda", "auto"]).max() < bound
    alone = load_predictor(artifact, toy_registry, device="cuda").predict_table(table.select([1]))
    assert np.abs(alone.values[0] - values["cuda", "auto"][1]).max() < bound


def test_auto_measures_on_a_gpu(toy_backbone, toy_registry, monkeypatch):
    """The probe runs there, leaves fp32 behind, and the opened backbone follows it."""
    monkeypatch.delenv("TAGLM_PRECISION", raising=False)
    backbone = tiny_backbone("llama")
    backbone.move_to(torch.device("cuda"))
    found = measure_precision(backbone, looks_always=True)
    assert 0 < found.states_error < 0.1
    assert backbone.precision == FP32
    opened, kept = open_backbone(str(toy_backbone), toy_registry)
    assert opened.device.type == "cuda"
    assert opened.precision == kept.precision
