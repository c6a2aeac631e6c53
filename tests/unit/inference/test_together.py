"""Several predictors on one backbone: one batch gives what one at a time gives."""

import numpy as np
import pytest
import torch
from artifacts import KEPT, kept_predictor

from taglm_core.api import loading
from taglm_core.errors import CheckpointError, ConfigError
from taglm_core.inference.loading import load_predictor
from taglm_core.inference.together import agreeing
from taglm_core.store.artifact import load_artifact

LETTERS = ["abca", "bbbb", "cacac", "zz", "ab" * 20, "ab" * 20]
DIGITS = ["101", "1", "1110", "1", "1011" * 9, "1"]


@pytest.fixture
def folders(tmp_path):
    """Return folders of predictors: two share tags and kind of prompt twice, others do not."""
    return {
        "Share": kept_predictor("censored", tmp_path / "share"),
        "Third": kept_predictor("censored", tmp_path / "third", "Third"),
        "Sum": kept_predictor("pair", tmp_path / "sum"),
        "Times": kept_predictor("pair", tmp_path / "times", "Times"),
        "Both": KEPT / "layers",
        "First": KEPT / "classes",  # trained symbols
        "Say": KEPT / "text",
        "Moved": kept_predictor("censored", tmp_path / "moved", "Moved", shift=0.3),
    }


@pytest.fixture
def together(folders, toy_registry, toy_backbone, monkeypatch):
    """Load all of them onto one backbone."""
    monkeypatch.setattr(loading, "load_registry", lambda: toy_registry)
    return loading.load_together(folders, str(toy_backbone), "cpu", cache="100MB")


def columns(predictor, at=slice(None)):
    """Return the rows that a predictor needs."""
    rows = {"letters": LETTERS[at], "digits": DIGITS[at], "first": [""] * len(LETTERS[at])}
    return {field: rows[field] for field in predictor.fields}


def assert_same(found, expected):
    """Demand equal columns, numbers to fp32 rounding of states, times head weights of about 200."""
    assert list(found) == list(expected)
    for name, values in expected.items():
        for one, other in zip(found[name], values, strict=True):
            assert one == (
                pytest.approx(other, rel=1e-3, abs=1e-4) if type(other) is float else other
            )


def test_one_batch_gives_what_one_at_a_time_gives(together, folders, toy_registry, toy_backbone):
    """All tasks in one call, twice, so that the second reads cached segments; bad rows as well."""
    alone = {}
    for name, folder in folders.items():
        predictor = load_predictor(
            load_artifact(folder), toy_registry, str(toy_backbone), "cpu", cache="off"
        )
        alone[name] = predictor.predict(columns(predictor), "dict")
    assert "unknown" in alone["Share"]["error"][3] or "z" in alone["Share"]["error"][3]
    data = {name: columns(together[name]) for name in together}
    for _ in range(3):
        found = together.predict(data, "dict")
        for name, expected in alone.items():
            assert_same(found[name], expected)
    assert 0 < together.cache_bytes <= together.cache_limit_bytes


def test_rows_of_two_tasks_are_one_pass(together, monkeypatch):
    """Two tasks of a kind make one call of the model's states, other kinds their own."""
    calls = []
    for predictor in together.values():
        kind = type(predictor.task_model)
    states = kind.states
    monkeypatch.setattr(
        kind,
        "states",
        lambda self, rows, *a, **k: calls.append(len(rows)) or states(self, rows, *a, **k),
    )
    parts = [(n, together.read(n, columns(together[n], slice(0, 3)))[0]) for n in together]
    together.predict_rows(parts + parts[:1])
    # Share twice and Third; Sum and Times; Both, First and Moved alone; Say writes text
    assert sorted(calls) == [3, 3, 3, 6, 9]


def test_weights_are_loaded_once_and_tags_that_differ_are_kept_apart(together, folders):
    """One backbone for all; a group for what agrees, one each for other tags or symbols."""
    models = {name: predictor.task_model.model for name, predictor in together.items()}
    assert len({id(model.backbone) for model in models.values()}) == 1
    artifacts = {name: load_artifact(folder) for name, folder in folders.items()}
    groups = agreeing(artifacts)
    assert ["Moved"] in groups
    assert ["First"] in groups
    assert models["Share"] is models["Third"] is models["Sum"] is models["Times"]
    tag = "toy/Letters"
    assert not torch.equal(models["Moved"].tags[tag], models["Share"].tags[tag])


