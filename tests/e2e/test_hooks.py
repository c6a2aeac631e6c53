"""Every hook does what its page says: the page's own plugin, installed and used in a real run."""

import csv
import inspect
import json
import re
from pathlib import Path

import pytest
from broken_plugins import Package, call, write_distribution
from program import call_here

from taglm_core.plugins.implementations import SPECIFIED
from taglm_core.specs import StageStarted

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", re.S)


@pytest.mark.parametrize("hook", SPECIFIED)
def test_every_hook_has_a_test_of_its_behaviour(hook):
    """A new hook without a test marked with its name fails here."""
    marks = re.findall(r"pytest\.mark\.hook\(\"(\w+)\"\)\ndef test_", Path(__file__).read_text())
    assert hook in marks


def test_no_test_is_marked_with_a_hook_that_is_not():
    """The marks follow renamed hooks."""
    marks = re.findall(r"pytest\.mark\.hook\(\"(\w+)\"\)\ndef test_", Path(__file__).read_text())
    assert set(marks) == set(SPECIFIED)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install the plugin of the hooks page; give the folder that holds it."""
    text = (ROOT / "docs" / "reference" / "hooks.md").read_text()
    package = Package(
        kind="mydna",
        entry_points="[taglm]\nmydna = mydna\n",
        modules=(("mydna", "\n\n".join(BLOCK.findall(text))),),
    )
    return write_distribution(tmp_path_factory.mktemp("mydna"), package)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Save a tiny backbone where the plugin finds it."""
    from small_runs import saved_backbone

    folder = tmp_path_factory.mktemp("weights")
    saved_backbone(folder, "llama")
    return folder


@pytest.fixture(scope="module")
def listing(installed):
    """What `taglm plugins` says of the plugin."""
    found = json.loads(call("plugins", "--json", folders=[installed]))
    assert [f for f in found["failures"] if f["plugin"] == "mydna"] == []
    (own,) = [plugin for plugin in found["plugins"] if plugin["name"] == "mydna"]
    return own["registers"]


@pytest.fixture(scope="module")
def trained_words():
    """Return backbone and settings of the run."""
    settings = [
        "data.size=120",
        "task.prompt=short",
        "stages.domain.size=60",
        "stages.domain.max_steps=2",
        "stages.task.max_steps=2",
        "stages.task.head=two_layer",
        "precision=fp32",
    ]
    return ["--backbone", "mine", *(word for value in settings for word in ("--set", value))]


@pytest.fixture(scope="module")
def run(installed, weights, trained_words, tmp_path_factory):
    """Run the plugin's task with everything that it registers; give the run folder."""
    place = tmp_path_factory.mktemp("run")
    call_here(
        *("run", "GC", *trained_words, "--out", place / "run", "--log-to", "lines"),
        folders=[installed],
        TAGLM_HOME=place / "home",
        MYDNA_WEIGHTS=weights,
    )
    return place / "run"


@pytest.fixture(scope="module")
def metrics(run):
    """Contents of metrics.json."""
    return json.loads((run / "metrics.json").read_text())


@pytest.fixture(scope="module")
def artifact(run):
    """Settings of the trained predictor."""
    return json.loads((run / "predictor" / "config.json").read_text())


@pytest.mark.hook("register_domains")
def test_a_domain_is_encoded_by_its_own_encoder(listing, artifact):
    """Tag and alphabet of the plugin's domain are in the predictor."""
    assert listing["domains"] == ["DNA"]
    assert artifact["domains"]["mydna/DNA"]["alphabet"]["symbols"] == ["A", "C", "G", "T"]
    assert "mydna/DNA" in artifact["tags"]


@pytest.mark.hook("register_tasks")
def test_a_task_is_run_with_its_computed_labels(listing, run):
    """The measured values are the GC content of the rows."""
    assert listing["tasks"] == ["GC"]
    rows = list(csv.DictReader((run / "predictions" / "test.csv").open()))
    assert rows
    for row in rows:
        share = sum(letter in "GC" for letter in row["dna"]) / len(row["dna"])
        assert float(row["gc.computed"]) == pytest.approx(share)


@pytest.mark.hook("register_templates")
def test_a_prompt_replaces_the_template(listing, artifact):
    """The predictor holds the prompt that was asked for."""
    assert listing["templates"] == ["GC.short"]
    assert artifact["task"]["spec"]["prompt"] == "<DNA>{dna}<GC>"


