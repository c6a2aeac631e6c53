"""Gradient checkpointing of a frozen backbone: layers are run again in the backward pass.

The transformers library checkpoints layers in training mode only. A frozen backbone stays in
evaluation mode, so that no dropout is active; each layer is told that it trains for the moment in
which the library looks, and runs in evaluation mode, both times.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from taglm_core.errors import BackboneError
from taglm_core.model.free_memory import free_bytes

AUTO, ON, OFF = "auto", "on", "off"
_MOST_OF_FREE = 0.5
_TRIED = 16
"""Tokens of the row that shows how much a token keeps."""


def switch(value: object) -> str:
    """Return a setting in lower case; YAML reads a bare on and off as true and false."""
    text = str(value).strip().lower()
    return {"true": ON, "false": OFF}.get(text, text)


class Checkpoints:
    """Whether and how a model's layers are checkpointed."""

    def __init__(self, model: Any, name: str) -> None:
        """Keep the model.

        Args:
            model: A transformers model.
            name: Of the backbone, for messages.
        """
        self.setting = AUTO
        """`auto`: where a batch would keep more than half of the free memory; `on`; `off`."""
        self.is_divided = False
        """Whether weights come for each pass: all of them would be kept for the backward pass."""
        self._model = model
        self._name = name
        self._layers: list[Any] | None = None
        self._per_token: float | None = None

    def set(self, setting: str) -> None:
        """Choose auto, on or off.

        Raises:
            BackboneError: when it is on and the model has no layers that can be run again.
        """
        self.setting = setting
        if setting == ON and not self._enable():
            raise BackboneError(
                f"backbone '{self._name}' cannot be checkpointed by the transformers library. Set "
                "checkpointing=off and a smaller batch_tokens."
            )

    @property
    def are_certain(self) -> bool:
        """Whether layers are run again in every step of whole rows, whatever its size."""
        return self.setting == ON or (self.is_divided and self.setting != OFF)

    def are_wanted(self, embedded: Tensor, run: Callable[[Tensor], Tensor]) -> bool:
        """Whether a forward pass is to be checkpointed.

        Args:
            embedded: `(batch, seq, hidden)`: what would be run.
            run: Runs such a tensor plainly; used once, on a short row.
        """
        if self.setting == OFF or not torch.is_grad_enabled() or not embedded.requires_grad:
            return False
        if self.setting == ON:
            return True
        if self.is_divided:
            return bool(self._enable())
        if self._per_token is None:
            row = embedded.detach()[:1, :_TRIED].clone().requires_grad_(True)
            self._per_token = saved_bytes(self._model, partial(run, row)) / row.shape[1]
        tokens = embedded.shape[0] * embedded.shape[1]
        too_much = tokens * self._per_token > _MOST_OF_FREE * free_bytes(embedded.device)
        return too_much and bool(self._enable())

    def _enable(self) -> list[Any]:
        """Prepare the layers at the first use and return them."""
        if self._layers is None:
            self._layers = _prepared(self._model)
        return self._layers

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Run layers so that they keep their input only."""
        layers = self._enable()
        for layer in layers:
            layer.training = True
        # a layer that stops early when it is run again would keep the weights that came for it
        ends = set_checkpoint_early_stop(False) if self.is_divided else contextlib.nullcontext()
        try:
            with ends:
                yield
        finally:
            for layer in layers:
                layer.training = False


def _prepared(model: Any) -> list[Any]:
    """Switch the library's checkpointing on; return the layers that have it."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    # the second name is that of older versions
    enable = getattr(model, "activation_checkpointing_enable", None)
    try:
        if enable is not None:
            enable(activation_checkpointing_kwargs={"use_reentrant": False})
        else:
            model.gradient_checkpointing_enable({"use_reentrant": False})
    except ValueError:  # its architecture does not support it
        return []
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    for layer in layers:
        layer._gradient_checkpointing_func = partial(_run_again, layer)
    return layers


def _run_again(layer: Any, forward: Callable[..., Any], *inputs: Any) -> Any:
    """Checkpoint a layer's forward, which runs in evaluation mode now and in the backward pass.

    Tags that act in the layer do so both times.
    """
    context = contextvars.copy_context()

    def evaluated(*given: Any) -> Any:
        was = layer.training
        layer.training = False
        try:
            return forward(*given)
        finally:
            layer.training = was

    return checkpoint(partial(context.run, evaluated), *inputs, use_reentrant=False)


def saved_bytes(model: Any, run: Callable[[], Tensor]) -> int:
    """Count what a forward pass keeps for its backward pass, the model's own tensors not counted.

    Args:
        model: Its parameters and buffers are kept anyhow.
        run: The forward pass.
    """
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    saved: dict[int, Tensor] = {}  # tensors, so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(t.untyped_storage().nbytes() for place, t in saved.items() if place not in own)
