"""Backbones that are larger than a device: layers on disk, the same results, the same gradients."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import PLAIN, SHARE, run, saved_backbone, write_table

from taglm_core.errors import BackboneError
from taglm_core.inference.loading import load_predictor
from taglm_core.model.backbone_loading import load_backbone, pick_device
from taglm_core.model.divided import _bytes, parse_division
from taglm_core.store.artifact import load_artifact


def limit_for(backbone, inside):
    """Return the device that holds all but the layers behind so many."""
    layers = [backbone.base.get_submodule(name) for name in backbone.layer_hooks.layers]
    size = _bytes(layers[0])
    total = _bytes(backbone.model)
    return f"cpu={(total - (len(layers) - inside - 1) * size + 8) / 1e3:.3f}KB+disk"


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


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("inside", [0, 2])
def test_states_and_gradients_are_those_of_the_whole(deep, toy_registry, precision, inside):
    """Layers beyond the limit hold nothing between passes, and gradients reach the input."""
    _, folder = deep
    whole = load_backbone(str(folder), toy_registry, "cpu", precision)
    parts = load_backbone(str(folder), toy_registry, limit_for(whole, inside), precision)
    assert parts.is_divided
    assert not whole.is_divided
    assert parts.fingerprint() == whole.fingerprint()
    ids = torch.arange(40).view(2, 20) % 256
    positions = torch.arange(20).expand(2, 20)
    results = []
    for each in (whole, parts):
        embedded = each.embed(ids).detach().requires_grad_(True)
        states = each.hidden_states(embedded, torch.ones_like(ids), positions)
        states.square().sum().backward()
        results.append((states.detach(), embedded.grad))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
    layers = [parts.base.get_submodule(name) for name in parts.layer_hooks.layers]
    is_away = [all(p.device.type == "meta" for p in layer.parameters()) for layer in layers]
    assert is_away == [False] * inside + [True] * (4 - inside)
    assert all(p.grad is None for p in parts.model.parameters())
    files = Path(parts.files.name)
    assert any(files.iterdir())
    with pytest.raises(BackboneError, match="cannot be compiled"):
        parts.compile()


def test_a_backward_pass_does_not_hold_every_layer(deep, toy_registry):
    """Layers are run again, so that what is kept does not hold the weights of all of them."""
    backbone, folder = deep
    parts = load_backbone(str(folder), toy_registry, limit_for(backbone, 0))
    embedded = parts.embed(torch.arange(4).view(1, 4)).detach().requires_grad_(True)
    held = []

    def keep(tensor):
        held.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        parts.hidden_states(embedded, None, torch.arange(4).view(1, 4))
    weights = _bytes(backbone.base.get_submodule(backbone.layer_hooks.layers[0]))
    assert 0 < sum(held) < weights


def test_all_of_it_stays_where_it_fits_and_too_little_is_told(deep, toy_registry):
    """Nothing is divided without need; embeddings and one layer must fit."""
    _, folder = deep
    assert not load_backbone(str(folder), toy_registry, "cpu=1GB+disk").is_divided
    assert not load_backbone(str(folder), toy_registry, "cpu+disk").is_divided
    with pytest.raises(BackboneError, match="its embeddings and one layer take 0 MB, more than"):
        load_backbone(str(folder), toy_registry, "cpu=50KB+disk")
    with pytest.raises(BackboneError, match=r"packed weights \(int8\) cannot be divided"):
        load_backbone(str(folder), toy_registry, "cpu=50KB+disk", "int8")


@pytest.mark.parametrize("tag", ["input", "adapter"])
def test_a_run_gives_the_same_predictor(
    tmp_path, toy_registry, toy_backbone, monkeypatch, caplog, tag
):
    """Tags at the input and in the layers are trained through layers that come for each pass."""
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path / "home"))
    whole = load_backbone(str(toy_backbone), toy_registry, "cpu")
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
                    precision="fp32",
                    device=device,
                    tag=tag,
                    max_steps=3,
                )
            )
    assert "is divided: 2 of 2 layers are in files of this process" in caplog.text
    loaded = load_predictor(load_artifact(made[0].folder / "predictor"), toy_registry, device=parts)
    assert loaded.task_model.model.backbone.is_divided
    rows = ["abca", "bb", "cacac"] * 3
    there, here = (p.predict(rows, "numpy") for p in (loaded, made[0].predictor))
    np.testing.assert_allclose(there, here, rtol=1e-6)
    first, second = (each.metrics["tasks"]["T"] for each in made)
    assert second["splits"]["test"]["metrics"] == first["splits"]["test"]["metrics"]
    assert second["stages"][-1]["history"] == first["stages"][-1]["history"]
