"""Backbones that are larger than a device: layers on disk, the same results, the same gradients."""

import contextlib
import weakref
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from small_runs import PLAIN, SHARE, run, saved_backbone, write_table
from transformers import DynamicCache

from taglm_core.errors import BackboneError
from taglm_core.inference.loading import load_predictor
from taglm_core.model import divided_backward
from taglm_core.model.backbone_facts import speed_of
from taglm_core.model.backbone_loading import load_backbone, pick_device
from taglm_core.model.divided import (
    Division,
    _bytes,
    change_precision,
    divide,
    gather,
    parse_division,
)
from taglm_core.model.quantized import unpacked_bytes
from taglm_core.store.artifact import load_artifact


def limit_bytes_for(backbone, inside):
    """Return the limit that leaves no place for the layers behind so many."""
    layers = [backbone.base.get_submodule(name) for name in backbone.layer_hooks.layers]
    outside = (len(layers) - inside - 1) * _bytes(layers[0])  # one of them is there as it runs
    return _bytes(backbone.model) + unpacked_bytes(backbone.base) - outside + 8


def limit_for(backbone, inside):
    """Return the device that holds all but the layers behind so many."""
    return f"cpu={limit_bytes_for(backbone, inside) / 1e3:.3f}KB+disk"


def divided(folder, registry, precision, inside, rest):
    """Load a backbone and put layers elsewhere, if need be into the memory where it is anyhow."""
    backbone = load_backbone(str(folder), registry, "cpu", precision)
    limit = limit_bytes_for(backbone, inside)
    divide(backbone, Division(device="cpu", limit_bytes=limit, rest=rest), torch.device("cpu"))
    return backbone


def tensors_of(module):
    """Return parameters and buffers; packed weights are buffers."""
    return [*module.parameters(), *module.buffers()]


def layers_of(backbone):
    """Return the layers."""
    return [backbone.base.get_submodule(name) for name in backbone.layer_hooks.layers]


def states_and_gradient(backbone):
    """Return the states of two rows and the gradient of their embeddings."""
    ids = torch.arange(40).view(2, 20) % 256
    embedded = backbone.embed(ids).detach().requires_grad_(True)
    positions = torch.arange(20).expand(2, 20)
    states = backbone.hidden_states(embedded, torch.ones_like(ids), positions)
    states.square().sum().backward()
    return states.detach(), embedded.grad


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """Save a backbone of four layers, and return it with its folder."""
    folder = tmp_path_factory.mktemp("deep")
    backbone = saved_backbone(folder, "llama", num_hidden_layers=4)
    return backbone, folder


@pytest.mark.parametrize(
    ("device", "limit", "rest"),
    [
        ("cpu", None, None),
        ("cuda+cpu", None, "cpu"),
        ("cuda:1=20GB+cpu", 20_000_000_000, "cpu"),
        ("cuda = 1.5gb + disk", 1_500_000_000, "disk"),
        ("cpu=200MB+disk", 200_000_000, "disk"),
    ],
)
def test_devices_as_people_write_them(device, limit, rest):
    """One word is a device; with + it is divided."""
    found = parse_division(device)
    assert (found and found.limit_bytes, found and found.rest) == (limit, rest)


@pytest.mark.parametrize(
    "device", ["cpu+cpu", "cpu=8GB+cuda", "disk+cpu", "cuda=much+cpu", "+cpu", "cuda+", "a+b+cpu"]
)
def test_other_divisions_are_refused(device):
    """The message says how one is written."""
    with pytest.raises(BackboneError, match=r"such as cuda=20GB\+cpu"):
        pick_device(device)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "nf4"])
@pytest.mark.parametrize(("inside", "rest"), [(0, "disk"), (2, "disk"), (1, "cpu")])
def test_states_and_gradients_are_those_of_the_whole(deep, toy_registry, precision, inside, rest):
    """Layers beyond the limit hold nothing between passes, and gradients reach the input."""
    _, folder = deep
    whole = load_backbone(str(folder), toy_registry, "cpu", precision)
    parts = divided(folder, toy_registry, precision, inside, rest)
    assert parts.is_divided
    assert parts.num_outside == 4 - inside
    assert not whole.is_divided
    assert parts.fingerprint() == whole.fingerprint()
    found = states_and_gradient(parts)
    torch.testing.assert_close(found, states_and_gradient(whole), rtol=0, atol=0)
    assert float(found[1].norm()) > 0
    for number, layer in enumerate(layers_of(parts)):
        assert {t.device.type for t in tensors_of(layer)} == {"cpu" if number < inside else "meta"}
    assert all(p.grad is None for p in parts.model.parameters())
    with pytest.raises(BackboneError, match="cannot be compiled"):
        parts.compile()


