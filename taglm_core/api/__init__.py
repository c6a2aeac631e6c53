"""What scripts and notebooks call, as `taglm.NAME`; the commands of the program call it too.

Names are imported on first use, so that a command that lists plugins does not load torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taglm_core.api import backbones, tags
    from taglm_core.api.conditioning import condition
    from taglm_core.api.evaluation import Evaluation, evaluate
    from taglm_core.api.identification import Identification, identify
    from taglm_core.api.listing import plugins
    from taglm_core.api.loading import load, load_together
    from taglm_core.api.runs import Run, run, train
    from taglm_core.api.sampling import Sample, sample
    from taglm_core.inference.predictor import Predictor
    from taglm_core.inference.together import Predictors

__all__ = [
    "Evaluation",
    "Identification",
    "Predictor",
    "Predictors",
    "Run",
    "Sample",
    "backbones",
    "condition",
    "evaluate",
    "identify",
    "load",
    "load_together",
    "plugins",
    "run",
    "sample",
    "tags",
    "train",
]

_PLACES = {
    "Evaluation": "api.evaluation",
    "Identification": "api.identification",
    "Predictor": "inference.predictor",
    "Predictors": "inference.together",
    "Run": "api.runs",
    "Sample": "api.sampling",
    "backbones": "api.backbones",
    "condition": "api.conditioning",
    "evaluate": "api.evaluation",
    "identify": "api.identification",
    "load": "api.loading",
    "load_together": "api.loading",
    "plugins": "api.listing",
    "run": "api.runs",
    "sample": "api.sampling",
    "tags": "api.tags",
    "train": "api.runs",
}
"""Public name -> module of `taglm_core` that holds it; `backbones` and `tags` are modules."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"taglm_core.{_PLACES[name]}")
    return module if name in ("backbones", "tags") else getattr(module, name)
