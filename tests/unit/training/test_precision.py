"""A run and its predictor give the same numbers in either precision, whatever head it has."""

import csv
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from small_runs import saved_backbone
from torch import nn

import taglm_core as taglm
from taglm_core.data.readers import read_table
from taglm_core.errors import ConfigError
from taglm_core.inference.evaluate import evaluate_table
from taglm_core.inference.loading import load_predictor
from taglm_core.model.precision import BF16, FP32, Bf16Linear
from taglm_core.plugins import load_registry
from taglm_core.progress import Silent
from taglm_core.store.artifact import find_artifact, load_artifact
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.training.plan import make_plans
from taglm_core.training.run import execute, resolved
from taglm_core.training.settings import run_config

PRECISIONS = (FP32, BF16)
STAGES = {
    "domain": {"max_steps": 2, "num_evaluations": 1, "tag_length": 3, "batch_size": 8, "size": 40},
    "task": {
        "max_steps": 4,
        "num_evaluations": 2,
        "tag_length": 3,
        "batch_size": 8,
        "fit_epochs": 6,
    },
}
SAME = {FP32: 1e-5, BF16: 1e-3}
"""Relative difference of a metric or prediction that one path gives twice, here on one machine."""
NUMERIC = ("Linear", "Kernel", "Features", "Mlp", "Every", "Own", "Pair", "Cross")
_CACHED_ALONE = ("text", "labels", "several", "classes")
"""Cases that are not repeated without a cache."""
OTHER_PATH = {FP32: 1e-4, BF16: 0.05}
"""Difference, as a share of the targets' spread, of predictions on kept blocks and whole rows."""

ONE = "The string is <Letters>{letters}. Its value is <%s>"
TWO = "<Letters>{one} and <Letters>{two} give <%s>"


class OwnHead(nn.Module):
    """A head of a plugin: one hidden layer, its own norm, no closed form."""

    def __init__(self, hidden_size, num_outputs):
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.inner = nn.Linear(hidden_size, 8)
        self.outer = nn.Linear(8, num_outputs)

    def forward(self, states):
        """Map `(batch, hidden)` to `(batch, num_outputs)`."""
        return self.outer(torch.tanh(self.inner(self.norm(states))))


def task(name, template=ONE, kind="regression", columns=("share_a",), **more):
    """Declare a task of the strings."""
    target = {"kind": kind, **({"columns": list(columns)} if columns else {})}
    for key in ("multi_label",):
        if key in more:
            target[key] = more.pop(key)
    declared = {"name": name, "template": template % name, "target": target, **more}
    return {key: value for key, value in declared.items() if value is not None}