@pytest.mark.parametrize("precision", ["int8", "nf4"])
@pytest.mark.parametrize("architecture", ["gpt2", "qwen3"])
def test_packed_weights_of_other_architectures_are_divided(
    tmp_path, toy_registry, precision, architecture
):
    """GPT-2 has biases and transposed matrices."""
    saved_backbone(tmp_path, architecture)
    whole = load_backbone(str(tmp_path), toy_registry, "cpu", precision)
    parts = divided(tmp_path, toy_registry, precision, 0, "disk")
    expected = states_and_gradient(whole)
    torch.testing.assert_close(states_and_gradient(parts), expected, rtol=0, atol=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "nf4"])
def test_weights_lie_on_disk_as_they_are_packed(deep, toy_registry, caplog, precision):
    """A file holds no unpacked weights, and the log says how many bytes lie where."""
    _, folder = deep
    whole = load_backbone(str(folder), toy_registry, "cpu", precision)
    caplog.set_level("INFO")
    parts = load_backbone(str(folder), toy_registry, limit_for(whole, 1), precision)
    outside = sum(_bytes(layer) for layer in layers_of(whole)[1:])
    files = [file for file in Path(parts.files.name).iterdir() if file.suffix == ".dat"]
    assert sum(file.stat().st_size for file in files) == outside
    kept = _bytes(whole.model) - outside
    assert f"is divided: 3 of 4 layers ({outside / 1e6:.1f} MB in {precision})" in caplog.text
    assert f"for each pass; {kept / 1e6:.1f} MB of weights stay there" in caplog.text


def behind_a_cache(backbone):
    """Return the states of a row behind cached positions, and its embeddings."""
    ids = torch.arange(10)[None]
    cache = DynamicCache(config=backbone.config)
    with torch.no_grad():
        backbone.hidden_states(backbone.embed(ids[:, :6]), None, ids[:, :6], cache)
    embedded = backbone.embed(ids[:, 6:]).detach().requires_grad_(True)
    return backbone.hidden_states(embedded, torch.ones_like(ids), ids[:, 6:], cache), embedded


def run_again(backbone):
    """Return the states of a row whose layers are run again, and its embeddings."""
    ids = torch.arange(10)[None]
    embedded = backbone.embed(ids).detach().requires_grad_(True)
    return backbone.hidden_states(embedded, torch.ones_like(ids), ids), embedded


def without_checkpoints(backbone):
    """Return the states of a row whose layers are not run again, and its embeddings."""
    backbone.checkpoints.set("off")
    return run_again(backbone)


@pytest.mark.parametrize("step", [run_again, behind_a_cache, without_checkpoints])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "nf4"])
def test_no_weights_are_kept_for_the_backward_pass(
    deep, toy_registry, monkeypatch, precision, step
):
    """Layers are run again, or, as on cached segments, their weights are read again."""
    _, folder = deep
    arrived = []

    def note(hook, module, *args, **kwargs):
        arrived.extend(weakref.ref(t.untyped_storage()) for t in tensors_of(module))
        return pre_forward(hook, module, *args, **kwargs)

    pre_forward = divided_backward._Watch.pre_forward
    monkeypatch.setattr(divided_backward._Watch, "pre_forward", note)
    whole = load_backbone(str(folder), toy_registry, "cpu", precision)
    parts = divided(folder, toy_registry, precision, 1, "disk")
    results = []
    for backbone in (whole, parts):
        arrived.clear()
        states, embedded = step(backbone)
        assert [each() for each in arrived if each() is not None] == []
        assert bool(arrived) == (backbone is parts)
        states.square().sum().backward()
        results.append((states.detach(), embedded.grad))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
    parts.reads_again = contextlib.nullcontext
    parts.checkpoints.set("off")
    arrived.clear()
    states, _ = step(parts)
    assert any(each() is not None for each in arrived)  # so the test would notice


def test_speed_is_measured_as_training_runs(deep, toy_registry):
    """A timed step runs layers again, as a step of training does."""
    _, folder = deep
    parts = divided(folder, toy_registry, "nf4", 0, "cpu")
    runs = []
    layers_of(parts)[1].mlp.register_forward_hook(lambda *args: runs.append(1))
    speed_of(parts, seconds=0.0)
    assert len(runs) == 3  # one of the forward pass, two of the step


