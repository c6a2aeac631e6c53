"""The prefix cache: what rows share before the function tag is computed once and kept.

While only function tags and heads are trained, the keys and values of everything before the
function tag stay the same; when rows are screened, molecules and proteins recur.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs
import numpy as np
from torch import Tensor

from taglm_core.model.assembly import Rows
from taglm_core.model.collate import Batch
from taglm_core.model.prefix_cache.budget import cache_storages
from taglm_core.model.prefix_cache.cached_rows import CachedRows
from taglm_core.model.prefix_cache.cost_model import CachePlan, is_worth_holding, plan_cache
from taglm_core.model.prefix_cache.history import History
from taglm_core.model.prefix_cache.probe import find_difference, storages_worth_reading
from taglm_core.model.prefix_cache.rotary import Rotation, find_rotation
from taglm_core.model.prefix_cache.segments import divide_rows
from taglm_core.model.prefix_cache.storage import SegmentStore, Storage
from taglm_core.model.prefix_cache.whole_prefixes import WholePrefixes
from taglm_core.model.tagged import TaggedModel


class CachedStates(Protocol):
    """Rows of which a part is cached, in either way."""

    @property
    def num_cached(self) -> int:
        """Rows that are wholly cached."""
        ...

    @property
    def num_bytes(self) -> int:
        """Memory that the cache takes."""
        ...

    def states(self, indices: np.ndarray) -> tuple[Tensor, Batch]:
        """Run what is not cached of some rows: `(batch, seq, hidden)` and the batch of it."""
        ...


@attrs.define
class PrefixCache:
    """Cached segments of the rows of one tagged model.

    They hold while nothing before the function tags is trained.
    """

    model: TaggedModel
    store: SegmentStore
    rotation: Rotation | None
    """Moves spans; None: only whole prefixes are cached."""
    reason: str = ""
    """Why spans are not moved."""
    is_exact: bool = True
    """False: not even whole prefixes can be read in place on this backbone."""
    remarks: list[str] = attrs.field(factory=list)
    """What became of storages that were asked for."""
    on_plan: Callable[[str], None] | None = None
    """Hears the plan of the first rows that are screened."""
    history: History | None = None
    """What recurs from call to call; None: a call drops what its own rows do not need."""
    offered: Mapping[bytes, Tensor] = attrs.field(factory=dict)
    """Segments that were computed elsewhere; those that rows need are copied into the store."""

    @classmethod
    def open(
        cls, model: TaggedModel, setting: str, folder: Path, num_sharing: int = 1
    ) -> tuple["PrefixCache | None", list[str]]:
        """Return a cache as a setting says, None when it allows none, and remarks.

        Args:
            model: The model.
            setting: As `cache_setting` gives it.
            folder: For the file on disk.
            num_sharing: How many caches share what the setting allows, each an equal part.
        """
        storages, remarks = cache_storages(setting, model.backbone.device, folder)
        if not storages:
            return None, remarks
        cache = cls.on(model, storages=storages)
        cache.share(num_sharing)
        return (cache if cache.store.limit_bytes else None), remarks + cache.remarks

    @classmethod
    def on(
        cls, model: TaggedModel, limit_bytes: int = 0, storages: Sequence[Storage] = ()
    ) -> "PrefixCache":
        """Find out, by running a probe, what can be cached on a model's backbone.

        A span is read at two places and compared with whole rows; where the backbone cannot do
        that (absolute positions, other rotary layouts) whole prefixes are tried.

        Args:
            model: The model.
            limit_bytes: Of memory on the CPU, without `storages`.
            storages: Where segments lie; a disk is left out where computing is as quick.
        """
        worth, remarks = storages_worth_reading(model, storages)
        store = SegmentStore(limit_bytes, worth)
        found = find_rotation(model.backbone)
        if isinstance(found, str):
            reason = found
        else:
            error = find_difference(model, found)
            if error is None:
                return cls(model, store, found, remarks=remarks)
            reason = error
        return cls(model, store, None, reason, find_difference(model, None) is None, remarks)

    def fits(self, rows: Rows) -> bool:
        """Whether rows may run on cached segments: these know nothing of sliding windows."""
        window = self.model.backbone.window
        return self.is_exact and (window is None or int(rows.lengths.max(initial=0)) <= window)

    def rows(
        self, rows: Rows, is_isolated: bool, max_tokens: int, with_text: bool = True
    ) -> CachedRows:
        """Return rows, divided into segments; nothing is computed yet. See `CachedRows`."""
        return CachedRows(
            self.model,
            rows,
            is_isolated,
            self.rotation,
            self.store,
            max_tokens,
            with_text,
            self.history,
        )

    def whole_prefixes(
        self,
        rows: Rows,
        is_isolated: bool,
        max_tokens: int,
        limit_bytes: int,
        on_progress: Callable[[int], None] | None = None,
    ) -> WholePrefixes:
        """Compute and keep whole prefixes for rows that do not fit. See `WholePrefixes`."""
        return WholePrefixes(self.model, rows, is_isolated, limit_bytes, max_tokens, on_progress)

    @property
    def device_bytes(self) -> int:
        """Bytes below the limit in the memory of the backbone's device."""
        return dict(self.store.free).get(str(self.model.backbone.device), 0)

    def training_plan(self, cached: Sequence[CachedRows], epochs: float) -> CachePlan:
        """Return what the cache would save in training on some rows."""
        parts = [(each.segments, each.rows.lengths) for each in cached]
        return plan_cache(parts, self.model.backbone, self.store.free, epochs, trains=True)

    def screen(self, rows: Rows, is_isolated: bool, max_tokens: int) -> CachedRows | None:
        """Return rows for running each once, None when whole rows are as quick."""
        if not self.store.limit_bytes or not self.fits(rows):
            return None
        cached, known = self._divided(rows, is_isolated, max_tokens)
        parts, keys = [(cached.segments, rows.lengths)], cached.segments.keys
        plan = plan_cache(parts, self.model.backbone, self.store.limits, known=known)
        if self.history is not None and not plan.is_worth:
            self.history.note(keys)
        if self.on_plan is not None:
            self.on_plan(plan.line())
            self.on_plan = None
        return cached if plan.is_worth else None

    def screened_tokens(self, rows: Rows, is_isolated: bool) -> int:
        """Return the tokens that are computed when rows are screened: what recurs, once."""
        if not self.store.limit_bytes or not self.fits(rows):
            return int(rows.lengths.sum())
        is_movable = self.rotation is not None and is_isolated
        segments = divide_rows(rows, is_movable, with_text=False)
        return int(segments.sizes.sum() + (rows.lengths - segments.suffix_starts).sum())

    def _divided(
        self, rows: Rows, is_isolated: bool, max_tokens: int
    ) -> tuple[CachedRows, set[bytes]]:
        """Divide rows to be run once; also return the segments that cost nothing.

        Where training left many of them, rows are divided as training divided them.
        """
        cached = self.rows(rows, is_isolated, max_tokens, with_text=False)
        if self.history is not None:
            return cached, self.history.recurring(cached.segments.keys)
        if self.offered:
            return cached, self._taken(set(cached.segments.keys))
        backbone = self.model.backbone
        if not is_worth_holding(int(rows.lengths.sum()), backbone):
            return cached, set()
        ways = (cached, self.rows(rows, is_isolated, max_tokens))
        held = [np.array([key in self.store for key in w.segments.keys], bool) for w in ways]
        sizes = [int(w.segments.sizes[h].sum()) for w, h in zip(ways, held, strict=True)]
        best = int(np.argmax(sizes))
        if not is_worth_holding(sizes[best], backbone):
            return cached, set()
        keys = ways[best].segments.keys
        return ways[best], {key for key, is_held in zip(keys, held[best], strict=True) if is_held}

    def share(self, count: int) -> None:
        """Leave others as much as this cache keeps: it is one of so many on a machine."""
        for storage in self.store.storages:
            storage.limit_bytes //= count

    def keep_between_calls(self) -> None:
        """Keep segments that recur from one call of `screen` to the next, the latest used."""
        self.history = History(self.store)

    def _taken(self, keys: set[bytes]) -> set[bytes]:
        """Copy what is offered of some segments; return those that are in the store then."""
        self.store.keep_only(keys)
        for key in keys.intersection(self.offered):
            self.store.put(key, self.offered[key])
        return {key for key in keys if key in self.store}

    def emptied(self) -> "PrefixCache":
        """Return a cache without segments: this one on a device, else another beside it."""
        if self.model.backbone.device.type == "cpu":
            return attrs.evolve(self, store=SegmentStore(self.store.limit_bytes), history=None)
        self.store.keep_only(set())
        return self