CASES = {
    "linear": (task("Linear"), {"head": "linear"}),
    "kernel": (task("Kernel"), {"head": "kernel", "features": "off"}),
    "features": (task("Features"), {"head": "kernel", "features": "on"}),
    "several": (task("Several", columns=("share_a", "length")), {"huber": 0.5}),
    "mlp": (task("Mlp"), {"head": "mlp", "head_options": {"units": 8, "layers": 1}}),
    "every row": (task("Every"), {"pooling": "all"}),
    "symmetric": (task("Pair", TWO, columns=("sum",), symmetric={"one": "two"}), {}),
    "cross": (task("Cross", TWO, columns=("sum",)), {"head": "mlp"}),
    "classes": (task("First", kind="classification", columns=("first",)), {}),
    "labels": (
        task("Has", kind="classification", columns=("has_b", "has_c"), multi_label=True),
        {},
    ),
    "own": (task("Own"), {"head": "own"}),
    "text": (
        task("Word", ONE + " {word}", "text", ()),
        {"max_steps": 2},
    ),
}
JOINT = [
    {"task": task("JointShare", ONE.replace("%s", "CLS%.0s"), function_tag="CLS")},
    {
        "task": task(
            "JointFirst",
            ONE.replace("%s", "CLS%.0s"),
            "classification",
            ("first",),
            function_tag="CLS",
        )
    },
]


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """Return a folder with a backbone and a table, a registry, and what has been run in it."""
    import toy_plugin

    folder = tmp_path_factory.mktemp("precision")
    saved_backbone(folder / "tiny", "llama")
    rng = np.random.default_rng(3)
    words = ["".join(rng.choice(list("abc"), size=rng.integers(3, 9))) for _ in range(120)]
    with (folder / "rows.csv").open("w", newline="") as file:
        names = "letters one two share_a length sum first has_b has_c word"
        writer = csv.writer(file)
        writer.writerow(names.split())
        for i, word in enumerate(words):
            other = words[i // 8]
            share, total = word.count("a") / len(word), word.count("a") + other.count("a")
            has = [int("bb" in word), int("c" in word)]
            writer.writerow([word, word, other, share, len(word), total, word[0], *has, word[0]])
    own = ModuleType("own_heads")
    own.OwnHead = OwnHead
    own.register_heads = taglm.hookimpl(
        lambda: [taglm.Head(name="own", module="own_heads:OwnHead")]
    )
    import sys

    sys.modules["own_heads"] = own
    registry = load_registry(only=(), extra=[("toy", toy_plugin), ("own", own)])
    return SimpleNamespace(folder=folder, registry=registry, runs={})


def run(held, case, precision, cache="auto"):
    """Run a case once for all tests and return its folder, metrics and plans."""
    key = (case, precision, cache)
    if key not in held.runs:
        jobs, more = (JOINT, {}) if case == "joint" else CASES[case]
        stages = {**STAGES, "task": {**STAGES["task"], **more, "cache": cache}}
        config = run_config(
            "test",
            {
                ("tasks" if case == "joint" else "task"): jobs,
                "data": {"file": str(held.folder / "rows.csv"), "split": {"method": "random"}},
                "backbone": str(held.folder / "tiny"),
                "stages": stages,
                "decode": {"max_new_tokens": 4},
                "precision": precision,
            },
        )
        out = held.folder / f"{case}-{precision}-{cache}".replace(" ", "")
        store = TagStore(held.folder / "store")
        plans = make_plans(config, held.registry, store)
        opened = RunFolder(out)
        opened.open(resolved(config))
        try:
            metrics = execute(plans, opened, store, Silent())
        finally:
            opened.close()
        held.runs[key] = SimpleNamespace(out=out, metrics=metrics, plans=plans)
    return held.runs[key]


def written(folder, name="test"):
    """Return the table of predictions that a run wrote."""
    return read_table(folder / "predictions" / f"{name}.csv")


def rows_of(plan, split, path):
    """Write the rows of a split as a file of their own."""
    rows = plan.rows.of_split(split)
    with (path.parent / "rows.csv").open() as source, path.open("w", newline="") as file:
        lines = list(csv.reader(source))
        csv.writer(file).writerows([lines[0], *(lines[plan.rows.numbers[i]] for i in rows)])
    return path


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("case", "cache"),
    [
        *((case, "auto") for case in (*CASES, "joint")),
        *((case, "off") for case in (*CASES, "joint") if case not in _CACHED_ALONE),
    ],
)
def test_the_predictor_gives_what_the_run_reports(case, precision, cache, held):
    """Scores of metrics.json from the artifact; predictions of the file that the run wrote."""
    found = run(held, case, precision, cache)
    assert found.metrics["precision"] == precision
    for plan in found.plans:
        name = plan.task.name
        artifact = load_artifact(find_artifact(found.out, name if case == "joint" else None))
        assert artifact.precision == precision
        predictor = load_predictor(artifact, held.registry, cache=cache)
        assert predictor.task_model.model.backbone.precision == precision
        for split in ("valid", "test"):
            file = rows_of(plan, split, held.folder / f"{name}-{split}.csv")
            scored = evaluate_table(predictor, read_table(file), {}, "raise")
            now = scored.metrics["tasks"][name]["splits"]["input"]["metrics"]
            reported = found.metrics["tasks"][name]["splits"][split]["metrics"]
            assert set(now) == set(reported)
            for key, value in reported.items():
                assert now[key] == pytest.approx(value, rel=SAME[precision], abs=1e-5), (split, key)
        own = found.out / "tasks" / name if case == "joint" else found.out
        for column in predictor.names:
            then = written(own).columns[column]
            assert list(scored.columns[column]) == then if case == "text" else len(then) > 5
            if case != "text" and column in (
                "Linear",
                "Kernel",
                "Features",
                "Mlp",
                "Every",
                "Own",
                "Pair",
                "Cross",
            ):
                spread = np.std(np.array(then, dtype=float))
                again = np.array(scored.columns[column], dtype=float)
                np.testing.assert_allclose(
                    again, np.array(then, dtype=float), atol=SAME[precision] * spread + 1e-6
                )


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", ["linear", "mlp", "every row", "symmetric", "own", "cross"])
def test_kept_blocks_and_whole_rows_predict_alike(case, precision, held):
    """Within a bound: where a head was fitted on the one and predicts on the other."""
    found = run(held, case, precision)
    artifact = load_artifact(find_artifact(found.out))
    plan = found.plans[0]
    table = read_table(held.folder / "rows.csv")
    values = {}
    for cache in ("auto", "off"):
        predictor = load_predictor(artifact, held.registry, cache=cache)
        values[cache] = predictor.predict_table(table).values[:, 0]
    alone = predictor.predict_table(table.select([3])).values[0, 0]
    spread = plan.rows.targets[:, 0].std()
    bound = OTHER_PATH[precision] * spread
    assert np.abs(values["auto"] - values["off"]).max() < bound
    assert abs(alone - values["off"][3]) < bound
    distinct = len(np.unique(values["off"].round(9)))
    # nothing after the backbone is rounded, so equal values come of equal rows alone
    assert distinct > 0.9 * len(np.unique(np.array(table.columns["letters"])))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_last_evaluation_is_that_of_the_final_table(precision, held):
    """What early stopping saw of the kept state is what the run reports of it."""
    found = run(held, "mlp", precision)
    history = found.metrics["tasks"]["Mlp"]["stages"][-1]["history"]
    best = min(record["rmse"] for record in history)
    reported = found.metrics["tasks"]["Mlp"]["splits"]["valid"]["metrics"]["rmse"]
    spread = found.plans[0].rows.targets[:, 0].std()
    assert abs(best - reported) < (2e-5 if precision == FP32 else 0.01 * spread)