@pytest.mark.parametrize("precision", ["bf16", "int8", "nf4"])
def test_the_precision_of_a_divided_backbone_changes(deep, toy_registry, precision):
    """Layers that lie elsewhere come back to be rounded or packed, and all of them can."""
    _, folder = deep
    plain = load_backbone(str(folder), toy_registry, "cpu")
    whole = load_backbone(str(folder), toy_registry, "cpu", precision)
    parts = load_backbone(str(folder), toy_registry, limit_for(plain, 1))
    assert parts.num_outside == 3
    change_precision(parts, "fp32")
    first = Path(parts.files.name)
    parts.division = attrs.evolve(parts.division, limit_bytes=limit_bytes_for(whole, 2))
    change_precision(parts, precision)
    assert (parts.precision, parts.num_outside) == (precision, 2)
    assert not first.exists()
    expected = states_and_gradient(whole)
    torch.testing.assert_close(states_and_gradient(parts), expected, rtol=0, atol=0)
    gather(parts)
    assert parts.checksum() == whole.checksum()
    assert not parts.is_divided
    torch.testing.assert_close(states_and_gradient(parts), expected, rtol=0, atol=0)


def test_all_of_it_stays_where_it_fits_and_too_little_is_told(deep, toy_registry):
    """Nothing is divided without need; embeddings and one layer must fit."""
    _, folder = deep
    assert not load_backbone(str(folder), toy_registry, "cpu=1GB+disk").is_divided
    assert not load_backbone(str(folder), toy_registry, "cpu+disk").is_divided
    with pytest.raises(BackboneError, match=r"take 0.1 MB in fp32, more .* or set precision=nf4"):
        load_backbone(str(folder), toy_registry, "cpu=50KB+disk")
    with pytest.raises(BackboneError, match=r"in nf4, more than .* 0.0 MB. Raise the limit\.$"):
        load_backbone(str(folder), toy_registry, "cpu=5KB+disk", "nf4")


def test_the_unpacked_matrix_counts(deep, toy_registry):
    """Where packed weights fill the limit, there is no place left to unpack one of them."""
    _, folder = deep
    whole = load_backbone(str(folder), toy_registry, "cpu", "nf4")
    packed = _bytes(whole.model)
    largest = 4 * 32 * whole.config.intermediate_size
    for limit, is_divided in ((packed + largest, False), (packed + largest - 1, True)):
        parts = load_backbone(str(folder), toy_registry, f"cpu={limit / 1e3:.3f}KB+disk", "nf4")
        assert parts.is_divided == is_divided


@pytest.mark.parametrize(
    ("tag", "precision"),
    [("input", "fp32"), ("adapter", "fp32"), ("input", "nf4"), ("adapter", "int8")],
)
def test_a_run_gives_the_same_predictor(
    tmp_path, toy_registry, toy_backbone, monkeypatch, caplog, tag, precision
):
    """Tags at the input and in the layers are trained through layers that come for each pass."""
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path / "home"))
    whole = load_backbone(str(toy_backbone), toy_registry, "cpu", precision)
    table = write_table(tmp_path)
    made, parts = [], limit_for(whole, 0)
    caplog.set_level("INFO")
    for name, device in (("a", "cpu"), ("b", parts)):
        assert "is divided" not in caplog.text
        (tmp_path / name).mkdir()
        with contextlib.chdir(tmp_path / name):
            made.append(
                run(
                    tmp_path / name,
                    toy_registry,
                    toy_backbone,
                    table,
                    SHARE,
                    PLAIN,
                    precision=precision,
                    device=device,
                    tag=tag,
                    max_steps=3,
                )
            )
    assert "is divided: 2 of 2 layers (" in caplog.text
    loaded = load_predictor(load_artifact(made[0].folder / "predictor"), toy_registry, device=parts)
    assert loaded.task_model.model.backbone.is_divided
    rows = ["abca", "bb", "cacac"] * 3
    there, here = (p.predict(rows, "numpy") for p in (loaded, made[0].predictor))
    np.testing.assert_allclose(there, here, rtol=1e-6)
    first, second = (each.metrics["tasks"]["T"] for each in made)
    assert second["splits"]["test"]["metrics"] == first["splits"]["test"]["metrics"]
    assert second["stages"][-1]["history"] == first["stages"][-1]["history"]
