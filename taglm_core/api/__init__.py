"""What scripts and notebooks call, as `taglm.NAME`; the commands of the program call it too."""

from taglm_core.api import tags
from taglm_core.api.evaluation import Evaluation, evaluate
from taglm_core.api.identification import Identification, identify
from taglm_core.api.listing import plugins
from taglm_core.api.loading import load
from taglm_core.api.runs import Run, run, train
from taglm_core.api.sampling import Sample, sample
from taglm_core.inference.predictor import Predictor

__all__ = [
    "Evaluation",
    "Identification",
    "Predictor",
    "Run",
    "Sample",
    "evaluate",
    "identify",
    "load",
    "plugins",
    "run",
    "sample",
    "tags",
    "train",
]
