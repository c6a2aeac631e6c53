"""Writing outputs: every way of decoding, alone and in a batch, with and without a kept prefix."""

import attrs
import numpy as np
import pytest
import torch
import toy_plugin

from taglm_core.errors import ConfigError
from taglm_core.model.collate import collate
from taglm_core.model.generation import write
from taglm_core.model.sampling import RowDraws, row_seed
from taglm_core.model.symbols import symbol_rows
from taglm_core.model.tag_forms import inner_tensors
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.tags import initial_tag
from taglm_core.model.targets import Scaling
from taglm_core.model.taskmodel import TaskModel, build_assembler
from taglm_core.plugins.resolved import resolve_task
from taglm_core.specs import Decoding, Task, Text
from taglm_core.testing import tiny_backbone

WORDS = ["abc", "cab", "bbbbbbbbb", "a", "aab", "bcacbabca"]


def text_task(
    registry,
    architecture="llama",
    template="Letters: <Letters>{letters} so <T>{answer}",
    form="input",
):
    """Return a text task with untrained tags on a tiny random backbone.

    A function tag that acts in the layers does so by random numbers.
    """
    spec = Task(name="T", function_tag="T", template=template, target=Text(max_new_tokens=12))
    task = resolve_task(spec, "toy", registry)
    model = TaggedModel(tiny_backbone(architecture))
    encoder = toy_plugin.LettersEncoder()
    model.add_table("toy/Letters", symbol_rows(model.backbone, encoder.spellings))
    for name in ("toy/Letters", "toy/T"):
        model.add_tag(name, initial_tag(model.backbone, name, 5, "vocabulary", 0))
    inner = inner_tensors(model.backbone, form, "toy/T", 2, 0)
    generator = torch.Generator().manual_seed(1)
    for value in inner.values():
        value += torch.randn(value.shape, generator=generator)
    model.set_tag("toy/T", model.tags["toy/T"].detach(), inner)
    names = {"Letters": "toy/Letters"}
    assembler = build_assembler(task, model, {"toy/Letters": encoder}, False, names, names)
    return TaskModel(
        task=task,
        model=model,
        assembler=assembler,
        is_isolated=False,
        head=None,
        scaling=Scaling.plain(0),
    )


def by_hand(task_model, rows, limit):
    """Decode greedily without a cache and without a batch."""
    backbone = task_model.model.backbone
    found = []
    for i in range(len(rows)):
        ids = list(rows.ids[i])
        written = []
        while len(written) < limit:
            row = attrs.evolve(rows.select([i]), ids=[np.array(ids)], spans=[np.zeros(len(ids))])
            states = task_model.model.hidden_states(collate(row, [0], False))
            token = int(backbone.logits(states[0, -1]).argmax())
            if token == backbone.end_id:
                break
            written.append(token)
            ids.append(token)
        found.append(written)
    return found


HOW = {
    "greedy": Decoding(),
    "beam": Decoding(how="beam", beams=3),
    "sample": Decoding(how="sample", temperature=0.8, top_p=0.9, seed=3),
}


@pytest.mark.parametrize(
    ("architecture", "form"),
    [
        ("llama", "input"),
        ("gpt2", "input"),
        ("gemma", "input"),
        ("qwen3", "input"),
        ("llama", "adapter"),
        ("gpt2", "adapter"),
    ],
)
@torch.no_grad()
def test_greedy_equals_a_loop_without_cache(architecture, form, toy_registry):
    """The public generate with a kept prefix gives what whole forward passes give."""
    task_model = text_task(toy_registry, architecture, form=form)
    rows = task_model.assemble({"letters": WORDS})
    assert task_model.assembler.prefix_length == len("Letters: ") + 5
    expected = by_hand(task_model, rows, 6)
    for prefix_length in (0, task_model.assembler.prefix_length):
        assert write(task_model.model, rows, Decoding(), 6, prefix_length) == expected


@pytest.mark.parametrize(("how", "form"), [*((how, "input") for how in HOW), ("beam", "adapter")])
def test_a_row_is_written_alike_alone_and_in_any_batch(how, form, toy_registry):
    """Padding, neighbors, their order and the kept prefix change nothing."""
    task_model = text_task(toy_registry, form=form)
    task_model.decoding = HOW[how]
    rows = task_model.assemble({"letters": WORDS})
    together = task_model.write(rows, 10)
    assert len(set(together)) > 1
    alone = [task_model.write(rows.select([i]), 10)[0] for i in range(len(WORDS))]
    assert alone == together
    assert task_model.write(rows.select([5, 2, 0]), 10) == [together[i] for i in (5, 2, 0)]
    assert task_model.write(rows, 10, max_tokens=60) == together


def test_beams_find_a_sequence_at_least_as_probable_as_greedy(toy_registry):
    """With equal lengths the best of several hypotheses is never less likely."""
    task_model = text_task(toy_registry)
    rows = task_model.assemble({"letters": WORDS})
    forced = {"min_new_tokens": 5}
    scores = []
    for decoding in (Decoding(**forced), Decoding(how="beam", beams=6, **forced)):
        written = write(task_model.model, rows, decoding, 5)
        assert all(len(ids) == 5 for ids in written)
        scores.append([logprob(task_model, rows, i, ids) for i, ids in enumerate(written)])
    assert all(b >= g - 1e-4 for g, b in zip(*scores, strict=True))
    assert scores[0] != scores[1]


@torch.no_grad()
def logprob(task_model, rows, i, written):
    """Return the log-probability of an output under whole forward passes."""
    ids = np.concatenate([rows.ids[i], written])
    row = attrs.evolve(rows.select([i]), ids=[ids], spans=[np.zeros(len(ids))])
    states = task_model.model.hidden_states(collate(row, [0], False))[0]
    logs = task_model.model.backbone.logits(states).log_softmax(-1)
    start = len(rows.ids[i])
    return float(sum(logs[start + k - 1, token] for k, token in enumerate(written)))


