"""Reading settings: YAML, presets, overrides, and every mistake at once."""

from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest

from taglm_core.api.tables import check_known
from taglm_core.errors import ConfigError, PluginError, UnknownNameError
from taglm_core.plugins import load_registry
from taglm_core.store.tagstore import TagStore
from taglm_core.training import plan
from taglm_core.training.declared import configured_task
from taglm_core.training.settings import parse_overrides, read_run_file, run_config

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))

ESOL = """
task:
  name: ESOL
  function_tag: ESOL
  template: "The SMILES of the molecule is <SMILES>{smiles}. Its solubility is <ESOL>"
  target: {kind: regression, columns: [Y], unit: "log10 mol/L"}
  metrics: [rmse, mae, r2]
data: {file: esol.csv, columns: {smiles: Drug}, split: {column: split}}
backbone: nano
stages: {domain: {epochs: 1}, task: {epochs: 20, enrich: false}}
seed: 0
"""


def test_the_shape_of_a_run_file(tmp_path):
    """The documented run file is read into the settings."""
    file = tmp_path / "esol.yaml"
    file.write_text(ESOL)
    config = run_config("esol.yaml", read_run_file(file))
    assert config.task.target.columns == ("Y",)
    assert config.data.split.column == "split"
    assert config.stages.task.epochs == 20
    assert config.stages.domain.tag_length == 10


def test_a_task_may_be_a_plain_name():
    """`task: QED` names a registered task."""
    assert run_config("x", {"task": "QED"}).task.name == "QED"


def test_later_layers_win_over_earlier_and_the_preset():
    """Preset, file, flags and --set are laid over each other."""
    config = run_config(
        "x", {"task": "QED", "preset": "paper"}, parse_overrides(["stages.task.epochs=7", "seed=3"])
    )
    assert config.stages.task.enrich is True
    assert config.stages.task.lr == 1e-4
    assert config.stages.task.epochs == 7
    assert config.seed == 3


def test_all_mistakes_are_shown_together():
    """Unknown keys name the nearest known one; wrong values say what was expected."""
    with pytest.raises(ConfigError) as found:
        run_config(
            "run.yaml",
            {
                "task": {"name": "X", "tempalte": "a"},
                "stages": {"task": {"epochs": "many", "enrich": 1}},
                "sead": 1,
            },
        )
    message = str(found.value)
    assert "unknown key 'task.tempalte'. Did you mean 'template'?" in message
    assert "unknown key 'sead'. Did you mean 'seed'?" in message
    assert "'stages.task.epochs' must be a number, not 'many'" in message
    assert "'stages.task.enrich' must be true or false, not 1" in message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task": "X", "stages": {"task": {"epochs": 0}}}, "x: stages.task.epochs must be above 0"),
        (
            {"tasks": ["X", {"task": "Y", "data": {"size": -1}}]},
            "x: tasks.1.data.size must be above 0, not -1",
        ),
        ({"task": "X", "stages": {"domain": {"warmup_ratio": 2}}}, "must be between 0 and 1"),
        ({"task": "X", "stages": {"task": {"weight_decay": -1.0}}}, "task.weight_decay must not"),
        ({"task": "X", "attention": "sideways"}, "attention must be one of"),
        ({"task": "X", "preset": "papr"}, "Did you mean 'paper'"),
        ({"task": "X", "data": {"split": {"method": "a", "column": "b"}}}, "give one of"),
        ({}, "the key 'task' is missing"),
        ({"task": "X", "seed": -1}, "seed must be a whole number from 0 to 4294967295, not -1"),
        ({"task": "X", "seed": 2**32}, "seed must be a whole number from 0"),
        ({"task": "X", "seeds": [0, 2**32]}, "seeds: each must be a whole number from 0"),
        ({"task": "X", "stages": {"domain": {"seed": -1}}}, "seed must be a whole number from 0"),
        ({"task": "X", "decode": {"seed": -1}}, "seed must be a whole number from 0"),
        ({"task": "X", "data": "file.csv"}, "'data' must be a mapping"),
    ],
)
def test_values_are_checked_where_they_belong(values, message):
    """Each class checks its own values."""
    with pytest.raises(ConfigError, match=message):
        run_config("x", values)


