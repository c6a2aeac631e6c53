"""What is refused at once: messages that no longer test meets on its way."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import taglm_core as taglm
from taglm_core.cli.streams import chosen_input
from taglm_core.data.assignment import apply_splitter
from taglm_core.data.config import SplitConfig
from taglm_core.data.datasets import load_dataset
from taglm_core.data.doubt import check_on_doubt
from taglm_core.data.measured import with_labels
from taglm_core.data.memory import as_table
from taglm_core.data.weights import scaled_weights
from taglm_core.errors import CheckpointError, ConfigError, DataError, PluginError, UnknownNameError
from taglm_core.inference.sample import chosen_metrics
from taglm_core.model.tags import initial_tag
from taglm_core.plugins import Registered
from taglm_core.plugins.discovery import PluginSource
from taglm_core.store.artifact import load_artifact
from taglm_core.store.fingerprint import fingerprint_of
from taglm_core.store.migrations import migrate
from taglm_core.store.runfolder import RunFolder
from taglm_core.testing import tiny_backbone
from taglm_core.training.checkpoint import load_checkpoint, save_checkpoint
from taglm_core.training.declared import configured_task
from taglm_core.training.settings import run_config
from taglm_core.training.task_settings import check_task_settings

TEXT = taglm.Text()
SOURCE = PluginSource(name="own", distribution="taglm-plugin-own", version="1.0")


def failing(*, seed, size):
    """Stand for a dataset with a fault."""
    raise ZeroDivisionError("division by zero")


def one_split(columns, seed):
    """Stand for a splitter that forgets rows."""
    return ["train"]


def several_tables():
    """Give a DatasetDict."""
    datasets = pytest.importorskip("datasets")
    return datasets.DatasetDict({"train": datasets.Dataset.from_dict({"a": [1]})})


def registered(spec):
    """Return a declaration as that of a plugin."""
    return Registered(f"own/{spec.name}", spec, SOURCE)


def split_by_plugin():
    """Apply a splitter to three rows."""
    splitter = taglm.Splitter(name="few", assign=f"{__name__}:one_split")
    task = SimpleNamespace(fields=("smiles",), span_fields=("smiles",), symmetric=())
    return apply_splitter(registered(splitter), {"smiles": ["C", "CC", "CCC"]}, task, 0)


def read_dataset():
    """Read a dataset that fails."""
    dataset = taglm.Dataset(name="odd", load=f"{__name__}:failing", columns=("a",))
    return load_dataset(registered(dataset), 0, None)


def metrics_of_a_domain_without_any():
    """Ask for one."""
    domain = SimpleNamespace(spec=SimpleNamespace(sample_metrics={}))
    return chosen_metrics(SimpleNamespace(name="own/Letters", domain=domain), ["moses"])


CASES = {
    "fold without folds": (
        lambda: SplitConfig(fold=2),
        ConfigError,
        "fold, repeats and repeat need folds=NUMBER",
    ),
    "doubt": (
        lambda: check_on_doubt("maybe"),
        ConfigError,
        "on_doubt (--on-doubt) must be raise or warn, not 'maybe'",
    ),
    "several tables": (
        lambda: as_table(several_tables()),
        DataError,
        "a DatasetDict holds several tables (train): give one",
    ),
    "no weight": (
        lambda: scaled_weights(np.zeros(3), "lab.csv"),
        DataError,
        "lab.csv: every training row has the weight 0",
    ),
    "faulty dataset": (
        read_dataset,
        PluginError,
        "dataset 'own/odd' failed: ZeroDivisionError: division by zero",
    ),
    "faulty splitter": (
        split_by_plugin,
        PluginError,
        "splitter 'own/few' gave 1 split for 3 rows",
    ),
    "no reference": (
        lambda: taglm.Dataset(name="x", load="a file", columns=("a",)),
        ConfigError,
        "load must be 'package.module:attribute', not 'a file'",
    ),
    "two classes in one target": (
        lambda: taglm.Classification(names=("a", "b")),
        ConfigError,
        "a classification target has one name, not 2 (a, b). Set multi_label",
    ),
    "no name": (
        lambda: taglm.Regression(names=()),
        ConfigError,
        "a target needs at least one name",
    ),
    "no plain data": (
        lambda: fingerprint_of(object()),
        TypeError,
        "no fingerprint of object",
    ),
    "cut artifact": (
        lambda: migrate({"format_version": 1}, "runs/a"),
        CheckpointError,
        "runs/a is damaged: config.json lacks 'tags' of format 1",
    ),
    "values and a file": (
        lambda: chosen_input(["CCO"], "new.csv"),
        ConfigError,
        "give either --input new.csv or 'CCO', not both",
    ),
    "preset": (
        lambda: run_config("run.yaml", {"task": "ShareA", "preset": "qick"}),
        ConfigError,
        "unknown preset 'qick'. Did you mean 'quick'?",
    ),
    "labels": (
        lambda: with_labels(
            SimpleNamespace(name="T", spec=SimpleNamespace(target=TEXT)), "computed"
        ),
        ConfigError,
        "labels: task T computes no target. Leave labels=computed out",
    ),
    "tag of words without words": (
        lambda: initial_tag(tiny_backbone("llama"), "local/T", 2, "words", 0, words=""),
        ConfigError,
        "tag_init=words: <local/T> has no words to start from. Use tag_init=vocabulary",
    ),
    "metrics of samples": (
        metrics_of_a_domain_without_any,
        UnknownNameError,
        "domain own/Letters: unknown metrics 'moses'. Available: none",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_is_said(name):
    """What is wrong, and what to write instead."""
    call, kind, message = CASES[name]
    with pytest.raises(kind, match=re.escape(message)):
        call()


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "config.json is damaged: it holds no mapping"), ("{", "config.json is damaged .*Copy")],
)
def test_a_damaged_artifact_is_no_traceback(content, message, tmp_path):
    """Whatever cut the file."""
    (tmp_path / "config.json").write_text(content)
    save_file({"tag:a": torch.zeros(1)}, tmp_path / "tags.safetensors")
    with pytest.raises(CheckpointError, match=message):
        load_artifact(tmp_path)


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    """A run never writes among them."""
    (tmp_path / "thesis.txt").write_text("chapter 1")
    with pytest.raises(CheckpointError, match="is not empty and holds no run.*--out"):
        RunFolder(tmp_path).open({"task": "QED"})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_checkpoint_of_other_parameters_is_refused(tmp_path):
    """Rather than half of it taken."""
    tag = torch.nn.Parameter(torch.zeros(2, 3))
    optimizer = torch.optim.AdamW([tag])
    save_checkpoint(tmp_path / "stage", [tag], optimizer, [tag.detach().clone()], {"step": 1})
    assert json.loads((tmp_path / "stage" / "state.json").read_text()) == {"step": 1}
    longer = torch.nn.Parameter(torch.ones(4, 3))
    with pytest.raises(CheckpointError, match="is a checkpoint of other parameters. Delete"):
        load_checkpoint(tmp_path / "stage", [longer], torch.optim.AdamW([longer]))
    assert (longer == 1).all()


def test_a_limit_is_for_numbers(toy_registry):
    """Classes and text have none."""
    target = {"kind": "classification", "names": ["y"]}
    task = {"name": "Own", "template": "{x} <Own>", "target": target, "censored_below": -5}
    config = run_config("run.yaml", {"task": task})
    with pytest.raises(ConfigError, match="the task Own predicts no numbers. Leave it out"):
        configured_task(config.task, toy_registry)


def test_a_registered_task_keeps_its_target(toy_registry):
    """A template makes it a task of one's own."""
    target = {"kind": "regression", "names": ["y"]}
    config = run_config("run.yaml", {"task": {"name": "ShareA", "target": target}})
    with pytest.raises(ConfigError, match="task.target is given but task.template is not"):
        configured_task(config.task, toy_registry)


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"attention": "isolated"}, {}, "isolated spans are for numeric heads"),
        (
            {"stages": {"task": {"enrich": True}}},
            {"is_cross_domain": True},
            "task T names several domain tags; in stage 3 they stay frozen",
        ),
    ],
)
def test_settings_that_do_not_fit_the_task(settings, kind, message):
    """Before a row is read or a backbone loaded."""
    config = run_config("run.yaml", {"task": "ShareA", **settings})
    task = SimpleNamespace(name="T", **{"is_numeric": False, "is_cross_domain": False, **kind})
    with pytest.raises(ConfigError, match=message):
        check_task_settings(config, task)
