"""Stage 1: its likelihood, and that it learns."""

import attrs
import numpy as np
import pytest
import torch
import toy_plugin

from taglm_core.model.symbols import symbol_rows
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.tags import initial_tag
from taglm_core.progress import Silent
from taglm_core.testing import tiny_backbone
from taglm_core.training.fit import FitSettings, Group, fit
from taglm_core.training.objectives import DomainObjective

ROWS = ["abcabcabc", "aabbcc", "cba", "abc" * 6]


def objective_of(encoder, architecture="llama"):
    """Return stage 1 on a few strings."""
    model = TaggedModel(tiny_backbone(architecture))
    if encoder is not None:
        model.add_table("toy/Letters", symbol_rows(model.backbone, encoder.spellings))
    model.add_tag("toy/Letters", initial_tag(model.backbone, "toy/Letters", 6, "vocabulary", 0))
    return DomainObjective(model, "toy/Letters", "toy/Letters", encoder, ROWS, ROWS, 512)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma"])
def test_without_a_tag_a_text_domain_has_the_likelihood_of_the_plain_lm(architecture):
    """Nats of the text encoder without a tag equal the library's own loss."""
    objective = objective_of(None, architecture)
    backbone = objective.model.backbone
    total = count = 0.0
    for row in ROWS:
        ids = torch.tensor([[*backbone.tokenizer(row)["input_ids"], backbone.end_id]])
        with torch.no_grad():
            loss = backbone.model(input_ids=ids, labels=ids).loss
        total += float(loss) * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    assert objective.nats("none", skip=1) == pytest.approx(total / count, rel=1e-4)


def test_the_softmax_runs_over_the_alphabet_and_the_end():
    """Random weights cannot do worse than far from uniform over four outcomes."""
    objective = objective_of(toy_plugin.LettersEncoder())
    total, weight = objective.loss(np.arange(len(ROWS)))
    assert weight == sum(len(row) + 1 for row in ROWS)
    assert objective.softmax.end == 3
    uniform = objective_of(toy_plugin.LettersEncoder())
    zeros = tuple(torch.zeros_like(split) for split in uniform.softmax.rows)
    uniform.softmax = attrs.evolve(uniform.softmax, rows=zeros, offsets=None)
    assert uniform.nats() == pytest.approx(np.log(4), rel=1e-5)


def test_training_the_tag_lowers_the_likelihood_and_nothing_else_moves(tmp_path):
    """A few steps on four strings gain; backbone and symbol table stay."""
    objective = objective_of(toy_plugin.LettersEncoder())
    model = objective.model
    before = objective.nats()
    frozen = (model.backbone.checksum(), model.tables["toy/Letters"].clone())
    tag = model.tags["toy/Letters"]
    model.train_only([tag])
    settings = FitSettings(
        steps=40,
        batch_size=4,
        batch_tokens=512,
        schedule="cosine",
        warmup_ratio=0.1,
        weight_decay=0.0,
        max_grad_norm=1.0,
        num_evaluations=4,
        patience=4,
        seed=0,
    )
    fit(objective, [Group("tag", (tag,), 0.02)], settings, tmp_path, Silent(), "stage 1")
    assert objective.nats() < before - 0.05
    assert model.backbone.checksum() == frozen[0]
    assert torch.equal(model.tables["toy/Letters"], frozen[1])


def test_gradients_do_not_depend_on_the_token_budget():
    """Accumulating over small splits gives the gradient of the whole batch."""
    found = []
    for budget in (16, 10_000):
        objective = objective_of(toy_plugin.LettersEncoder())
        tag = objective.model.tags["toy/Letters"]
        objective.model.train_only([tag])
        from taglm_core.model.batching import batches_by_tokens

        total = objective.weight(np.arange(4))
        for split in batches_by_tokens(objective.lengths, budget):
            loss, _ = objective.loss(split)
            (loss / total).backward()
        found.append(tag.grad.clone())
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)
