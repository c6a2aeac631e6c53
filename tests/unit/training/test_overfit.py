"""Each kind of head must be able to memorize a handful of rows, and bad starts must be seen."""

import numpy as np
import pytest
import torch
import toy_plugin

from taglm_core.model.closed_form import solve_ridge
from taglm_core.model.heads import LinearHead, MLPHead
from taglm_core.model.prefix_cache.whole_prefixes import WholePrefixes
from taglm_core.model.symbols import symbol_rows
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.tags import initial_tag
from taglm_core.model.targets import Scaling
from taglm_core.model.taskmodel import TaskModel, build_assembler
from taglm_core.plugins.resolved import resolve_task
from taglm_core.progress import Silent
from taglm_core.specs import Classification, Regression, Task, Text
from taglm_core.testing import tiny_backbone
from taglm_core.training.fit import FitSettings, Group, fit
from taglm_core.training.head_fitter import HeadFitter
from taglm_core.training.head_loss import HeadLoss, ReadRows
from taglm_core.training.objectives import HeadObjective, TextObjective
from taglm_core.training.splits import SplitData

WORDS = ["abc", "cab", "bbbb", "acca", "c", "aab", "bca", "cccc"]


def build(target, registry, outputs, is_text=False):
    """Return a task model on a tiny backbone whose function tag and head are to be trained."""
    template = "Letters <Letters>{letters} give <T>" + ("{answer}" if is_text else "")
    metrics = ("logloss",) if isinstance(target, Classification) else ()
    spec = Task(name="T", function_tag="T", template=template, target=target, metrics=metrics)
    task = resolve_task(spec, "toy", registry)
    backbone = tiny_backbone("llama")
    model = TaggedModel(backbone)
    encoder = toy_plugin.LettersEncoder()
    model.add_table("toy/Letters", symbol_rows(backbone, encoder.spellings))
    for name in ("toy/Letters", "toy/T"):
        model.add_tag(name, initial_tag(backbone, name, 8, "vocabulary", 0))
    head = LinearHead(32, outputs) if outputs else None
    names = {"Letters": "toy/Letters"}
    assembler = build_assembler(task, model, {"toy/Letters": encoder}, not is_text, names, names)
    scaling = Scaling.plain(outputs)
    return TaskModel(
        task=task,
        model=model,
        assembler=assembler,
        is_isolated=not is_text,
        head=head,
        scaling=scaling,
        classes=("x", "y", "z"),
    )


