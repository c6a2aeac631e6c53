"""The choice of a precision: what is measured, what is kept, what a variable forces."""

import json

import pytest
import torch

from taglm_core.errors import BackboneError, ConfigError
from taglm_core.inference.precision import kept_or_measured, open_backbone
from taglm_core.model import precisionprobe
from taglm_core.model.backbone_loading import load_backbone
from taglm_core.model.precision import BF16, FP32, Bf16Linear, in_fp32
from taglm_core.model.precisionprobe import measure_precision, slowdown
from taglm_core.testing import tiny_backbone
from taglm_core.testing.tiny import ARCHITECTURES

IDS = torch.arange(60).view(3, 20)


@pytest.fixture
def timed(monkeypatch):
    """Return a function that decides what passes take: seconds in bf16 where fp32 takes 1."""

    def set_to(*bf16):
        seconds = {f"shape {i}": {FP32: 1.0, BF16: value} for i, value in enumerate(bf16)}
        monkeypatch.setattr(precisionprobe, "_seconds", lambda backbone, layers: seconds)

    return set_to


def states_of(backbone):
    """Return states of the same rows on any backbone."""
    positions = torch.arange(IDS.shape[1]).expand_as(IDS)
    with torch.no_grad():
        return backbone.hidden_states(backbone.embed(IDS), None, positions)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bf16_is_close_on_every_architecture(architecture):
    """States differ from fp32 by rounding alone, and gradients reach the input."""
    backbone = tiny_backbone(architecture)
    exact = states_of(backbone)
    key = backbone.fingerprint().key
    backbone.use_bf16()
    rounded = states_of(backbone)
    error = (rounded - exact).norm() / (exact - exact.mean(dim=(0, 1))).norm()
    assert 1e-5 < error < 0.1
    assert rounded.dtype == torch.float32
    # the weights are rounded even where the product is not
    with in_fp32(backbone.base):
        assert (states_of(backbone) - exact).norm() < (rounded - exact).norm() * 1.5
    assert backbone.fingerprint().key.split("-")[0] == key.split("-")[0]
    embedded = backbone.embed(IDS).requires_grad_(True)
    positions = torch.arange(IDS.shape[1]).expand_as(IDS)
    backbone.hidden_states(embedded, None, positions).square().sum().backward()
    assert embedded.grad.dtype == torch.float32
    assert embedded.grad.abs().sum() > 0
    assert all(p.grad is None for p in backbone.model.parameters())


def test_auto_takes_bf16_where_it_is_faster_and_close(timed):
    """Faster over all shapes and slower on none; the backbone is left as it was."""
    backbone = tiny_backbone("llama")
    before = backbone.checksum()
    timed(0.5, 0.7)
    found = measure_precision(backbone)
    assert found.precision == BF16
    assert 0 < found.states_error < precisionprobe.STATES_TOLERANCE
    assert 0 < found.ridge_error < precisionprobe.RIDGE_TOLERANCE
    assert "bf16 takes 60% of the time of fp32" in found.line()
    assert backbone.precision == FP32
    assert backbone.checksum() == before
    assert not any(isinstance(m, Bf16Linear) for m in backbone.model.modules())


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [((1.0, 0.95), "not faster"), ((0.3, 1.2), "slower on some shapes")],
)
def test_auto_stays_in_fp32_where_bf16_is_slow(seconds, reason, timed):
    """One fast shape does not make up for a slow one; errors are then not looked at."""
    timed(*seconds)
    found = measure_precision(tiny_backbone("llama"))
    assert (found.precision, found.states_error) == (FP32, None)
    assert reason in found.reason
    assert measure_precision(tiny_backbone("llama"), looks_always=True).states_error > 0


def test_auto_stays_in_fp32_where_bf16_is_too_rough(timed, monkeypatch):
    """A speed-up buys no wrong numbers."""
    timed(0.2, 0.2)
    monkeypatch.setattr(precisionprobe, "STATES_TOLERANCE", 1e-4)
    found = measure_precision(tiny_backbone("llama"))
    assert found.precision == FP32
    assert "too inaccurate" in found.reason


