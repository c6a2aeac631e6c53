"""A device that cannot be used is refused in one line."""

import pytest

from taglm_core.errors import BackboneError, UnknownNameError
from taglm_core.model.backbone_loading import locate, pick_device
from taglm_core.plugins import load_registry


@pytest.mark.parametrize("device", ["mps", "cuda:99"])
def test_a_device_that_is_not_there(device):
    """Torch lists every backend and dispatch key that it was built with."""
    with pytest.raises(BackboneError, match=f"device '{device}' cannot be used") as caught:
        pick_device(device)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("device", "hint"),
    [
        ("CPU", "'cpu'"),
        (" cpu", "'cpu'"),
        ("", ""),
        ("cpu=8GB", ""),
        ("cuda:", "'cuda'"),
        ("gpu", ""),
    ],
)
def test_a_device_that_is_misspelled(device, hint):
    """What can be written, without torch's list."""
    with pytest.raises(BackboneError, match=f"device '{device}' is unknown.*{hint}.* Write cpu"):
        pick_device(device)


def test_a_backbone_without_a_name():
    """An empty variable of a script is not the working folder."""
    with pytest.raises(UnknownNameError, match="the name of the backbone is empty"):
        locate(" ", load_registry(only=()))
