"""`import taglm`: what a notebook calls, on a tiny backbone."""

import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import taglm
from taglm_core.errors import CheckpointError, ConfigError, DataError, RowError, UnknownNameError

MOLECULES = ["C" * length + end for length in range(1, 9) for end in ("O", "N", "S", "Cl", "Br")]

SOL = {
    "name": "Sol",
    "template": "The SMILES of the molecule is <SMILES>{smiles}. Its solubility is <Sol>",
    "target": {"kind": "regression", "columns": ["Y"], "unit": "log10 mol/L"},
    "metrics": ["rmse", "mae"],
}
SMALL = {
    "stages": {
        "domain": {"size": 60, "max_steps": 3, "tag_length": 3, "num_evaluations": 1},
        "task": {"max_steps": 4, "tag_length": 3, "num_evaluations": 1},
    },
    "data__split__method": "random",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Return a folder that holds a tiny backbone, a tag store and runs for all tests here."""
    from small_runs import saved_backbone

    folder = tmp_path_factory.mktemp("api")
    saved_backbone(folder / "tiny", "llama")
    return folder


@pytest.fixture(autouse=True)
def _shared_store(home, monkeypatch, _own_store):
    monkeypatch.setenv("TAGLM_HOME", str(home / "store"))


@pytest.fixture
def frame():
    """Return forty molecules with a number and a class, under names of their own."""
    lengths = [len(smiles) / 10 for smiles in MOLECULES]
    names = [f"mol{i}" for i in range(len(MOLECULES))]
    kinds = ["long" if value > 0.8 else "short" for value in lengths]
    return pd.DataFrame({"Drug": MOLECULES, "Y": lengths, "kind": kinds}, index=names)


@pytest.fixture
def run(home, frame):
    """Return a run made from a DataFrame; the folder is trained once."""
    return taglm.run(SOL, frame, backbone=str(home / "tiny"), out=home / "sol", **SMALL)


@pytest.fixture
def classes(home, frame):
    """Return a run of a task with classes."""
    task = {**SOL, "name": "Kind", "target": {"kind": "classification", "columns": ["kind"]}}
    task["template"] = SOL["template"].replace("<Sol>", "<Kind>")
    del task["metrics"]
    return taglm.run(task, frame, backbone=str(home / "tiny"), out=home / "kind", **SMALL)


def test_importing_taglm_is_quick_and_loads_no_library():
    """Neither torch nor pandas nor a plugin; under 0.3 s of processor time."""
    code = (
        "import time; began = time.process_time(); import taglm; "
        "seconds = time.process_time() - began; import sys; taglm.Domain; "
        "heavy = {'torch', 'pandas', 'transformers', 'sklearn', 'taglm_chem', 'taglm_studies'};"
        "print(seconds, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, loaded = done.stdout.strip().split(" ", 1)
    assert loaded == "[]"
    assert float(seconds) < 0.3


def test_every_public_name_is_there():
    """`__all__`, `dir` and what the core gives agree."""
    import taglm_core

    for name in taglm.__all__:
        assert getattr(taglm, name) is not None
    assert set(taglm_core.__all__) <= set(taglm.__all__)
    assert set(taglm_core.api.__all__) == set(taglm_core.api._PLACES)
    assert {"run", "load", "TagRegressor"} <= set(dir(taglm))
    with pytest.raises(AttributeError, match="no attribute 'lood'"):
        taglm.lood  # noqa: B018


def test_a_name_of_a_plugin_that_is_missing_says_what_to_install(monkeypatch):
    """An ImportError with the command."""
    monkeypatch.setitem(sys.modules, "taglm_studies.sklearn", None)
    monkeypatch.delitem(vars(taglm), "TagRegressor", raising=False)
    with pytest.raises(ImportError, match="pip install taglm-plugin-studies"):
        taglm.TagRegressor  # noqa: B018


def test_a_run_from_a_frame_has_all_that_the_command_writes(run, home):
    """Metrics, predictions, a predictor, and the rows themselves in the run folder."""
    assert run.folder == home / "sol"
    assert set(run.metrics["tasks"]["Sol"]["splits"]) == {"train", "valid", "test"}
    predictions = run.predictions
    assert set(predictions["split"]) == {"valid", "test"}
    assert predictions["Sol"].dtype == float
    assert predictions["Sol.measured"].dtype == float
    test = predictions[predictions["split"] == "test"]
    mae = (test["Sol"] - test["Sol.measured"]).abs().mean()
    assert run.metrics["tasks"]["Sol"]["splits"]["test"]["metrics"]["mae"] == pytest.approx(
        mae, abs=1e-5
    )
    (data,) = (run.folder / "data").iterdir()
    assert len(pd.read_parquet(data)) == 40
    assert run.tasks == ["Sol"]


def test_the_same_rows_return_the_finished_run_and_others_are_refused(run, home, frame, caplog):
    """The content decides, not the object."""
    caplog.set_level("INFO")
    options = {"backbone": str(home / "tiny"), "out": home / "sol", **SMALL}
    again = taglm.run(SOL, frame.copy(), **options)
    assert "holds the finished run" in caplog.text
    assert again.metrics == run.metrics
    other = frame.assign(Y=frame["Y"] + 1)
    with pytest.raises(CheckpointError, match=r"data\.file"):
        taglm.run(SOL, other, **options)
    with pytest.raises(CheckpointError, match="seed: 0 there, 3 now"):
        taglm.run(SOL, frame, seed=3, **options)
    assert len(list((run.folder / "data").iterdir())) == 1


def test_a_path_and_the_command_give_the_same_numbers(run, home, frame, tmp_path, monkeypatch):
    """The command is a caller of the API."""
    import yaml

    from taglm_core.cli.main import main

    file = tmp_path / "rows.csv"
    frame.to_csv(file, index=False)
    settings = {"task": SOL, "stages": SMALL["stages"], "backbone": str(home / "tiny")}
    (tmp_path / "sol.yaml").write_text(yaml.safe_dump(settings))
    words = ["run", tmp_path / "sol.yaml", "--data", file, "--split", "random"]
    monkeypatch.setattr(sys, "argv", ["taglm", *map(str, words), "--out", str(tmp_path / "cli")])
    with pytest.raises(SystemExit) as leave:
        main()
    assert leave.value.code == 0
    found = taglm.Run(tmp_path / "cli").metrics["tasks"]["Sol"]["splits"]
    assert found == run.metrics["tasks"]["Sol"]["splits"]
    by_path = taglm.run(
        tmp_path / "sol.yaml", str(file), out=tmp_path / "path", data__split={"method": "random"}
    )
    assert by_path.metrics["tasks"]["Sol"]["splits"] == found


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stages__task__epoch": 2}, r"unknown key 'stages\.task\.epoch'.*'epochs'"),
        ({"stages.task.epochs": "many"}, r"'stages\.task\.epochs' must be a number"),
        ({"stages": {"taks": {}}}, r"unknown key 'stages\.taks'.*'task'"),
        ({"sead": 1}, "unknown key 'sead'.*'seed'"),
        ({"seed": 1, "seed__x": 2}, "'seed' is set twice"),
    ],
)
def test_wrong_settings_are_named(settings, message, tmp_path):
    """The key, and the nearest known one; no folder is made."""
    with pytest.raises(ConfigError, match=message):
        taglm.run("QED", out=tmp_path / "none", **settings)
    assert not (tmp_path / "none").exists()


def test_predictions_keep_index_and_report_bad_rows(run, frame):
    """A bad row is NaN with its reason; the others are as when they are alone."""
    predictor = run.predictor
    rows = frame[["Drug"]].iloc[:3].copy()
    rows.iloc[1, 0] = "not_a_molecule"
    found = predictor.predict(rows)
    assert list(found.index) == ["mol0", "mol1", "mol2"]
    assert list(found.columns) == ["Sol", "training_similarity", "unlike_training", "error"]
    assert list(found["Sol"].isna()) == [False, True, False]
    assert "smiles" in found["error"].iloc[1]
    assert found["error"].isna().tolist() == [True, False, True]
    joined = rows.join(found)
    assert list(joined.columns) == [
        "Drug",
        "Sol",
        "training_similarity",
        "unlike_training",
        "error",
    ]
    with pytest.raises(RowError, match="row 2"):
        predictor.predict(rows, on_error="raise")
    alone = predictor.predict(rows.iloc[[2]])
    assert alone["Sol"].iloc[0] == pytest.approx(found["Sol"].iloc[2], abs=1e-5)


def test_every_form_of_data_and_output(run, frame, tmp_path, caplog):
    """The same values, whatever was given and asked for."""
    predictor = run.predictor
    smiles = [*frame["Drug"].iloc[:3], "bad_one"]
    wanted = predictor.predict(smiles, "numpy")
    assert wanted.shape == (4,)
    assert np.isnan(wanted).tolist() == [False, False, False, True]
    assert "1 of 4 rows are invalid, the first is row 4" in caplog.text
    file = tmp_path / "in.csv"
    pd.DataFrame({"Drug": smiles, "id": range(4)}).to_csv(file, index=False)
    for data in ({"smiles": smiles}, pd.Series(smiles), file, str(file)):
        np.testing.assert_allclose(predictor.predict(data, "numpy"), wanted, atol=1e-6)
    as_dict = predictor.predict(smiles, "dict")
    assert as_dict["Sol"][3] is None
    assert predictor.predict(smiles, "arrow").column_names == [
        "Sol",
        "training_similarity",
        "unlike_training",
        "error",
    ]
    out = tmp_path / "out.csv"
    written = predictor.predict(file, out)
    assert (written.rows, written.failed) == (4, 1)
    held = pd.read_csv(out)
    assert list(held.columns) == [
        "Drug",
        "id",
        "Sol",
        "training_similarity",
        "unlike_training",
        "error",
    ]
    np.testing.assert_allclose(held["Sol"], wanted, atol=1e-6)
    predictor.predict(pd.read_csv(file), tmp_path / "again.parquet")
    assert list(pd.read_parquet(tmp_path / "again.parquet").columns) == list(held.columns)
    with pytest.raises(DataError, match="already has the column 'Sol'"):
        predictor.predict(out, tmp_path / "more.csv")
    predictor.predict(out, tmp_path / "more.csv", overwrite=True)
    with pytest.raises(ConfigError, match="unknown form"):
        predictor.predict(smiles, "excel")
    assert len(predictor.predict([])) == 0
    assert predictor.embed([]).shape == (0, 32)


def test_embeddings_are_what_the_head_reads(run, frame):
    """The head on the embedding gives the prediction; a bad row is NaN."""
    import torch

    predictor = run.predictor
    states = predictor.embed([*frame["Drug"].iloc[:5], "bad_one"])
    assert states.shape == (6, predictor.task_model.width)
    assert np.isnan(states).all(axis=1).tolist() == [False] * 5 + [True]
    outputs = predictor.task_model.outputs(torch.from_numpy(states[:5]))
    np.testing.assert_allclose(
        predictor.task_model.finish(outputs)[:, 0],
        predictor.predict(list(frame["Drug"].iloc[:5]), "numpy"),
        atol=1e-5,
    )


def test_probabilities(classes, run, frame):
    """One column a class, summing to one; a task of numbers has none."""
    predictor = classes.predictor
    assert predictor.task.target.classes == ("long", "short")
    found = predictor.predict_proba([*frame["Drug"].iloc[:4], "bad_one"])
    assert list(found.columns) == ["long", "short"]
    np.testing.assert_allclose(found.iloc[:4].sum(axis=1), 1)
    assert found.iloc[4].isna().all()
    labels = predictor.predict([*frame["Drug"].iloc[:4], "bad_one"], "numpy")
    assert labels.tolist() == [*found.iloc[:4].idxmax(axis=1), None]
    with pytest.raises(ConfigError, match="predicts regression, not classes"):
        run.predictor.predict_proba(["CCO"])
    predictions = classes.predictions
    assert predictions["Kind.long"].dtype == float
    assert set(predictions["measured"]) <= {"long", "short"}


def test_loading_a_run_gives_task_tags_and_metrics(run):
    """As the run's own predictor; a copied artifact works without its run."""
    predictor = taglm.load(run.folder)
    assert predictor.task.name == "Sol"
    assert predictor.task.target.unit == "log10 mol/L"
    assert predictor.metrics == run.metrics["tasks"]["Sol"]
    assert predictor.tags["local/Sol"]["kind"] == "function"
    assert predictor.tags["chem/SMILES"]["length"] == 3
    copy = predictor.save(run.folder.parent / "copy")
    alone = taglm.load(copy)
    assert alone.metrics is None
    np.testing.assert_array_equal(
        alone.predict(["CCO"], "numpy"), predictor.predict(["CCO"], "numpy")
    )
    with pytest.raises(CheckpointError, match="no such run"):
        taglm.load(run.folder.parent / "nothing")
    with pytest.raises(ConfigError, match="writes no text"):
        taglm.load(run.folder, decode={"beams": 2})


def test_evaluate_tells_what_predict_gives(run, frame):
    """Scores of other rows, and the run's own results without any."""
    scored = taglm.evaluate(run, frame)
    found = run.predictor.predict(frame)
    mae = (found["Sol"] - frame["Y"]).abs().mean()
    split = scored.metrics["tasks"]["Sol"]["splits"]["input"]
    assert split["metrics"]["mae"] == pytest.approx(mae, abs=1e-5)
    assert len(scored.frame) == 40
    bad = pd.concat([frame, pd.DataFrame({"Drug": ["bad_one"], "Y": [1.0]})])
    skipped = taglm.evaluate(run.predictor, bad, on_error="skip").skipped
    assert [row for row, _ in skipped] == [41]
    with pytest.raises(RowError, match="row 41"):
        taglm.evaluate(run.folder, bad)
    assert taglm.evaluate(run).metrics == run.metrics


def test_html_is_escaped_and_shows_baselines(run):
    """A notebook shows metrics beside baselines, tags, task and folder."""
    page = run._repr_html_()
    assert "<td>ridge</td>" in page
    assert "<td>taglm</td>" in page
    assert str(run.folder) in page
    shown = run.predictor._repr_html_()
    assert "&lt;SMILES&gt;{smiles}" in shown
    assert "<SMILES>" not in shown
    assert "<td>ridge</td>" in shown


def test_tags_of_the_store(run):
    """Listed, shown, and as an array."""
    names = {record["tag"] for record in taglm.tags.list()}
    assert {"chem/SMILES", "local/Sol"} <= names
    (record,) = [each for each in taglm.tags.show("SMILES") if each["from"] == "store"]
    assert record["kind"] == "domain"
    rows = taglm.tags.get("SMILES")
    np.testing.assert_array_equal(
        rows, run.predictor.task_model.model.tags["chem/SMILES"].detach().numpy()
    )


def test_sample_and_identify(run, home):
    """What the commands give, as objects with a DataFrame."""
    tiny = str(home / "tiny")
    reference = home / "reference.csv"
    reference.write_text("smiles\nCCO\nc1ccccc1\n")
    with pytest.raises(ConfigError, match="Name the metrics too: moses"):
        taglm.sample("SMILES", 5, backbone=tiny, reference=reference)
    with pytest.raises(UnknownNameError, match="Did you mean 'moses'"):
        taglm.sample("SMILES", 5, backbone=tiny, metrics=["mosse"])
    drawn = taglm.sample("SMILES", 5, backbone=tiny, max_length=8)
    assert list(drawn.frame.columns) == ["smiles", "valid", "error"]
    assert len(drawn.frame) == 5
    assert drawn.report["rows"] == 5
    with pytest.raises(ConfigError, match="needs a condition"):
        taglm.sample("SMILES", 5, backbone=tiny, guidance=3)
    with_scores = taglm.sample(
        "SMILES", 5, backbone=tiny, max_length=8, metrics=["moses"], reference=reference
    )
    assert with_scores.report["metrics"]["moses"]["valid"] == with_scores.report["valid"]
    assert "<td>unique@1000</td>" in with_scores._repr_html_()
    found = taglm.identify(["CCO", "zzz"], backbone=tiny)
    assert list(found.frame["text"]) == ["CCO", "zzz"]
    assert found.report["domains"] == ["chem/SMILES"]
    for shown in (drawn, found):
        assert "<table>" in shown._repr_html_()


def test_plugins():
    """What `taglm plugins --json` lists."""
    found = taglm.plugins()
    assert "chem" in [plugin["name"] for plugin in found["plugins"]]
    assert found["failures"] == []


def test_several_tasks_are_asked_for_by_name(home, frame):
    """`run.of_task` gives one of them; nothing is guessed."""
    second = {**SOL, "name": "Kind", "target": {"kind": "classification", "columns": ["kind"]}}
    second["template"] = SOL["template"].replace("<Sol>", "<Kind>")
    del second["metrics"]
    both = taglm.run(
        {"tasks": [{"task": SOL}, {"task": second}]},
        frame,
        backbone=str(home / "tiny"),
        out=home / "both",
        **SMALL,
    )
    with pytest.raises(ConfigError, match=r"of_task\('Sol'\)"):
        _ = both.predictor
    one = both.of_task("Kind")
    assert list(one.predictor.predict(["CCO"]).columns) == [
        "Kind",
        "Kind.long",
        "Kind.short",
        "training_similarity",
        "unlike_training",
        "error",
    ]
    assert list(one.metrics["tasks"]) == ["Kind"]
    assert len(one.predictions)
    assert one.predictor.metrics == one.metrics["tasks"]["Kind"]


def test_train_leaves_no_folder(home, frame, monkeypatch, tmp_path):
    """The predictor alone; temporary files are gone."""
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    predictor = taglm.train(SOL, frame, backbone=str(home / "tiny"), **SMALL)
    assert list(tmp_path.iterdir()) == []
    assert np.isfinite(predictor.predict(["CCO"], "numpy")).all()


def test_rows_of_several_kinds_can_be_trained_on(home, frame):
    """A column of mixed kinds, which parquet lacks, is kept as text."""
    mixed = frame.assign(note=[1, "a"] * 20)
    run = taglm.run(SOL, mixed, backbone=str(home / "tiny"), out=home / "mixed", **SMALL)
    (data,) = (run.folder / "data").iterdir()
    assert pd.read_parquet(data)["note"].tolist()[:2] == ["1", "a"]


def test_progress_goes_to_the_object_that_is_given(run, frame):
    """Bars begin, advance and end."""
    seen = []
    progress = SimpleNamespace(
        start=lambda text, total: seen.append((text, total)),
        advance=lambda done, note="": seen.append(done),
        finish=lambda: seen.append("finish"),
        say=seen.append,
    )
    run.predictor.predict(frame, progress=progress)
    assert seen[0] == ("predicting", 40)
    assert 40 in seen
    assert seen[-1] == "finish"


def test_bars_of_a_notebook(capsys):
    """Tqdm draws them; the module imports without ipywidgets."""
    from taglm_core.progress import chosen_progress

    bar = chosen_progress(True)
    bar.start("training", 3)
    bar.advance(2, "loss 1")
    bar.advance(3)
    bar.finish()
    assert "training" in capsys.readouterr().err
    chosen_progress(False).start("nothing", 1)
    assert capsys.readouterr().err == ""


def test_results_can_be_pickled(run):
    """A Run is its folder, without the predictor that it has loaded."""
    assert run.predictor
    assert pickle.loads(pickle.dumps(run)).metrics == run.metrics


def test_bad_rows_in_memory_leave_no_folder(home, frame, tmp_path):
    """The message names the DataFrame and the row; fixed rows can take the same folder."""
    rows = frame.copy()
    rows.iloc[3, 0] = "bad_one"
    options = {"backbone": str(home / "tiny"), "out": tmp_path / "run", **SMALL}
    with pytest.raises(RowError, match=r"^the DataFrame: 1 of 40 rows.*\n.*row 4: ") as error:
        taglm.run(SOL, rows, **options)
    assert ".parquet" not in str(error.value)
    assert not (tmp_path / "run").exists()
    assert taglm.run(SOL, rows, **options, data__on_error="skip").folder.is_dir()
