"""taglm: a frozen causal language model, made useful in a domain by small input tags.

`import taglm` gives all of this to plugins, scripts and notebooks; it imports neither torch nor a
plugin.
"""

from taglm_core.plugins.hookspecs import hookimpl
from taglm_core.specs import (
    Backbone,
    Baseline,
    BaselineResult,
    Checked,
    Classification,
    Command,
    Dataset,
    Domain,
    Encoded,
    Encoder,
    Evaluated,
    Fixed,
    Head,
    Logger,
    Metric,
    Reader,
    Regression,
    RowsLoaded,
    RunFinished,
    SampleData,
    SplitData,
    Splitter,
    StageStarted,
    Task,
    TaskData,
    Template,
    Text,
)

__version__ = "0.1.0"

__all__ = [
    "Backbone",
    "Baseline",
    "BaselineResult",
    "Checked",
    "Classification",
    "Command",
    "Dataset",
    "Domain",
    "Encoded",
    "Encoder",
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
    "Task",
    "TaskData",
    "Template",
    "Text",
    "hookimpl",
]
