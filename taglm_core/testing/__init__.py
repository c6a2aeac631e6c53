"""Tiny fixtures and contract checks for plugin authors and for the core's own tests.

Names are imported on first use, so that pytest finds the core's plugin without importing torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taglm_core.testing.contract.outcomes import Check
    from taglm_core.testing.contract.suite import check_plugin, plan_checks
    from taglm_core.testing.tiny import ARCHITECTURES, tiny_backbone, tiny_tokenizer

__all__ = [
    "ARCHITECTURES",
    "Check",
    "check_plugin",
    "plan_checks",
    "tiny_backbone",
    "tiny_tokenizer",
]

_PLACES = {
    "ARCHITECTURES": "taglm_core.testing.tiny",
    "Check": "taglm_core.testing.contract.outcomes",
    "check_plugin": "taglm_core.testing.contract.suite",
    "plan_checks": "taglm_core.testing.contract.suite",
    "tiny_backbone": "taglm_core.testing.tiny",
    "tiny_tokenizer": "taglm_core.testing.tiny",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
