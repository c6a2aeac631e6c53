"""Scoring a labeled table: each row is read once, and every error of it is told."""

from pathlib import Path

import attrs
import pytest
import toy_plugin

from taglm_core.data.measured import computing_code
from taglm_core.data.table import Table
from taglm_core.errors import CheckpointError, ConfigError, DataError, RowError
from taglm_core.inference.evaluate import evaluate_table
from taglm_core.inference.loading import load_predictor
from taglm_core.store.artifact import load_artifact

GOLDEN = Path(__file__).parents[2] / "data" / "artifacts" / "v1"


@pytest.fixture
def calls(monkeypatch):
    """Record the rows that are made canonical."""
    made = []
    canonical = toy_plugin.canonical

    def count(rows):
        made.append(list(rows))
        return canonical(rows)

    monkeypatch.setattr(toy_plugin, "canonical", count)
    return made


def predictor_of(kind, registry, backbone):
    """Load a golden predictor on the toy backbone."""
    artifact = load_artifact(GOLDEN / kind)
    return load_predictor(artifact, registry, str(backbone), device="cpu")


def test_rows_are_made_canonical_once(toy_registry, toy_backbone, calls):
    """Predicting and scoring share what was read; errors of field, target and class are told."""
    predictor = predictor_of("classes", toy_registry, toy_backbone)
    letters = ["abca", "BBBB", "azz", "cac", "ba"]
    columns = {"letters": letters, "first": ["a", "b", "a", "x", ""]}
    table = Table(columns=columns, rows=[1, 2, 3, 4, 5], source="rows")
    scored = evaluate_table(predictor, table, {}, "skip")
    assert calls == [letters]
    assert scored.metrics["tasks"]["First"]["splits"]["input"]["rows"] == 2
    reasons = dict(scored.skipped)
    assert sorted(reasons) == [3, 4, 5]
    assert "a z is not allowed" in reasons[3]
    assert "'x'" in reasons[4]
    assert scored.columns["First"] == ["a", "b"]


def test_the_first_row_that_is_wrong_stops_it_where_asked(toy_registry, toy_backbone):
    """Rows with an error are named, none is scored."""
    predictor = predictor_of("classes", toy_registry, toy_backbone)
    columns = {"letters": ["abca", "azz"], "first": ["a", "b"]}
    table = Table(columns=columns, rows=[1, 2], source="rows")
    with pytest.raises(RowError, match="row 2: .*a z is not allowed"):
        evaluate_table(predictor, table, {}, "raise")


@pytest.mark.parametrize("reference", ["shutil:rmtree", "toy_plugin:secret"])
def test_an_artifact_runs_no_code_that_no_plugin_registers(
    toy_registry, toy_backbone, reference, monkeypatch
):
    """An artifact of somebody else may name any function; predicting goes on without it."""
    asked = []
    monkeypatch.setattr(toy_plugin, "secret", asked.append, raising=False)
    artifact = load_artifact(GOLDEN / "classes")
    target = attrs.evolve(artifact.task.spec.target, compute=reference)
    task = attrs.evolve(artifact.task, spec=attrs.evolve(artifact.task.spec, target=target))
    artifact = attrs.evolve(artifact, config=attrs.evolve(artifact.config, task=task))
    predictor = load_predictor(artifact, toy_registry, str(toy_backbone), device="cpu")
    table = Table(columns={"letters": ["abca", "ba"]}, rows=[1, 2], source="rows")
    with pytest.raises(CheckpointError, match=f"'{reference}', which no installed plugin"):
        evaluate_table(predictor, table, {}, "raise")
    assert not asked
    assert predictor.predict_table(table).errors == [None, None]
    labeled = table.columns | {"first": ["a", "b"]}
    table = Table(columns=labeled, rows=[1, 2], source="rows")
    assert evaluate_table(predictor, table, {}, "raise", labels="measured").skipped == []


def test_what_a_plugin_registers_is_computed(toy_registry, toy_backbone):
    """The same function that trained it scores it."""
    assert "toy_plugin:share_of_a" in computing_code(toy_registry)


def test_the_truth_stands_beside_the_predictions(toy_registry, toy_backbone):
    """A truth that has the name of the task would be replaced by what was predicted for it."""
    predictor = predictor_of("censored", toy_registry, toy_backbone)
    (name,) = predictor.names
    columns = {"letters": ["abca", "bb", "cac"], name: ["0.9", "0.8", "0.7"], "n": [1, 2, 3]}
    table = Table(columns=columns, rows=[1, 2, 3], source="rows")
    scored = evaluate_table(predictor, table, {"share_a": name}, "raise").columns
    assert list(scored) == ["letters", f"{name}.measured", "n", name, f"{name}.residual"]
    assert scored[f"{name}.measured"] == ["0.9", "0.8", "0.7"]
    residuals = [float(t) - p for t, p in zip(columns[name], scored[name], strict=True)]
    assert scored[f"{name}.residual"] == pytest.approx(residuals, abs=1e-5)


@pytest.mark.parametrize(
    ("rows", "limit", "error", "said"),
    [(0, None, DataError, "holds no rows to score"), (2, 0, ConfigError, "limit must be 1 or")],
)
def test_nothing_to_score_is_an_error(toy_registry, toy_backbone, rows, limit, error, said):
    """An empty DataFrame is no fault of the program."""
    predictor = predictor_of("classes", toy_registry, toy_backbone)
    columns = {"letters": ["abca"] * rows, "first": ["a"] * rows}
    table = Table(columns=columns, rows=list(range(1, rows + 1)), source="rows")
    with pytest.raises(error, match=said):
        evaluate_table(predictor, table, {}, "raise", limit=limit)
