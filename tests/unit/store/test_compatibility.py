"""A setting that is added later changes nothing until somebody sets it."""

import json
from pathlib import Path

import attrs
import pytest
import yaml

import taglm_core as taglm
from taglm_core.errors import CheckpointError
from taglm_core.progress import Silent
from taglm_core.specs.target import TARGETS
from taglm_core.store.fingerprint import AS_BEFORE, NO_EFFECT, fingerprint_of, lean
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.training.config import (
    DomainStageConfig,
    JobConfig,
    RunConfig,
    StagesConfig,
    TaskConfig,
    TaskStageConfig,
)
from taglm_core.training.plan import make_plans
from taglm_core.training.run import execute, resolved
from taglm_core.training.settings import check_kinds, plain_defaults, run_config

DEFAULTS = Path(__file__).parents[2] / "data" / "defaults.json"
FAST = {
    "domain": {"max_steps": 2, "num_evaluations": 1, "tag_length": 2, "batch_size": 8},
    "task": {
        "max_steps": 2,
        "num_evaluations": 1,
        "tag_length": 2,
        "batch_size": 8,
        "fit_rows": 50,
    },
}


@attrs.frozen(kw_only=True)
class LaterTask(TaskStageConfig):
    """Settings of a task with one more."""

    momentum: float = 0.9


@attrs.frozen(kw_only=True)
class LaterDomain(DomainStageConfig):
    """Settings of a domain with two more."""

    mixing: tuple[str, ...] = ()
    threads: int = attrs.field(default=1, metadata=NO_EFFECT)


@attrs.frozen(kw_only=True)
class LaterStages(StagesConfig):
    """Both."""

    domain: LaterDomain = attrs.field(factory=LaterDomain)
    task: LaterTask = attrs.field(factory=LaterTask)


@attrs.frozen(kw_only=True)
class LaterRun(RunConfig):
    """Settings of a run with those and one of its own."""

    stages: LaterStages = attrs.field(factory=LaterStages)
    mirror: str | None = None


def later(config, **changes):
    """Return a run's settings as a later version has them."""
    domain, task = (
        attrs.asdict(stage, recurse=False) for stage in (config.stages.domain, config.stages.task)
    )
    domain |= {k: v for k, v in changes.items() if k in ("mixing", "threads")}
    task |= {k: v for k, v in changes.items() if k == "momentum"}
    stages = LaterStages(domain=LaterDomain(**domain), task=LaterTask(**task))
    return LaterRun(**{**attrs.asdict(config, recurse=False), "stages": stages})


@pytest.fixture
def config(toy_backbone):
    """Return small settings of the toy task."""
    return run_config(
        "test",
        {"task": "ShareA", "backbone": str(toy_backbone), "stages": FAST, "precision": "fp32"},
    )


def test_a_new_setting_takes_what_is_stored_until_it_is_set(config, toy_registry, tmp_path):
    """Tags and task of the older version are used; other values of the setting train anew."""
    store = TagStore()
    folder = RunFolder(tmp_path / "run")
    folder.open(resolved(config), RunConfig)
    execute(make_plans(config, toy_registry, store), folder, store, Silent())
    folder.close()

    def state(changed):
        plan = make_plans(changed, toy_registry, store)[0]
        return plan.domains["Letters"].stored is not None, plan.stored_task is not None

    assert state(later(config)) == (True, True)
    assert state(later(config, threads=4)) == (True, True)
    assert state(later(config, momentum=0.5)) == (True, False)
    assert state(later(config, mixing=("x",))) == (False, False)


def test_a_new_setting_does_not_refuse_an_old_run(config, tmp_path):
    """The folder's run has the default of a setting that it did not know."""
    RunFolder(tmp_path / "run").open(resolved(config), RunConfig)
    again = RunFolder(tmp_path / "run")
    again.path.joinpath(".lock").unlink()
    with pytest.raises(CheckpointError, match=r"momentum: 0\.9 there, 0\.5 now"):
        again.open(resolved(later(config, momentum=0.5)), LaterRun)
    again.open(resolved(later(config)), LaterRun)
    again.close()


