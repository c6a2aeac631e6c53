"""A device that cannot be used is refused in one line."""

import pytest

from taglm_core.errors import BackboneError
from taglm_core.model.backbone_loading import pick_device


@pytest.mark.parametrize("device", ["mps", "tpu", "cuda:99"])
def test_a_device_that_is_not_there(device):
    """Torch lists every backend and dispatch key that it was built with."""
    with pytest.raises(BackboneError, match=f"device '{device}' cannot be used") as caught:
        pick_device(device)
    assert len(str(caught.value)) < 400