def test_a_protein_stays_cached_between_calls(together):
    """One partner against others, a row a call: its segment is kept from the second call on."""
    pairs = together["Sum"]
    cache = pairs.task_model.prefix_cache
    protein = "1011" * 12
    values, sizes = [], []
    for letters in ("abca", "bbbb", "cacac", "ab"):
        rows = {"letters": [letters], "digits": [protein]}
        values.append(together.predict({"Sum": rows}, "dict")["Sum"]["Sum"][0])
        sizes.append(len(cache.store))
    assert sizes[0] == 0
    assert sizes[1:] == [1, 1, 1]
    pairs.task_model.prefix_cache = None
    alone = pairs.predict(
        {"letters": ["abca", "bbbb", "cacac", "ab"], "digits": [protein] * 4}, "numpy"
    )
    np.testing.assert_allclose(values, alone, rtol=1e-3, atol=1e-4)


def test_two_tasks_share_what_stands_before_their_words(together, toy_registry, toy_backbone):
    """Prompts that differ behind the span share its segment: one for each distinct row."""
    rows = {"letters": ["abca" * 8, "bbca" * 8]}
    found = together.predict({"Share": rows, "Third": rows}, "dict")
    assert len(together["Share"].task_model.prefix_cache.store) == 2
    for name in ("Share", "Third"):
        alone = load_predictor(
            together[name].artifact, toy_registry, str(toy_backbone), "cpu", cache="off"
        )
        assert_same(found[name], alone.predict(rows, "dict"))


def test_the_least_recently_used_segment_goes(together):
    """The limit holds; what was used last stays."""
    store = together["Sum"].task_model.prefix_cache.store
    proteins = ["1" + f"{i:b}".zfill(5) * 8 for i in range(4)]

    def ask(number):
        rows = {"letters": ["abc"], "digits": [proteins[number]]}
        together.predict({"Sum": rows}, "dict")

    def keys():
        return {key for storage in store.storages for key in storage._segments}

    for _ in range(2):
        ask(0)
    size = store.num_bytes
    store.storages[0].limit_bytes = int(size * 2.5)
    first = keys()
    for number in (1, 1, 0):
        ask(number)
    second = keys() - first
    assert len(second) == 1
    for number in (2, 2):
        ask(number)
    assert first <= keys()  # used after the second
    assert not second & keys()
    assert store.num_bytes <= store.limit_bytes


def test_names_and_backbones_are_checked(
    folders, toy_registry, toy_backbone, tmp_path, monkeypatch
):
    """Two of one name, none at all, another backbone: each says what to do."""
    monkeypatch.setattr(loading, "load_registry", lambda: toy_registry)
    share = folders["Share"]
    with pytest.raises(ConfigError, match="Duplicate task name 'Share'.*Share_2="):
        loading.load_together([share, share], str(toy_backbone))
    with pytest.raises(ConfigError, match="no predictor"):
        loading.load_together([], str(toy_backbone))
    two = loading.load_together({"A": share, "B": share}, str(toy_backbone), cache="off")
    assert list(two) == ["A", "B"]
    from small_runs import saved_backbone

    saved_backbone(tmp_path / "other", "llama", seed=5)
    with pytest.raises(CheckpointError, match="other"):
        loading.load_together([share], str(tmp_path / "other"))


def test_a_run_of_several_tasks_gives_each(
    folders, toy_registry, toy_backbone, tmp_path, monkeypatch
):
    """The folder of the run is enough; one name cannot stand for several."""
    monkeypatch.setattr(loading, "load_registry", lambda: toy_registry)
    for task in ("Share", "Third"):
        (tmp_path / "run" / "tasks" / task).mkdir(parents=True)
        folders[task].rename(tmp_path / "run" / "tasks" / task / "predictor")
    run = tmp_path / "run"
    assert list(loading.load_together([run], str(toy_backbone), cache="off")) == ["Share", "Third"]
    with pytest.raises(ConfigError, match="A=.*holds the tasks Share, Third.*tasks/Share"):
        loading.load_together({"A": run}, str(toy_backbone))
