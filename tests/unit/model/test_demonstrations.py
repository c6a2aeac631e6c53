"""Demonstrations: which rows are chosen, how they stand in a prompt, and what never happens."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_runs import DOSED, PLAIN, SHARE, run, write_table

from taglm_core.data.answers import answer_texts, decimals_of
from taglm_core.errors import ConfigError, RowError
from taglm_core.inference.loading import load_predictor
from taglm_core.model.demonstrations import with_demonstrations
from taglm_core.specs import Classification, Regression
from taglm_core.specs.prompt import parse_template
from taglm_core.store.artifact import find_artifact, load_artifact
from taglm_core.training.settings import run_config
from taglm_core.training.splits import _check_usable

FEW = {"few_shot": 2, "head": "linear", "features": "off"}


@pytest.fixture
def table(tmp_path):
    """Write strings and targets; some strings stand there twice."""
    file = write_table(tmp_path)
    header, *lines = file.read_text().splitlines()
    file.write_text("\n".join([header, *lines, *lines[:20]]) + "\n")
    return file


def trained(tmp_path, toy_registry, toy_backbone, table, template=PLAIN, **settings):
    """Run the task with demonstrations."""
    own = {**FEW, **settings}
    return run(tmp_path, toy_registry, toy_backbone, table, SHARE, template, **own)


def rows_of(predictor):
    """Return the strings that demonstrations are chosen from."""
    return list(predictor.task_model.demonstrations.record.fields["letters"])


def test_a_prompt_begins_with_rows_and_their_answers():
    """Each demonstration has fields of its own; the query and the function tag come last."""
    prompt = parse_template("Of <Letters>{letters} at {dose}<T>", "T")
    shown = with_demonstrations(prompt, 2)
    fields = [part.field for part in shown.parts if hasattr(part, "field")]
    assert fields == ["letters#0", "dose#0", "#0", "letters#1", "dose#1", "#1", "letters", "dose"]
    assert with_demonstrations(prompt, 0).parts == prompt.parts


def test_similar_rows_are_chosen_and_never_the_row_itself(
    tmp_path, toy_registry, toy_backbone, table
):
    """A training row sees neither itself nor its duplicate, the nearest stands last."""
    found = trained(tmp_path, toy_registry, toy_backbone, table)
    shown = found.predictor.task_model.demonstrations
    pool = rows_of(found.predictor)
    assert len(pool) == len(set(pool))  # each input once
    chosen = shown.choose({"letters": pool})
    assert chosen.shape == (len(pool), 2)
    assert not (chosen == np.arange(len(pool))[:, None]).any()
    counts = np.array([[row.count(letter) for letter in "abc"] for row in pool], dtype=float)
    for row, (far, near) in enumerate(chosen):
        products = counts @ counts[row]
        alike = products / ((counts**2).sum(1) + (counts[row] ** 2).sum() - products)
        alike[row] = -1
        assert alike[near] == pytest.approx(alike.max(), abs=1e-4)
        assert alike[far] <= alike[near] + 1e-4
    # alone and in a batch
    alone = [shown.choose({"letters": [row]})[0].tolist() for row in pool[:5]]
    assert alone == chosen[:5].tolist()


def test_another_spelling_of_a_row_does_not_see_it(
    tmp_path, toy_registry, toy_backbone, table, monkeypatch
):
    """Augmented rows get the demonstrations of the row that they are."""
    from taglm_core.model import demonstrations

    seen = []
    choose = demonstrations.Demonstrations.choose

    def noted(self, fields):
        seen.append(list(fields["letters"]))
        return choose(self, fields)

    monkeypatch.setattr(demonstrations.Demonstrations, "choose", noted)
    trained(tmp_path, toy_registry, toy_backbone, table, augment=1)
    train, augmented = seen[0], seen[1]
    assert set(augmented) <= set(train)  # not their reversed spellings


@pytest.mark.parametrize(
    ("template", "by"), [(PLAIN, "similar"), (DOSED, "random"), ("{letters} gives <T>", "similar")]
)
def test_a_fresh_predictor_gives_the_same_numbers(
    tmp_path, toy_registry, toy_backbone, table, template, by
):
    """The rows are in the artifact; one row alone, and without the cache, is predicted the same."""
    found = trained(tmp_path, toy_registry, toy_backbone, table, template, few_shot_by=by)
    folder = find_artifact(found.folder)
    record = json.loads((folder / "config.json").read_text())["task"]["demonstrations"]
    assert (record["count"], record["choice"]) == (2, by)
    assert len(record["answers"]) == len(record["fields"]["letters"])
    inputs = {"letters": ["abca", "zz", "bbcb"], "dose": ["1.5", "1", "0"]}
    first = found.predictor.predict(inputs, "dict")
    again = load_predictor(load_artifact(folder), toy_registry)
    again.task_model.prefix_cache = None
    second = again.predict(inputs, "dict")
    assert second["error"] == first["error"]
    assert (first["error"][1] is None) == ("<Letters>" not in template)  # z is no letter of theirs
    for i in (0, 2):
        assert second["T"][i] == pytest.approx(first["T"][i], abs=1e-5)
        alone = again.predict({name: [values[i]] for name, values in inputs.items()}, "dict")
        assert alone["T"] == [pytest.approx(first["T"][i], abs=1e-5)]


def test_spans_of_demonstrations_are_cached_once(tmp_path, toy_registry, toy_backbone, table):
    """Rows on cached segments read what whole rows do, and a span is computed once for all."""
    found = trained(tmp_path, toy_registry, toy_backbone, table)
    model = found.predictor.task_model
    fields = {"letters": rows_of(found.predictor)[:12]}
    rows = model.assemble(fields)
    assert int(max(spans.max() for spans in rows.spans)) == 3
    assert model.prefix_cache is not None
    cached = model.prefix_cache.rows(rows, True, 8192)
    segments = cached.segments
    spans = [k for k, kind in enumerate(segments.kinds) if kind == "span"]
    assert len(spans) == 2  # the second demonstration and the row; the first is in `first`
    number = len({int(i) for k in spans for i in segments.ids[:, k]})
    assert number < 24  # some demonstration serves several rows
    cached.fill()
    states, suffixes = cached.states(np.arange(12))
    read = model.pooling.of_states(states, suffixes.read)
    model.prefix_cache = None
    torch.testing.assert_close(read.float().cpu(), model.states(rows), rtol=1e-3, atol=1e-4)


def test_what_the_tag_attends_to_is_that_of_the_row(tmp_path, toy_registry, toy_backbone, table):
    """The weights of a row's own symbols stand under its field, those of others are summed."""
    predictor = trained(tmp_path, toy_registry, toy_backbone, table).predictor
    (record,) = predictor.insight.attention({"letters": ["abcab"]})
    assert record["fields"]["letters"]["symbols"] == list("abcab")
    shares = [record[key] for key in ("demonstrations", "text", "domain_tags", "function_tag")]
    assert sum(shares) + sum(record["fields"]["letters"]["weights"]) == pytest.approx(1, abs=1e-3)
    assert record["demonstrations"] > 0