def test_a_predictor_in_the_other_precision_is_close(held):
    """It has to be asked for, and differs by no more than the stated share of the spread."""
    found = run(held, "linear", BF16)
    artifact = load_artifact(find_artifact(found.out))
    table = read_table(held.folder / "rows.csv")
    values = {
        precision: load_predictor(artifact, held.registry, precision=precision)
        .predict_table(table)
        .values[:, 0]
        for precision in (None, *PRECISIONS)
    }
    np.testing.assert_array_equal(values[None], values[BF16])
    assert (values[FP32] != values[BF16]).any()
    difference = np.sqrt(np.square(values[FP32] - values[BF16]).mean())
    assert difference < 0.1 * found.plans[0].rows.targets[:, 0].std()
    with pytest.raises(ConfigError, match="precision must be fp32, bf16, int8 or nf4, not fp16"):
        load_predictor(artifact, held.registry, precision="fp16")


def test_the_other_precision_is_another_stage(held):
    """Neither tag nor head of the one is taken for the other."""
    first, second = run(held, "linear", BF16), run(held, "linear", FP32)
    assert first.plans[0].task_fingerprint != second.plans[0].task_fingerprint
    tags = [found.plans[0].domains["Letters"] for found in (first, second)]
    assert tags[0].fingerprint != tags[1].fingerprint
    assert first.plans[0].fingerprint.key == second.plans[0].fingerprint.key
    assert not any("from_store" in s for s in second.metrics["tasks"]["Linear"]["stages"][-1:])
    assert {tag.stored.precision for tag in tags} == {FP32, BF16}


def test_a_head_with_hidden_layers_learns_in_bf16_what_it_learns_in_fp32(held):
    """Fitting passes see the weights as they are, not copies from before."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abc"), size=rng.integers(4, 12))) for _ in range(500)]
    path = held.folder / "composition.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["letters", "y"], *([w, (w.count("a") - w.count("b")) / len(w)] for w in words)]
        )
    found = {}
    for precision in PRECISIONS:
        mlp = {"head": "mlp", "fit_epochs": 15, "fit_rows": 500, "features": "off"}
        config = run_config(
            "test",
            {
                "task": task("Composition", columns=("y",), metrics=["rmse", "r2"]),
                "data": {"file": str(path), "split": {"method": "random"}},
                "backbone": str(held.folder / "tiny"),
                "stages": {**STAGES, "task": {**STAGES["task"], **mlp}},
                "precision": precision,
            },
        )
        store = TagStore(held.folder / "store")
        plans = make_plans(config, held.registry, store)
        opened = RunFolder(held.folder / f"composition-{precision}")
        opened.open(resolved(config))
        metrics = execute(plans, opened, store, Silent())
        opened.close()
        found[precision] = metrics["tasks"]["Composition"]["splits"]["test"]["metrics"]["r2"]
        assert metrics["warnings"] == []
    assert found[FP32] > 0.6
    assert found[BF16] > found[FP32] - 0.03


def test_only_the_linear_layers_are_rounded(held):
    """Embeddings, norms, the output matrix, tags and heads stay fp32; states come back in fp32."""
    plan = run(held, "mlp", BF16).plans[0]
    backbone = plan.backbone
    kinds = {
        name: parameter.dtype
        for name, parameter in backbone.model.named_parameters()
        if parameter.dtype != torch.float32
    }
    assert set(kinds.values()) == {torch.bfloat16}
    assert all("_proj." in name for name in kinds)
    assert sum(isinstance(m, Bf16Linear) for m in backbone.model.modules()) == len(kinds) == 14
    assert backbone.embed(torch.tensor([1])).dtype == torch.float32
    positions = torch.arange(3).unsqueeze(0)
    states = backbone.hidden_states(backbone.embed(torch.tensor([[1, 2, 3]])), None, positions)
    assert states.dtype == backbone.logits(states).dtype == torch.float32
