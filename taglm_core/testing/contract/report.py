"""What a check is, and how it is run."""

import traceback
import warnings
from collections.abc import Callable

import attrs

from taglm_core.errors import TaglmError, UnavailableError
from taglm_core.testing.contract.context import Subject
from taglm_core.testing.contract.outcomes import Broken, Check, NotApplicable


def _always(subject: Subject) -> bool:
    return True


@attrs.frozen
class Rule:
    """A check before it has an object: a function whose docstring says what must hold."""

    function: Callable[[Subject], None]
    applies: Callable[[Subject], bool] = _always
    """Whether an object has what the check looks at; if not, it is not planned."""

    @property
    def name(self) -> str:
        """Name of the check."""
        return self.function.__name__

    @property
    def summary(self) -> str:
        """What must hold, one sentence."""
        return (self.function.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")


@attrs.frozen
class Planned:
    """A check of one object, to be run."""

    kind: str
    object: str
    rule: Rule
    subject: Subject

    @property
    def id(self) -> str:
        """`kind:object:check`."""
        return f"{self.kind}:{self.object}:{self.rule.name}"

    def run(self) -> Check:
        """Run the check; whatever the plugin's code raises is its failure."""
        outcome, reason = "passed", ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # odd input is given on purpose
                self.rule.function(self.subject)
        except (NotApplicable, UnavailableError) as skip:
            outcome, reason = "skipped", str(skip)
        except (Broken, TaglmError) as error:
            outcome, reason = "failed", str(error)
        except (Exception, SystemExit) as error:
            outcome, reason = "failed", _raised(error)
        return Check(
            kind=self.kind,
            object=self.object,
            check=self.rule.name,
            outcome=outcome,
            reason=reason,
        )


def _raised(error: BaseException) -> str:
    """Say what was raised and where in the plugin's code."""
    frames = traceback.extract_tb(error.__traceback__)
    outside = [frame for frame in frames if "taglm_core" not in frame.filename]
    frame = (outside or frames)[-1]
    return (
        f"raised {type(error).__name__}: {error} ({frame.filename}, line {frame.lineno}, in "
        f"{frame.name}). This input is allowed: return a result instead of raising."
    )