@pytest.mark.hook("register_datasets")
def test_a_dataset_gives_the_rows(listing, metrics):
    """Task and stage 1 read the plugin's rows, as many as asked for."""
    assert listing["datasets"] == ["random"]
    task = metrics["tasks"]["GC"]
    assert task["source"] == "mydna/random"
    assert sum(task["splits"][split]["rows"] for split in ("train", "valid", "test")) == 120
    assert task["stages"][0]["corpus"] == "mydna/random"


@pytest.mark.hook("register_metrics")
def test_a_metric_is_computed(metrics, run):
    """The plugin's formula, worked out again from the predictions."""
    rows = list(csv.DictReader((run / "predictions" / "test.csv").open()))
    errors = [float(row["GC"]) - float(row["gc.computed"]) for row in rows]
    found = metrics["tasks"]["GC"]["splits"]["test"]["metrics"]["bias"]
    assert found == pytest.approx(abs(sum(errors) / len(errors)), abs=1e-4)


@pytest.mark.hook("register_heads")
def test_a_head_is_trained_and_stored(run):
    """The parameters of both layers are in the predictor, with the names of the module."""
    from safetensors.numpy import load_file

    held = load_file(run / "predictor" / "tags.safetensors")
    shapes = {name: value.shape for name, value in held.items() if name.startswith("head:")}
    assert shapes["head:0.weight"] == (32, 32)
    assert shapes["head:2.weight"] == (1, 32)


@pytest.mark.hook("register_splitters")
def test_a_split_decides_the_splits(metrics, run):
    """Both strands of a molecule stay in one split, and the rule is recorded."""
    assert metrics["tasks"]["GC"]["split"] == "mydna/strand"
    splits = {row["split"] for row in csv.DictReader((run / "split.csv").open())}
    assert splits == {"train", "valid", "test"}


@pytest.mark.hook("register_backbones")
def test_a_backbone_is_loaded_by_its_short_name(metrics, artifact):
    """The function of the plugin named the folder."""
    assert metrics["backbone"]["name"] == "mine"
    assert artifact["backbone"]["fingerprint"]["shape"].startswith("llama/32/2/4/")


@pytest.mark.hook("register_commands")
def test_a_command_is_listed_and_called(installed):
    """By its word and by its full name."""
    assert "Print the GC content." in call("--help", folders=[installed])
    assert call("gc", "ACGG", folders=[installed]) == "0.75\n"
    assert call("mydna/gc", "AAAA", folders=[installed]) == "0.0\n"


@pytest.mark.hook("on_rows_loaded")
def test_what_a_plugin_finds_in_the_rows_is_kept(run):
    """Every row of the page's dataset has twenty letters, which its plugin calls short."""
    rows = len((run / "split.csv").read_text().splitlines()) - 1
    assert json.loads((run / "data_check.json").read_text())["mydna"] == {"short": rows}


@pytest.mark.hook("on_stage_started")
def test_stages_are_announced_once_each(run):
    """Stage 1 with its tag, stage 2 with tag and head."""
    first, second = (run / "stages.txt").read_text().splitlines()
    assert first == f"stage 1 <mydna/DNA> {10 * 32}"
    assert second.startswith("stage 2 <mydna/GC> for GC ")
    assert int(second.split()[-1]) == 10 * 32 + (32 * 32 + 32) + (32 + 1)
    said = [line.rpartition(" ")[0] for line in (first, second)]
    wanted = [said[0].replace("mydna/DNA", "chem/SMILES"), said[1].replace("mydna/GC", "chem/QED")]
    examples = re.findall(r'"(stage [^"]+)"', inspect.getsource(StageStarted))
    assert examples == [wanted[0], wanted[1].replace("for GC", "for QED")]


@pytest.mark.hook("register_readers")
def test_a_file_of_the_plugins_format_is_predicted(listing, run, installed, weights, tmp_path):
    """The extension is known wherever a table is read."""
    assert listing["readers"] == ["dna"]
    (tmp_path / "in.dna").write_text("ACGTACGTAC\nGGGGGGGG\n")
    call_here(
        *("predict", run, "-i", tmp_path / "in.dna", "-o", tmp_path / "out.csv"),
        folders=[installed],
        MYDNA_WEIGHTS=weights,
    )
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [row["dna"] for row in rows] == ["ACGTACGTAC", "GGGGGGGG"]
    assert all(row["GC"] and not row["error"] for row in rows)


