"""What the stages minimize; the loop in `taglm_core.training.fit` knows only the protocol."""

from taglm_core.training.objectives.domain import DomainObjective
from taglm_core.training.objectives.head import HeadObjective
from taglm_core.training.objectives.joint import JointObjective
from taglm_core.training.objectives.protocol import Objective, TaskObjective
from taglm_core.training.objectives.text import TextObjective

__all__ = [
    "DomainObjective",
    "HeadObjective",
    "JointObjective",
    "Objective",
    "TaskObjective",
    "TextObjective",
]
