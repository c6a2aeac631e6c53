"""Hooks at the linear maps of a backbone's layers, through which tags act at their own tokens.

A hook does nothing unless a pass is run `acting`, and then at these positions only. So whatever
stands before a tag keeps its hidden states, and its cached keys and values stay valid.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from taglm_core.errors import BackboneError

DOWN, UP = "down", "up"
"""Ends of the names of an adapter's two matrices."""


@attrs.define(eq=False)
class Acting:
    """What tags do in the layers of one forward pass."""

    shape: tuple[int, int]
    """`(batch, seq)` of the ids."""
    parts: Sequence[tuple[Mapping[str, Tensor], Tensor, Tensor]]
    """Of each tag: its tensors by place; row and column of each of its positions."""
    writes: bool = False
    """Whether the pass is that of a text that is written: its first step runs the ids, or those
    behind a cached beginning, once for each beam; later steps run new tokens alone."""
    _done: set[str] = attrs.field(factory=set)

    def at(
        self, place: str, states: Tensor
    ) -> Iterator[tuple[Mapping[str, Tensor], tuple[Tensor, Tensor]]]:
        """Yield for each tag its tensors and its positions in `(batch, seq, ...)`."""
        if self.writes:
            if place in self._done:
                return
            self._done.add(place)
        count, behind = states.shape[0] // self.shape[0], self.shape[1] - states.shape[1]
        for tensors, rows, columns in self.parts:
            if count > 1:
                copies = torch.arange(count, device=rows.device)
                rows = (rows.unsqueeze(1) * count + copies).flatten()
                columns = columns.repeat_interleave(count)
            yield tensors, (rows, columns - behind)


_ACTING: ContextVar[Acting | None] = ContextVar("taglm_acting_tags", default=None)


@contextlib.contextmanager
def active(acting: Acting | None) -> Iterator[None]:
    """Let tags act in the passes that are run meanwhile."""
    token = _ACTING.set(acting)
    try:
        yield
    finally:
        _ACTING.reset(token)


def is_acting() -> bool:
    """Return whether a pass that is run now has tags that act in its layers."""
    return _ACTING.get() is not None


class LayerHooks:
    """The layers of a base model and their linear maps, hooked at the first use."""

    def __init__(self, base: nn.Module, num_layers: int, name: str) -> None:
        """Find the layers.

        Args:
            base: The base model.
            num_layers: As its config says.
            name: Of the backbone, for messages.

        Raises:
            BackboneError: when the base model has no single list of its layers.
        """
        lists: list[str] = []
        for path, module in base.named_modules():
            is_inside = any(path.startswith(f"{outer}.") for outer in lists)  # such as experts
            if isinstance(module, nn.ModuleList) and len(module) == num_layers and not is_inside:
                lists.append(path)
        if len(lists) != 1:
            raise BackboneError(
                f"backbone '{name}': its {num_layers} layers are not in one list, so tags cannot "
                "act in them. Set stages.task.tag=input."
            )
        self.base = base
        self.name = name
        self.layers = [f"{lists[0]}.{number}" for number in range(num_layers)]
        self._hooked: dict[str, nn.Module] = {}

    def linear_maps(self) -> dict[str, tuple[int, int]]:
        """Return the linear maps of the layers: path -> `(in_features, out_features)`."""
        found = {}
        for layer in self.layers:
            for path, module in self.base.get_submodule(layer).named_modules():
                sizes = _sizes(module)
                if sizes is not None:
                    found[f"{layer}.{path}"] = sizes
        return found

    def hook(self, places: Sequence[str]) -> None:
        """Put hooks where tensors of a tag act, `MAP.down` and `MAP.up` of each map."""
        for place in places:
            path = place.removesuffix(f".{DOWN}").removesuffix(f".{UP}")
            module = self.base.get_submodule(path)
            if self._hooked.get(path) is module:  # another precision puts another one there
                continue
            module.register_forward_hook(_adapter(path))
            self._hooked[path] = module

    @torch.no_grad()
    def seen(self, paths: Sequence[str], embedded: Tensor) -> dict[str, list[Tensor]]:
        """Return what modules take in one pass: path -> each input `(batch, seq, features)`.

        Args:
            paths: Modules of the base model.
            embedded: `(batch, seq, hidden)`.
        """
        found: dict[str, list[Tensor]] = {path: [] for path in paths}

        def keep(path: str) -> Any:
            def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
                found[path].extend(each for each in args[:1] if isinstance(each, Tensor))

            return hook

        handles = [
            self.base.get_submodule(path).register_forward_pre_hook(keep(path)) for path in paths
        ]
        try:
            self.base(inputs_embeds=embedded, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        return found


def _sizes(module: nn.Module) -> tuple[int, int] | None:
    """Return the features in and out of a linear map, None of another module."""
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, Conv1D):
        return int(module.weight.shape[0]), int(module.weight.shape[1])
    sizes = getattr(module, "in_features", None), getattr(module, "out_features", None)
    return None if None in sizes else (int(sizes[0]), int(sizes[1]))  # type: ignore[arg-type]


def _adapter(path: str) -> Any:
    """Return a hook that adds a low-rank map to what a linear map gives."""
    down, up = f"{path}.{DOWN}", f"{path}.{UP}"

    def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        acting = _ACTING.get()
        if acting is None:
            return output
        for tensors, positions in acting.at(path, args[0]):
            if up in tensors:
                taken = args[0][positions].float()  # (positions, in_features)
                added = taken @ tensors[down].T @ tensors[up].T
                output = output.index_put(positions, added.to(output.dtype), accumulate=True)
        return output

    return hook