def test_another_seed_samples_other_texts(toy_registry):
    """Sampling is random between seeds and repeatable within one."""
    task_model = text_task(toy_registry)
    rows = task_model.assemble({"letters": WORDS})
    found = []
    for seed in (1, 1, 2):
        task_model.decoding = Decoding(how="sample", seed=seed)
        found.append(task_model.write(rows, 10))
    assert found[0] == found[1] != found[2]


def test_draws_have_the_probabilities_of_the_softmax():
    """Gumbel noise is exact: frequencies of 4,000 draws lie within four standard errors."""
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]]).repeat(4000, 1)
    drawn = RowDraws(range(4000), temperature=0.7).draw(logits)
    share = torch.bincount(drawn, minlength=4) / 4000
    expected = (logits[0] / 0.7).softmax(0)
    assert ((share - expected).abs() < 4 * (expected * (1 - expected) / 4000).sqrt()).all()


def test_top_p_keeps_the_fewest_tokens_that_reach_it():
    """The token that crosses the limit still counts, the next ones do not."""
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().repeat(3000, 1)
    assert set(RowDraws(range(3000), top_p=0.7).draw(logits).tolist()) == {0, 1}
    assert set(RowDraws(range(3000), top_p=0.01).draw(logits).tolist()) == {0}


def test_samples_do_not_depend_on_the_order_in_which_tags_were_loaded(toy_registry):
    """Ids of tags and symbols move with what else the model holds; the draws do not."""
    found = []
    for others in ([], ["toy/X", "toy/Y"]):
        task_model = text_task(toy_registry)
        held = dict(task_model.model.tags)
        task_model.model.tags.clear()
        for name in (*others, *reversed(held)):
            task_model.model.add_tag(name, held.get(name, torch.zeros(3, 32)))
        assembler = attrs.evolve(task_model.assembler, layout=task_model.model.layout)
        task_model.assembler = assembler
        task_model.decoding = HOW["sample"]
        found.append(task_model.write(task_model.assemble({"letters": WORDS}), 10))
    assert found[0] == found[1]


def test_the_seed_of_a_row_depends_on_its_content():
    """Equal rows get equal numbers wherever they stand."""
    first = np.array([1, 2, 3], dtype=np.int32)
    assert row_seed(0, first) == row_seed(0, first.copy())
    assert row_seed(0, first) != row_seed(1, first)
    assert row_seed(0, first) != row_seed(0, first[:2])


def test_outputs_end_where_the_positions_of_the_backbone_end(toy_registry):
    """A prompt near the limit writes less instead of running over it."""
    task_model = text_task(toy_registry, "gpt2")
    task_model.decoding = Decoding(min_new_tokens=50, max_new_tokens=50)
    free = 256 - len(task_model.assemble({"letters": ["a"]}).ids[0])
    rows = task_model.assemble({"letters": ["a" * (free - 6), "ab"]})
    assert rows.errors == [None, None]
    written = write(task_model.model, rows, task_model.decoding, 50)
    assert [len(ids) for ids in written] == [7, 50]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"how": "beem"}, "must be one of greedy, beam, sample"),
        ({"beams": 1}, "beams must be 2 or more"),
        ({"temperature": 0.0}, "for no randomness choose greedy"),
        ({"top_p": 1.5}, "above 0 and at most 1"),
        ({"max_new_tokens": 0}, "max_new_tokens must be 1 or more"),
    ],
)
def test_settings_are_checked(settings, message):
    """Each message names the setting and what it takes."""
    with pytest.raises(ConfigError, match=message):
        Decoding(**settings)


@pytest.mark.parametrize(
    ("template", "prefix_length"),
    [
        ("<Letters>{letters}<T>{answer}", 5),
        ("{letters} is <T>{answer}", 0),
        ("ab <Letters/>cd {letters} <T>{answer}", 8),
        ("say <T>{answer}", 4),
    ],
)
def test_the_prefix_is_what_no_field_decides(template, prefix_length, toy_registry):
    """Rows agree on it, and words that touch a field are not part of it."""
    task_model = text_task(toy_registry, template=template)
    assert task_model.assembler.prefix_length == prefix_length
    rows = task_model.assembler.assemble({"letters": ["abc", "bca"]})
    assert (rows.ids[0][:prefix_length] == rows.ids[1][:prefix_length]).all()


@pytest.mark.parametrize("how", ["greedy", "sample"])
def test_who_watches_hears_each_token_and_may_end_a_row(toy_registry, how):
    """A row that nobody waits for is not written on, and the others are written as alone."""
    task_model = text_task(toy_registry)
    rows = task_model.assemble({"letters": WORDS})
    decoding = Decoding(how=how, min_new_tokens=12)
    heard = {row: [] for row in range(len(WORDS))}

    def watch(row, ids):
        heard[row].append(ids)
        return row != 2 or len(ids) < 4

    whole = write(task_model.model, rows, decoding, 12)
    watched = write(task_model.model, rows, decoding, 12, max_tokens=60, watch=watch)
    for row, ids in enumerate(whole):
        expected = ids[:4] if row == 2 else ids
        assert watched[row] == expected
        assert heard[row] == [expected[: k + 1] for k in range(len(expected))]


def test_beam_search_is_not_watched(toy_registry):
    """Its texts change until they end."""
    task_model = text_task(toy_registry)
    rows = task_model.assemble({"letters": WORDS[:2]})
    written = write(task_model.model, rows, Decoding(how="beam"), 5, watch=pytest.fail)
    assert written == write(task_model.model, rows, Decoding(how="beam"), 5)
