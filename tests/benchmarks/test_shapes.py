"""The script that measures backbones of known shapes."""

import json

import pytest
import torch

SCRIPT = "shapes"


@pytest.fixture(scope="module")
def shapes(script):
    """Return the script."""
    return script


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_shape_is_measured(shapes, precision, tmp_path, capsys):
    """Its line and its record say the same shape, in both precisions."""
    file = tmp_path / "found.json"
    words = f"--shapes toy --device cpu --seconds 0.01 --work 1e7 --tokens 16 --json {file}"
    shapes.main([*words.split(), "--precision", precision])
    (record,) = json.loads(file.read_text())["shapes"]
    assert record["parameters"] == 205_120  # counted by hand from the shape
    assert record["forward"] > 0
    assert record["backward"] > 0
    assert record["share_forward"] > 0
    assert record["cache_kb"] == pytest.approx(2 * 2 * 2 * 16 * 4 / 1000, abs=0.05)
    assert "toy" in capsys.readouterr().out


def test_shapes_are_those_of_the_models(shapes):
    """Nothing of their size is held: the weights are on no device."""
    meta = torch.device("meta")
    names = ("135M", "1B", "8B")
    sizes = {name: shapes.random_backbone(name, meta, "fp32").num_parameters for name in names}
    assert sizes["135M"] == 134_515_008
    assert sizes["1B"] == 1_235_814_400
    assert sizes["8B"] == 8_030_261_248 - 128_256 * 4096  # here the output matrix is the embedding


def test_an_unknown_shape_is_refused(shapes):
    """The message lists those that there are."""
    with pytest.raises(SystemExit, match="no shape 2B: take of toy"):
        shapes.main(["--shapes", "2B"])
