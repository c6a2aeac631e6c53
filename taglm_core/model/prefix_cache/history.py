"""Segments that are kept from one call to the next: those that recur, the latest used.

A prediction of a file drops what its next rows do not need. A service cannot know its next rows, so
it keeps a segment when it is seen for the second time, and drops the least recently used ones when
the memory limit is reached.
"""

from collections import OrderedDict
from collections.abc import Collection, Mapping

from taglm_core.model.prefix_cache.storage import SegmentStore

_REMEMBERED = 100_000
"""Most segments that are remembered without being kept; each takes about 100 bytes."""


class History:
    """Which segments of a store recur, and when each was last used."""

    def __init__(self, store: SegmentStore) -> None:
        """Begin with no history.

        Args:
            store: Holds the segments; nothing else may drop segments of it.
        """
        self.store = store
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        """Segments that were seen and are not kept, the oldest first."""
        self._kept: OrderedDict[bytes, None] = OrderedDict()
        """Kept segments, the least recently used first."""

    def recurring(self, keys: Collection[bytes]) -> set[bytes]:
        """Return those of some segments that are kept or were seen before."""
        return {key for key in keys if key in self._seen or key in self.store}

    def make_room(self, wanted: Mapping[bytes, int], needed: Collection[bytes]) -> None:
        """Drop the least recently used segments until others fit.

        Args:
            wanted: Segment that will be put into the store -> its bytes.
            needed: Segments that must stay. No tensor of another segment may be in use.
        """
        missing = sum(wanted.values()) - sum(free for _, free in self.store.free)
        dropped = set()
        for key in self._kept:
            if missing <= 0:
                break
            segment = self.store.get(key) if key not in needed else None
            if segment is not None:
                dropped.add(key)
                missing -= segment.numel() * segment.element_size()
        if dropped:
            for key in dropped:
                del self._kept[key]
            self.store.keep_only(set(self._kept))

    def note(self, keys: Collection[bytes]) -> None:
        """Remember that segments were used now."""
        for key in keys:
            if key in self.store:
                self._seen.pop(key, None)
                self._kept[key] = None
                self._kept.move_to_end(key)
            else:
                self._seen[key] = None
                self._seen.move_to_end(key)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
