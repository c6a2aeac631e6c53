"""Backward passes through layers that lie elsewhere: weights are read again, not kept for them.

A backward pass needs the weights of every layer, and what torch saves for it would hold all of them
on the device. Instead the place is saved from which a weight came.
"""

from collections.abc import Mapping
from typing import Any

import attrs
from accelerate.hooks import AlignDevicesHook, ModelHook, add_hook_to_module
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks


@attrs.frozen
class _Place:
    """Where a weight lies, and how a saved tensor looks at it."""

    weights: Mapping[str, Tensor]
    name: str
    like: tuple[Any, Any]
    """Device and dtype of the weight that came."""
    view: tuple[Any, Any]
    """Size and stride of the tensor that is saved, such as the transposed weight."""

    def read(self) -> Tensor:
        device, dtype = self.like
        weight = self.weights[self.name].to(dtype).to(device)
        return weight.as_strided(*self.view, weight.storage_offset())


class Arrivals:
    """The weights that came to the device for the module that runs now."""

    def __init__(self, model: nn.Module) -> None:
        """Watch modules whose weights come for each pass.

        Args:
            model: With accelerate's hooks.
        """
        self._here: dict[int, tuple[Tensor, str, Mapping[str, Tensor]]] = {}
        for module in model.modules():
            hook = getattr(module, "_hf_hook", None)
            if isinstance(hook, AlignDevicesHook) and hook.offload:
                add_hook_to_module(module, _Watch(self._here, hook.weights_map), append=True)

    def read_again(self) -> saved_tensors_hooks:
        """Let the backward pass of what is run meanwhile read these weights again."""
        return saved_tensors_hooks(self._saved, _restored)

    def _saved(self, tensor: Tensor) -> Tensor | _Place:
        weight, name, weights = self._here.get(tensor.data_ptr(), (None, "", {}))
        is_whole = weight is not None and tensor.numel() == weight.numel()
        if weight is None or not is_whole or tensor.dtype != weight.dtype:
            return tensor
        like = (weight.device, weight.dtype)
        return _Place(weights, name, like, (tensor.size(), tensor.stride()))


def _restored(saved: Tensor | _Place) -> Tensor:
    return saved.read() if isinstance(saved, _Place) else saved


class _Watch(ModelHook):  # type: ignore[misc]
    """Notes the weights of a module while it runs; stands behind the hook that brings them."""

    def __init__(
        self, here: dict[int, tuple[Tensor, str, Mapping[str, Tensor]]], weights: Mapping[str, Any]
    ) -> None:
        self._here, self._weights = here, weights

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Note them."""
        self._here.clear()
        for name, weight in (
            *module.named_parameters(recurse=False),
            *module.named_buffers(recurse=False),
        ):
            if name in self._weights:
                # held, so that no other tensor takes the address
                self._here[weight.data_ptr()] = (weight, name, self._weights)
        return args, kwargs

    def post_forward(self, module: nn.Module, output: Any) -> Any:
        """Forget them."""
        self._here.clear()
        return output
