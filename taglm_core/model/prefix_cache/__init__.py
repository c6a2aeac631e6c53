"""The prefix cache: what rows share is computed once.

`PrefixCache` and its `CachedRows` are what other packages use; `cache_setting` reads its setting,
`ForwardCost` and `bytes_per_token` count work and memory, `shown` writes sizes. Inside: `segments`
divides rows, `storage` keeps what was computed, `budget` sets limits, `cost_model` counts what a
cache saves, `attention` reads segments where they lie, `rotary` moves them to other positions,
`cached_rows` runs rows on them, `whole_prefixes` does so by the caches of transformers, and `probe`
proves on the backbone at hand that the results are the same.
"""

from taglm_core.model.prefix_cache.budget import cache_setting, shown
from taglm_core.model.prefix_cache.cache import CachedStates, PrefixCache
from taglm_core.model.prefix_cache.cached_rows import CachedRows, screening_batches
from taglm_core.model.prefix_cache.cost_model import (
    ForwardCost,
    bytes_per_token,
    is_worth_holding,
)
from taglm_core.model.prefix_cache.segments import TEXT

__all__ = [
    "TEXT",
    "CachedRows",
    "CachedStates",
    "ForwardCost",
    "PrefixCache",
    "bytes_per_token",
    "cache_setting",
    "is_worth_holding",
    "screening_batches",
    "shown",
]