def test_the_probe_times_the_backbone_itself():
    """Two shapes, both precisions, seconds above 0; a model without plain layers stays in fp32."""
    backbone = tiny_backbone("llama")
    found = measure_precision(backbone)
    assert len(found.seconds) == 2
    assert all(s[FP32] > 0 and s[BF16] > 0 for s in found.seconds.values())
    for name, layer in list(backbone.base.named_modules()):
        if isinstance(layer, torch.nn.Linear):
            other = type("Quantized", (torch.nn.Linear,), {})(layer.in_features, layer.out_features)
            backbone.base.set_submodule(name, other)
    assert measure_precision(backbone).reason == "it has no plain linear layers"
    with pytest.raises(BackboneError, match="none of its layers is a plain linear layer"):
        backbone.use_bf16()


def test_a_choice_is_kept_for_later_runs(toy_backbone, toy_registry, timed, monkeypatch, tmp_path):
    """Noise in a second measurement does not change it; a forced one is not kept."""
    monkeypatch.delenv("TAGLM_PRECISION", raising=False)
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path / "home"))
    timed(0.5, 0.5)
    backbone, found = open_backbone(str(toy_backbone), toy_registry, "cpu")
    assert backbone.precision == found.precision == BF16
    timed(2.0, 2.0)
    assert open_backbone(str(toy_backbone), toy_registry, "cpu")[0].precision == BF16
    assert len(json.loads((tmp_path / "home" / "precision.json").read_text())) == 1
    fresh = load_backbone(str(toy_backbone), toy_registry, "cpu")
    assert kept_or_measured(fresh, afresh=True).precision == FP32
    assert open_backbone(str(toy_backbone), toy_registry, "cpu")[0].precision == FP32
    kept = tmp_path / "home" / "precision.json"
    (key,) = json.loads(kept.read_text())
    # damaged, another's, of another version
    for text in ("no json", "[]", json.dumps({key: {"speed": 2}})):
        kept.write_text(text)
        assert open_backbone(str(toy_backbone), toy_registry, "cpu")[0].precision == FP32
        assert json.loads(kept.read_text())[key]["precision"] == FP32


def test_a_choice_that_cannot_be_kept_is_used(
    toy_backbone, toy_registry, timed, monkeypatch, tmp_path
):
    """A home that cannot be written costs a measurement each time, and no run."""
    monkeypatch.delenv("TAGLM_PRECISION", raising=False)
    (tmp_path / "file").touch()
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path / "file" / "home"))
    timed(0.5, 0.5)
    backbone, found = open_backbone(str(toy_backbone), toy_registry, "cpu")
    assert backbone.precision == found.precision == BF16


def test_a_variable_says_what_auto_is(toy_backbone, toy_registry, monkeypatch):
    """A setting wins over it; another word is an error."""
    for word in (FP32, BF16):
        monkeypatch.setenv("TAGLM_PRECISION", word)
        assert open_backbone(str(toy_backbone), toy_registry, "cpu")[0].precision == word
        for given in (FP32, BF16):
            opened, why = open_backbone(str(toy_backbone), toy_registry, "cpu", given)
            assert (opened.precision, why.reason) == (given, "as set")
    monkeypatch.setenv("TAGLM_PRECISION", "fp16")
    with pytest.raises(
        ConfigError, match="TAGLM_PRECISION must be auto, fp32, bf16, int8 or nf4, not fp16"
    ):
        open_backbone(str(toy_backbone), toy_registry, "cpu")


def test_weights_stored_in_bf16_lose_nothing(toy_backbone, toy_registry, tmp_path):
    """From a bf16 file everything but the linear layers is fp32 of the same value."""
    plain = load_backbone(str(toy_backbone), toy_registry, "cpu")
    plain.model.to(torch.bfloat16).save_pretrained(tmp_path / "copy")
    plain.tokenizer.save_pretrained(tmp_path / "copy")
    exact = load_backbone(str(tmp_path / "copy"), toy_registry, "cpu", FP32)
    rounded = load_backbone(str(tmp_path / "copy"), toy_registry, "cpu", BF16)
    assert exact.precision == FP32
    assert torch.equal(exact.embedding_rows(), rounded.embedding_rows())
    with in_fp32(rounded.base):
        torch.testing.assert_close(states_of(rounded), states_of(exact))
    assert exact.fingerprint() == rounded.fingerprint()


def test_slowness_is_measured_for_bf16_alone():
    """A backbone in fp32 is never slow for its precision."""
    backbone = tiny_backbone("llama")
    assert slowdown(backbone) == 1.0
    backbone.use_bf16()
    assert 0.05 < slowdown(backbone) < 500
