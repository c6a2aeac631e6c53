"""What a plugin declares: small frozen classes that import neither torch nor a domain library."""

from taglm_core.specs.baselines import Baseline, BaselineResult, SplitData, TaskData
from taglm_core.specs.decoding import Decoding
from taglm_core.specs.domain import Domain
from taglm_core.specs.encoding import Checked, Encoded, Encoder, Fixed
from taglm_core.specs.engine import Call, Engine, Workers
from taglm_core.specs.events import Evaluated, RowsLoaded, RunFinished, StageStarted
from taglm_core.specs.logger import Logger
from taglm_core.specs.reader import Reader
from taglm_core.specs.resources import (
    Backbone,
    Command,
    Dataset,
    Head,
    Metric,
    Splitter,
    TagFolder,
)
from taglm_core.specs.sampling import SampleData
from taglm_core.specs.target import Classification, Regression, Target, Text
from taglm_core.specs.task import Task, Template

__all__ = [
    "Backbone",
    "Baseline",
    "BaselineResult",
    "Call",
    "Checked",
    "Classification",
    "Command",
    "Dataset",
    "Decoding",
    "Domain",
    "Encoded",
    "Encoder",
    "Engine",
    "Evaluated",
    "Fixed",
    "Head",
    "Logger",
    "Metric",
    "Reader",
    "Regression",
    "RowsLoaded",
    "RunFinished",
    "SampleData",
    "SplitData",
    "Splitter",
    "StageStarted",
    "TagFolder",
    "Target",
    "Task",
    "TaskData",
    "Template",
    "Text",
    "Workers",
]