@pytest.mark.hook("register_loggers")
def test_a_logger_hears_of_steps_scores_and_results(listing, run, metrics):
    """Each step of both stages, each evaluation, and the scores of metrics.json at the end."""
    assert listing["loggers"] == ["lines"]
    *steps, last = (run / "lines.txt").read_text().splitlines()
    said = [line.split() for line in steps]
    for stage in ("DNA", "GC"):
        losses = [step for name, step, what, _ in said if (name, what) == (stage, "train_loss")]
        assert losses == ["1", "2"]
    scores = [value for name, _, what, value in said if (name, what) == ("GC", "valid_mae")]
    assert len(scores) == len(metrics["tasks"]["GC"]["stages"][-1]["history"])
    assert any(what == "valid_mae_of_best_baseline" for _, _, what, _ in said)
    assert last.endswith(" results")
    assert int(last.split()[0]) >= 6


@pytest.mark.hook("register_engines")
def test_an_engine_runs_the_parts_of_a_prediction(listing, run, installed, weights, tmp_path):
    """Its workers hold the predictor and are called once for each part, with the same result."""
    assert listing["engines"] == ["diary"]
    (tmp_path / "in.csv").write_text("dna\nACGTACGTAC\nNNNN\nACGGACGTAC\n")
    words = ("predict", run, tmp_path / "in.csv", "--chunk-rows", "2", "-o")
    parts = ("--engine", "diary", "--address", tmp_path / "calls.txt")
    for name, more in (("here.csv", ()), ("parts.csv", parts)):
        call_here(*words, tmp_path / name, *more, folders=[installed], MYDNA_WEIGHTS=weights)
    assert (tmp_path / "parts.csv").read_text() == (tmp_path / "here.csv").read_text()
    calls = (tmp_path / "calls.txt").read_text().split()
    assert calls == ["facts", "limits", "predict", "predict"]


@pytest.mark.hook("register_tag_folders")
def test_a_tag_of_the_plugin_is_used_by_a_run_elsewhere(
    listing, run, installed, weights, tmp_path, trained_words
):
    """Another machine has an empty store: the run takes the packaged tag and trains no stage 1."""
    assert listing["tag_folders"] == ["trained"]
    call_here(
        *("run", "GC", *trained_words, "--out", tmp_path / "run"),
        folders=[installed],
        TAGLM_HOME=tmp_path / "home",
        MYDNA_WEIGHTS=weights,
        MYDNA_TAGS=run.parent / "home" / "tags",
    )
    stage = json.loads((tmp_path / "run" / "metrics.json").read_text())["tasks"]["GC"]["stages"][0]
    assert stage["from_package"] == "taglm-broken-mydna 7.1"
    assert not (tmp_path / "home" / "tags" / "mydna").exists()


@pytest.mark.hook("register_baselines")
def test_a_baseline_stands_beside_the_result(listing, metrics):
    """The plugin's baseline is scored by the task's metrics, and its seconds are written."""
    assert listing["baselines"] == ["median"]
    task = metrics["tasks"]["GC"]
    found = task["splits"]["test"]["baselines"]["median"]
    assert set(found) == {"mae", "bias"}
    assert 0 < found["mae"] < 0.5
    assert task["baselines"]["median"]["fit_seconds"] >= 0


@pytest.mark.hook("on_evaluated")
def test_an_evaluation_carries_rows_and_predictions(run):
    """The plugin finds the row that is predicted worst, as the predictions file has it."""
    rows = list(csv.DictReader((run / "predictions" / "test.csv").open()))
    worst = max(rows, key=lambda row: abs(float(row["GC"]) - float(row["gc.computed"])))
    assert (run / "worst.txt").read_text() == worst["dna"]


@pytest.mark.hook("on_run_finished")
def test_the_end_is_announced_when_everything_is_written(run):
    """The event carries the tasks of metrics.json."""
    assert (run / "done.txt").read_text() == "GC"


def test_predicting_needs_nothing_but_the_plugin(run, installed, weights, tmp_path):
    """Head, prompt and encoder are found again in a fresh process."""
    (tmp_path / "in.csv").write_text("dna\nACGTACGTAC\nNNNN\n")
    call(
        *("predict", run, "-i", tmp_path / "in.csv", "-o", tmp_path / "out.csv"),
        folders=[installed],
        MYDNA_WEIGHTS=weights,
    )
    good, bad = csv.DictReader((tmp_path / "out.csv").open())
    assert float(good["GC"])
    assert not good["error"]
    assert "not DNA" in bad["error"]
    assert not bad["GC"]
