"""Predictions that tell how like rows are to the training rows, from the run to the file."""

import csv
import logging

import attrs
import pytest
from artifacts import KEPT
from small_runs import PLAIN, SHARE, run, saved_backbone, write_table

from taglm_core.data.readers import read_table
from taglm_core.errors import ConfigError, PluginError
from taglm_core.inference.loading import load_predictor
from taglm_core.inference.together import load_predictors
from taglm_core.model.similarity import SimilarityReader
from taglm_core.store.artifact import load_artifact
from taglm_core.store.tagstore import TagStore
from taglm_core.training.plan import make_plans
from taglm_core.training.settings import run_config

KNOWN, FAR = "training_similarity", "unlike_training"


@pytest.fixture(scope="module")
def made(tmp_path_factory, printed_registry):
    """Train a little on strings of several letters, none of which repeats one letter alone."""
    tmp_path = tmp_path_factory.mktemp("similar")
    saved_backbone(tmp_path / "tiny", "llama")
    table = write_table(tmp_path)
    rows = [line for line in table.read_text().splitlines() if len(set(line.split(",")[0])) > 1]
    table.write_text("\n".join(rows) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGLM_HOME", str(tmp_path / "home"))
        return run(tmp_path, printed_registry, tmp_path / "tiny", table, SHARE, PLAIN)


def test_rows_unlike_training_rows_are_reported(made, tmp_path, caplog):
    """A chemist sees which predictions are extrapolations: a column, and one warning line."""
    trained = read_table(made.folder / "predictions" / "test.csv").columns["letters"][0]
    predictor = made.predictor
    with caplog.at_level(logging.WARNING):
        frame = predictor.predict(["ccccccccc", trained, "z"])
    assert list(frame.columns) == ["T", KNOWN, FAR, "error"]
    assert frame[FAR].tolist() == [True, False, None]
    assert frame[KNOWN][0] < predictor.similarity_limits[KNOWN] <= frame[KNOWN][1] <= 1
    warned = [record.message for record in caplog.records if "unlike" in record.message]
    limit = f"{predictor.similarity_limits[KNOWN]:g}"
    assert warned == [
        f"1 of 3 rows is unlike the training rows ({KNOWN} below {limit}): row 1. Do not rely on "
        "its prediction."
    ]

    plain = predictor.predict([trained], similarity=False)
    assert list(plain.columns) == ["T", "error"]

    lines = ["id,letters", *(f"{i},{'c' * (9 + i)}" for i in range(7)), f"7,{trained}"]
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        predictor.predict(tmp_path / "new.csv", tmp_path / "out.csv", chunk_rows=3)
    assert [r.message for r in caplog.records if "unlike" in r.message] == [
        f"7 of 8 rows are unlike the training rows ({KNOWN} below {limit}): rows 1, 2, 3, 4, 5 and "
        "2 more. Do not rely on their predictions."
    ]
    with (tmp_path / "out.csv").open() as file:
        written = list(csv.DictReader(file))
    assert list(written[0]) == ["id", "letters", "T", KNOWN, FAR, "error"]
    assert [row[FAR] for row in written] == ["True"] * 7 + ["False"]


def test_threshold_is_met_by_most_rows_of_the_run(made):
    """What is reported as unlike is rare among the rows that the scores are from."""
    test = read_table(made.folder / "predictions" / "test.csv").columns["letters"]
    valid = read_table(made.folder / "predictions" / "valid.csv").columns["letters"]
    far = made.predictor.predict([*test, *valid])[FAR]
    assert sum(far) <= 0.05 * len(far)
    record = made.predictor.artifact.task.similarity[0]
    assert record.basis in ("train", "valid and test")
    assert str(record.threshold) in (made.folder / "predictor" / "README.md").read_text()
    train = read_table(made.folder / "split.csv").columns["split"].count("train")
    assert record.kept <= record.distinct == train


def test_loaded_together_tell_the_same(made, printed_registry):
    """The service and the command give the same verdicts, text tasks and empty lists included."""
    artifact = load_artifact(made.folder / "predictor")
    together = load_predictors({"T": artifact}, printed_registry)
    rows = ["ccccccccc", "abcab"]
    found = together.predict({"T": rows}, "dict")["T"]
    assert found[KNOWN] == made.predictor.predict(rows, "dict")[KNOWN]
    assert together.predict({"T": []}, "dict")["T"][FAR] == []
    assert FAR not in together.predict({"T": rows}, "dict", similarity=False)["T"]


def test_plugin_without_the_fingerprints_of_training_is_an_error(made, toy_registry):
    """Similarities of other fingerprints would be wrong without a word."""
    artifact = load_artifact(made.folder / "predictor")
    loaded = load_predictor(artifact, toy_registry)
    with pytest.raises(PluginError, match="no longer computes the fingerprints"):
        loaded.predict(["abc"])
    loaded.predict(["abc"], similarity=False)
    (compared,) = made.predictor.task_model.similarity.compared
    other = attrs.evolve(compared, record=attrs.evolve(compared.record, width=99))
    with pytest.raises(PluginError, match="trained with 99 positions"):
        SimilarityReader((other,)).read({"letters": ["abc"]}, [0])


def test_names_of_the_columns_are_taken(tmp_path, toy_registry, toy_backbone):
    """A task of that name would lose its predictions."""
    config = run_config(
        "test",
        {
            "task": {"name": FAR, "template": f"<Letters>{{letters}} <{FAR}>", "target": SHARE},
            "data": {"file": str(write_table(tmp_path))},
            "backbone": str(toy_backbone),
        },
    )
    with pytest.raises(ConfigError, match=f"the name '{FAR}' is taken"):
        make_plans(config, toy_registry, TagStore(tmp_path / "store"))


def test_kept_predictors_have_no_columns(toy_registry, toy_backbone):
    """Predictors of a time before, and domains without fingerprints, predict as they did."""
    artifact = load_artifact(KEPT / "censored")
    predictor = load_predictor(artifact, toy_registry, str(toy_backbone))
    assert artifact.task.similarity == ()
    assert list(predictor.predict(["abc"]).columns) == [*predictor.names, "error"]
