"""Weights in 8 and 4 bits: close to the original, smaller, and gradients reach the tags."""

import numpy as np
import pytest
import torch
from small_runs import PLAIN, SHARE, run, write_table
from torch import nn

from taglm_core.inference.loading import load_predictor
from taglm_core.model.quantized import QuantizedLinear, pack, unpack
from taglm_core.model.tagged import TaggedModel
from taglm_core.store.artifact import find_artifact, load_artifact
from taglm_core.testing import tiny_backbone


@pytest.mark.parametrize(("kind", "most"), [("int8", 0.01), ("nf4", 0.12)])
def test_packed_weights_are_close_and_small(kind, most):
    """Also for a layer whose weights are no whole number of blocks."""
    torch.manual_seed(0)
    weight = torch.randn(33, 50)
    packed, scales = pack(weight, kind)
    again = unpack(packed, scales, kind, (33, 50))
    assert float((again - weight).norm() / weight.norm()) < most
    bits = 8 * packed.numel() * packed.element_size() / weight.numel()
    assert bits < (8.1 if kind == "int8" else 4.2)
    zero, scale = pack(torch.zeros(4, 64), kind)
    assert not unpack(zero, scale, kind, (4, 64)).any()


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_the_gradient_is_that_of_the_unpacked_weights(kind):
    """The layer keeps no unpacked weights, so its backward is its own."""
    torch.manual_seed(0)
    plain = nn.Linear(24, 40)
    layer = QuantizedLinear(plain.weight, plain.bias, kind)
    states = torch.randn(2, 5, 24, dtype=torch.float32, requires_grad=True)
    layer(states).square().sum().backward()
    found, states.grad = states.grad, None
    expected = nn.functional.linear(states, layer.unpacked(), layer.bias)
    expected.square().sum().backward()
    torch.testing.assert_close(found, states.grad)


@pytest.mark.parametrize("kind", ["int8", "nf4"])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_gradients_reach_a_tag_through_packed_layers(kind, architecture):
    """What stages train is the input; nothing of the backbone is trained or changed."""
    backbone = tiny_backbone(architecture)
    weights = backbone.num_parameters, backbone.num_matrix_weights
    backbone.use_precision(kind)
    assert (backbone.num_parameters, backbone.num_matrix_weights) == weights
    assert backbone.precision == kind
    before = backbone.checksum()
    model = TaggedModel(backbone)
    model.add_tag("T", torch.randn(3, 32))
    model.train_only([model.tags["T"]])
    ids = torch.cat([torch.arange(6), torch.tensor(model.layout.tag_ids("T"))]).long()[None]
    states = backbone.hidden_states(model.embed(ids), None, torch.arange(9)[None])
    states.square().mean().backward()
    assert float(model.tags["T"].grad.norm()) > 0
    assert not any(p.requires_grad for p in backbone.model.parameters())
    assert backbone.checksum() == before


def test_eight_bits_are_the_same_backbone():
    """The probe is taken of the packed weights, under the name of what is stored."""
    plain, packed = tiny_backbone("llama"), tiny_backbone("llama")
    packed.use_precision("int8")
    expected, found = plain.fingerprint(), packed.fingerprint()
    assert found.difference(expected) is None
    assert found.probe != expected.probe
    assert found.key == expected.key


def test_a_run_in_int8_is_predicted_in_int8(tmp_path, toy_registry, toy_backbone):
    """What a run reports is what its predictor gives; fp32 can be asked for, and differs."""
    table = write_table(tmp_path)
    made = run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, precision="int8")
    assert made.metrics["precision"] == "int8"
    assert made.predictor.task_model.model.backbone.precision == "int8"
    artifact = load_artifact(find_artifact(made.folder))
    exact = load_predictor(artifact, toy_registry, precision="fp32")
    rows = {"letters": ["aab", "bcab", "cc", "abcabca"]}
    found, other = (p.predict(rows, "numpy") for p in (made.predictor, exact))
    np.testing.assert_allclose(found, other, atol=0.1)
    assert not np.array_equal(found, other)