def test_a_new_setting_of_one_of_several_tasks(tmp_path):
    """Lists of settings are compared one by one, each with its own defaults."""

    @attrs.frozen(kw_only=True)
    class LaterTaskConfig(TaskConfig):
        note: str = "none"

    @attrs.frozen(kw_only=True)
    class LaterJob(JobConfig):
        task: LaterTaskConfig

    @attrs.frozen(kw_only=True)
    class LaterJobs(RunConfig):
        tasks: tuple[LaterJob, ...] = ()

    jobs = tuple(JobConfig(task=TaskConfig(name=name)) for name in ("A", "B"))
    old = RunFolder(tmp_path / "run")
    old.open(resolved(RunConfig(tasks=jobs)), RunConfig)
    old.close()
    noted = [LaterJob(task=LaterTaskConfig(name=name)) for name in ("A", "B")]
    old.open(resolved(LaterJobs(tasks=tuple(noted))), LaterJobs)
    old.close()
    noted[1] = LaterJob(task=LaterTaskConfig(name="B", note="x"))
    with pytest.raises(CheckpointError, match=r"tasks\.1\.task\.note: 'none' there, 'x' now"):
        old.open(resolved(LaterJobs(tasks=tuple(noted))), LaterJobs)


def test_a_setting_that_an_old_run_had_and_this_version_lacks_is_a_difference(config, tmp_path):
    """What is not known any more is not taken for the same."""
    folder = RunFolder(tmp_path / "run")
    folder.open(resolved(config), RunConfig)
    folder.close()
    file = tmp_path / "run" / "run.yaml"
    held = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**held, "retired": 3}))
    with pytest.raises(CheckpointError, match="retired: 3 there, None now"):
        folder.open(resolved(config), RunConfig)


def test_a_new_field_of_a_target_changes_no_fingerprint():
    """Kind and set values decide; a default is left out."""

    @attrs.frozen(kw_only=True)
    class Later(taglm.Regression):
        assay: str = "unknown"

    plain = fingerprint_of(lean(taglm.Regression(names="y")))
    assert fingerprint_of(lean(Later(names="y"))) == plain
    assert fingerprint_of(lean(Later(names="y", assay="SPR"))) != plain
    assert fingerprint_of(lean(taglm.Classification(names="y"))) != plain
    assert lean(taglm.Regression(names="y")) == {"kind": "regression", "names": ["y"]}


def test_a_default_that_changes_keeps_what_was_trained_apart():
    """With the former default named, the old value is still the one left out."""

    @attrs.frozen(kw_only=True)
    class Changed:
        epochs: float = attrs.field(default=4.0, metadata={AS_BEFORE: 3.0})

    assert lean(Changed()) == {"epochs": 4.0}
    assert lean(Changed(epochs=3.0)) == {}


def test_no_default_has_changed_unseen():
    """A default that fingerprints leave out may change only with `AS_BEFORE` in its metadata.

    `tests/data/defaults.json` holds those of the first release; a setting that is new is not in it.
    """
    pinned = json.loads(DEFAULTS.read_text())
    found = plain_defaults()
    for kind, cls in TARGETS.items():
        found |= plain_defaults(cls, f"target.{kind}.")
    wrong = {name: (value, found.get(name)) for name, value in pinned.items()}
    assert {name: pair for name, pair in wrong.items() if pair[0] != pair[1]} == {}


@pytest.mark.parametrize("kind", [float | str, list[int], tuple[int, ...], bytes, dict[int, str]])
def test_a_setting_of_an_unreadable_type_is_an_error_at_definition(kind):
    """The message names class, field and type; no user meets it."""
    inner = attrs.make_class("Inner", {"odd": attrs.field(default=None, type=kind)})
    outer = attrs.make_class("Outer", {"stage": attrs.field(factory=inner, type=inner)})
    with pytest.raises(TypeError, match=r"Inner\.odd \(stage\.odd\)"):
        check_kinds(outer)


def test_the_types_of_every_setting_can_be_read():
    """What is checked when the settings are imported."""
    check_kinds(RunConfig)