def teach(backbone, texts, steps):
    """Train the tiny backbone itself on a few texts, before it is frozen for a test."""
    model = backbone.model
    ids = torch.tensor([[*backbone.tokenizer(text)["input_ids"], 257] for text in texts])
    optimizer = torch.optim.AdamW(model.requires_grad_(True).parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    model.requires_grad_(False)


def fit_settings(steps, **more):
    """Return the settings of a fit of so many steps."""
    return FitSettings(
        steps=steps,
        batch_size=8,
        batch_tokens=4096,
        schedule="cosine",
        warmup_ratio=0.03,
        weight_decay=0.0,
        max_grad_norm=5.0,
        patience=10,
        seed=0,
        **more,
    )


def memorize(task_model, targets, folder, steps, extra=None):
    """Train on all rows and return the objective."""
    fields = {"letters": WORDS} | (extra or {})
    rows = task_model.assembler.assemble(fields, with_output=extra is not None)
    if isinstance(task_model.task.spec.target, Regression):
        task_model.scaling = Scaling.of_targets(targets)
    split = SplitData(rows, targets)
    split.cached = WholePrefixes(task_model.model, rows, task_model.is_isolated, 10**9)
    kind = HeadObjective if task_model.head is not None else TextObjective
    objective = kind(task_model, split, split, 4096)
    objective.start("mean_embedding")
    tag = task_model.model.tags["toy/T"]
    groups = [Group("tag", (tag,), 0.02)]
    if task_model.head is not None:
        groups.append(Group("head", tuple(task_model.head.parameters()), 0.05))
    task_model.model.train_only([p for group in groups for p in group.parameters])
    settings = fit_settings(steps, num_evaluations=10)
    fit(objective, groups, settings, folder, Silent(), "memorize")
    return objective


def test_regression_memorises(toy_registry, tmp_path):
    """Two random targets of eight rows are fitted to within a tenth of their spread."""
    targets = np.random.default_rng(0).normal(5.0, 3.0, size=(8, 2))
    task_model = build(Regression(names=("u", "v")), toy_registry, 2)
    objective = memorize(task_model, targets, tmp_path, 500)
    error = np.abs(objective.predict(objective.train) - targets).mean(axis=0)
    assert (error < 0.1 * targets.std(axis=0)).all()


def test_classes_memorise(toy_registry, tmp_path):
    """Three classes at random are told apart, every row with probability above 0.9."""
    targets = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    task_model = build(Classification(names=("k",)), toy_registry, 3)
    objective = memorize(task_model, targets, tmp_path, 300)
    assert (objective.predict(objective.train)[np.arange(8), targets] > 0.9).all()


def test_labels_memorise(toy_registry, tmp_path):
    """Two yes-or-no labels at random, every one with probability above 0.9."""
    targets = np.random.default_rng(1).integers(0, 2, size=(8, 2))
    target = Classification(names=("p", "q"), multi_label=True)
    objective = memorize(build(target, toy_registry, 2), targets, tmp_path, 300)
    found = objective.predict(objective.train)
    assert (np.where(targets == 1, found, 1 - found) > 0.9).all()


def test_text_memorises_and_is_written_alike_alone_and_in_a_batch(toy_registry, tmp_path):
    """Answers that depend on the row are learned by the tag alone, and written greedily."""
    task_model = build(Text(), toy_registry, 0, is_text=True)
    # a random LM cannot be made to write by its input alone: it must know the words
    teach(task_model.model.backbone, ["abc: ok", "cab: ok", "bbb: no", "cca: no"], 150)
    answers = ["ok", "ok", "no", "no", "ok", "no", "ok", "no"]
    memorize(task_model, answers, tmp_path, 400, {"answer": answers})
    rows = task_model.assembler.assemble({"letters": WORDS})
    together = task_model.write(rows, 12)
    assert together == answers
    assert [task_model.write(rows.select([i]), 12)[0] for i in range(8)] == together


def test_the_closed_form_is_the_least_squares_optimum():
    """At a vanishing penalty ridge agrees with torch's least squares on centered data."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(200, 10, generator=generator)
    targets = torch.randn(200, 2, generator=generator) + 3
    (_, weights, offsets), *_ = solve_ridge(states, targets, (1e-12,))
    ones = torch.cat([states, torch.ones(200, 1)], dim=1)
    expected = torch.linalg.lstsq(ones, targets).solution
    torch.testing.assert_close(weights, expected[:-1].T, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(offsets, expected[-1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("how", ["fit", "mean_embedding"])
def test_the_start_of_the_head(how, toy_registry):
    """Fitted, it starts below the error of the mean; the paper's copies the mean embedding."""
    targets = np.arange(8.0)[:, None]
    task_model = build(Regression(names=("y",)), toy_registry, 1)
    rows = task_model.assembler.assemble({"letters": WORDS})
    task_model.scaling = Scaling.of_targets(targets)
    split = SplitData(rows, targets)
    objective = HeadObjective(task_model, split, split, 4096, fit_rows=100)
    objective.start(how)
    if how == "fit":
        assert np.abs(objective.predict(split) - targets).mean() < 1.0
    else:
        mean = task_model.model.backbone.embedding_rows().mean(dim=0)
        torch.testing.assert_close(task_model.head.weight[0], mean)


def test_a_far_outlier_pulls_the_tag_by_its_size_only(toy_registry):
    """With a Huber threshold the gradient of a row's error stops growing there."""
    targets = np.array([[0.0], [0.1], [0.0], [-0.1], [0.0], [0.1], [-0.1], [40.0]])
    task_model = build(Regression(names=("y",)), toy_registry, 1)
    wanted = torch.tensor(targets, dtype=torch.float32)
    outputs = torch.zeros(8, 1, requires_grad=True)
    HeadLoss(task_model, delta=0.5).rows(outputs, wanted).sum().backward()
    torch.testing.assert_close(outputs.grad, -2 * wanted.clamp(-0.5, 0.5))


@pytest.mark.parametrize("censored_below", [None, 0.0])
def test_a_head_with_hidden_layers_learns_what_no_line_does(censored_below, toy_registry):
    """The product of two columns; with a limit, also what lies under it."""
    make = torch.Generator().manual_seed(0)
    states = torch.randn(600, 32, generator=make)
    hidden = (states[:, :1] * states[:, 1:2]).double().numpy()
    targets = hidden if censored_below is None else np.maximum(hidden, censored_below)
    task_model = build(Regression(names=("y",), censored_below=censored_below), toy_registry, 1)
    torch.manual_seed(0)
    task_model.head = MLPHead(32, 1, units=32)
    task_model.scaling = Scaling.of_targets(targets[:400], censored_below)
    loss = HeadLoss(task_model)
    fitter, held_out = HeadFitter(loss, epochs=60), ReadRows(states[400:], targets[400:])
    wanted = loss.targets(targets[:400])
    kept = fitter.fit(states[:400], wanted, held_out)
    outputs = task_model.outputs(states[400:])

    def explained(predicted):
        return 1 - np.square(predicted - targets[400:]).mean() / targets[400:].var()

    assert explained(task_model.finish(outputs)) > 0.5
    linear = solve_ridge(states[:400], torch.tensor(targets[:400]), (1e-2,))[0]
    flat = (states[400:] @ linear[1].T + linear[2]).numpy()
    assert explained(flat) < 0.2
    if censored_below is not None:
        latent = task_model.scaling.mean + task_model.scaling.std * outputs.detach()
        assert np.corrcoef(latent.numpy().ravel(), hidden[400:].ravel())[0, 1] > 0.6
    # what it was before stays if rows that say nothing make it worse
    before = {name: value.clone() for name, value in task_model.head.state_dict().items()}
    assert kept
    noise = 100 * torch.randn(400, 32, generator=make)
    assert fitter.fit(noise, wanted, held_out) == {}
    assert all((before[k] == v).all() for k, v in task_model.head.state_dict().items())


def test_states_of_a_finished_fit_are_those_of_its_tag(toy_registry, tmp_path):
    """A fit that is taken up again after its last step makes none, yet the tag is another one."""
    targets = np.arange(8.0)[:, None]
    settings = fit_settings(2, num_evaluations=1, checkpoint_seconds=0.0)
    states = []
    for _ in range(2):
        task_model = build(Regression(names=("y",)), toy_registry, 1)
        rows = task_model.assembler.assemble({"letters": WORDS})
        task_model.scaling = Scaling.of_targets(targets)
        split = SplitData(rows, targets)
        objective = HeadObjective(task_model, split, split, 4096, fit_rows=100)
        objective.start("fit")  # reads the states of the untrained tag
        tag = task_model.model.tags["toy/T"]
        task_model.model.train_only([tag])
        fit(objective, [Group("tag", (tag,), 0.1)], settings, tmp_path / "fit", Silent(), "fit")
        states.append((objective.valid_states().detach(), objective.fitted_rows()[1].detach()))
    for first, again in zip(*states, strict=True):
        torch.testing.assert_close(first, again)


def test_the_loss_of_a_step_is_the_weighted_mean(toy_registry):
    """Rows of weight 0 have no part in loss, head or mean."""
    task_model = build(Regression(names=("y",)), toy_registry, 1)
    split_rows = task_model.assembler.assemble({"letters": WORDS})
    targets = np.arange(8.0)[:, None]
    task_model.scaling = Scaling.of_targets(targets)
    weights = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0])
    train = SplitData(split_rows, targets, weights=weights / weights.mean())
    objective = HeadObjective(task_model, train, train, 4096)
    every = np.arange(8)
    total, share = objective.loss(every)
    states = objective._reader.all(train)
    outputs = task_model.outputs(states)
    loss = HeadLoss(task_model)
    losses = loss.rows(outputs, loss.targets(targets))
    expected = (losses * torch.tensor(weights)).sum() / weights.sum()
    torch.testing.assert_close(total / share, expected.float(), rtol=1e-4, atol=1e-5)
    nothing, share = objective.loss(every[:2])
    assert (float(nothing.detach()), share) == (0.0, 1.0)
    counts = torch.tensor(weights).float()
    torch.testing.assert_close(loss.mean(outputs, loss.targets(targets), counts), expected.float())
