"""Counts the bytes of live tensors, operation by operation; no clock and no allocator is asked."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """While active, follows every storage that an operation makes until it is freed."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._known = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._follow(tensor.untyped_storage())
        return made

    def _follow(self, storage):
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()

        def freed():
            self.now -= size
            self._known.pop(key, None)

        self._known[key] = weakref.finalize(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)