def test_too_few_rows_and_too_many_demonstrations_are_named(
    tmp_path, toy_registry, toy_backbone, table
):
    """Both are said before anything is trained."""
    with pytest.raises(ConfigError, match="few_shot must be at most 16, not 40"):
        trained(tmp_path, toy_registry, toy_backbone, table, few_shot=40)
    header, *lines = table.read_text().splitlines()
    table.write_text("\n".join([header, *lines[:12]]) + "\n")
    with pytest.raises(ConfigError, match="few_shot=16 needs more training rows"):
        trained(tmp_path, toy_registry, toy_backbone, table, few_shot=16)


def test_answers_are_short_and_tell_values_apart():
    """Decimals follow the spread of the values; what is missing is a question mark."""
    assert decimals_of(np.array([300.1, 300.6, 301.4])) == 3
    assert decimals_of(np.array([1e-9, 3e-9])) is None
    target = Regression(names=("a", "b"))
    values = np.array([[300.12, 0.0], [301.9, np.nan], [305.0, 90.0]])
    assert answer_texts(target, values, ()) == ["300.12, 0.0", "301.90, ?", "305.00, 90.0"]
    labels = Classification(names=("a", "b"), multi_label=True)
    assert answer_texts(labels, np.array([[1, 0], [-1, 1]]), ()) == ["1, 0", "?, 1"]
    assert answer_texts(Classification(names=("a",)), np.array([1]), ("no", "yes")) == ["yes"]


def test_rows_that_demonstrations_make_too_long_say_so():
    """Shorter rows are not the only way out."""
    config = run_config("test", {"task": "T", "stages": {"task": {"few_shot": 4}}})
    rows = type("Rows", (), {"source": "rows.csv", "__len__": lambda self: 2})()
    plan = SimpleNamespace(config=config, rows=rows)
    with pytest.raises(RowError, match=r"too long: 900 tokens[^$]*stages\.task\.few_shot"):
        _check_usable(plan, {}, [(1, "too long: 900 tokens, but the backbone takes 256")])