def test_mistakes_of_several_classes_are_shown_together():
    """Each with its key, since several classes have a setting of this name."""
    stages = {"domain": {"batch_size": -1}, "task": {"batch_size": 0}}
    with pytest.raises(ConfigError) as found:
        run_config("x", {"task": "X", "stages": stages})
    assert str(found.value) == (
        "x: stages.domain.batch_size must be above 0, not -1.\n"
        "  stages.task.batch_size must be above 0, not 0."
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "nowhere"}, "unknown backbone 'nowhere'"),
        ({"data": {"split": {"method": "randon"}}}, "unknown splitter 'randon'"),
        ({"baselines": "rigde"}, "unknown baseline 'rigde'"),
    ],
)
def test_unknown_names_are_found_before_rows_are_read(
    settings, message, toy_registry, toy_backbone, monkeypatch
):
    """To make the rows of a dataset may take minutes."""
    monkeypatch.setattr(plan, "load_task_rows", None)  # a call fails
    config = run_config("x", {"task": "ShareA", "backbone": str(toy_backbone)}, settings)
    with pytest.raises(UnknownNameError, match=message):
        plan.make_plans(config, toy_registry, TagStore())


def test_a_declared_task_needs_its_template(toy_registry):
    """`prompt` sounds like it, but names a variant of a registered task."""
    task = {"name": "Own", "prompt": "{letters} <Own>", "target": {"kind": "regression"}}
    with pytest.raises(ConfigError, match=r"task.template is missing: Own .* task.prompt names"):
        configured_task(run_config("x", {"task": task}).task, toy_registry)
    with pytest.raises(UnknownNameError, match="unknown task 'Own'"):
        configured_task(run_config("x", {"task": "Own"}).task, toy_registry)
    check_known({"task": task}, {"letters": ["a"]}, None, [], toy_registry)  # said there


def test_overrides_read_numbers_as_yaml_does_not():
    """1e-4 is a number, though YAML 1.1 calls it text."""
    assert parse_overrides(["a.b=1e-4", "a.c=true", "a.d=x"]) == {
        "a": {"b": 1e-4, "c": True, "d": "x"}
    }
    with pytest.raises(ConfigError, match="key=value"):
        parse_overrides(["nothing"])


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_shipped_run_files_are_read(file):
    """Every example is a run file without a mistake."""
    config = run_config(file.name, read_run_file(file))
    # one that names a registered task is called after its data
    tasks = [job.task for job in config.jobs()]
    assert len(tasks) > 1 or tasks[0].template is None or config.name.lower() == file.stem


def test_a_task_may_bring_settings(toy_registry):
    """They lie under everything that a run says, and go where it names another head."""
    task = attrs.evolve(
        toy_registry.tasks.get("ShareA").spec,
        settings={"head": "mlp", "head_options": {"units": 3}, "max_steps": 7},
    )
    registered = attrs.evolve(toy_registry.tasks.get("ShareA"), spec=task)
    registry = SimpleNamespace(tasks=SimpleNamespace(get=lambda name: registered))

    def stage(*layers):
        return run_config("x", {"task": "ShareA"}, *layers, registry=registry).stages.task

    def own(**values):
        return {"stages": {"task": values}}

    alone = stage()
    assert (alone.head, alone.head_options, alone.max_steps) == ("mlp", {"units": 3}, 7)
    assert stage(own(max_steps=9)).max_steps == 9
    assert stage(own(epochs=2.0)).max_steps is None
    linear = stage(own(head="linear"))
    assert (linear.head, linear.head_options, linear.max_steps) == ("linear", {}, None)
    paper = stage({"preset": "paper"})
    assert (paper.head, paper.pooling, paper.max_steps) == ("linear", "last", None)
    declared = {"task": {"name": "ShareA", "target": {"kind": "regression", "columns": ["y"]}}}
    assert stage(declared).head == "auto"
    assert run_config("x", {"task": "ShareA"}).stages.task.head == "auto"
    task = attrs.evolve(task, settings={"hed": "mlp"})
    registered = attrs.evolve(registered, spec=task)
    with pytest.raises(PluginError, match="ShareA, settings: unknown key 'hed'.*head"):
        stage()


@pytest.mark.parametrize("name", ["BA", "DC"])
def test_pairs_bring_a_head_with_hidden_layers(name):
    """`taglm run BA` needs no run file for that."""
    registry = load_registry()
    if name not in [task.short for task in registry.tasks]:
        pytest.skip(f"the plugin that gives {name} is not installed")
    assert run_config("x", {"task": name}, registry=registry).stages.task.head == "mlp"


def test_the_accurate_preset_trains_three_adapters_on_all_rows():
    """What the user sets still wins."""
    config = run_config("x", {"task": "QED", "preset": "accurate"})
    task = config.stages.task
    assert (task.tag, task.ensemble, task.rows, task.valid_rows) == ("adapter", 3, None, None)
    fewer = {"task": "QED", "preset": "accurate", "stages": {"task": {"ensemble": 1}}}
    assert run_config("x", fewer).stages.task.ensemble == 1
