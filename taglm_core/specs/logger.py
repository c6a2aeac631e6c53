"""A logger: where the scores of a run go while it trains, such as TensorBoard."""

import attrs

from taglm_core.specs.fields import identifier, reference
from taglm_core.specs.packages import why_missing


@attrs.frozen(kw_only=True)
class Logger:
    """Receives losses and scores of a run while it trains; chosen by `--log-to`."""

    name: str = attrs.field(validator=identifier)
    """Word of `--log-to`, such as "tensorboard"."""
    open: str = attrs.field(validator=reference)
    """`(folder: Path, settings: Mapping[str, value]) -> object` with `log(stage: str, step: int,
    values: Mapping[str, float])`, called at each step and evaluation, and `close(results:
    Mapping[str, float] | None)`, called once with the final scores, or None if the run ends without
    them. `folder` is the run folder, `settings` what the run sets, by dotted keys."""
    needs_package: str = ""
    """Package without which it cannot be opened."""
    install: str = ""
    """What pip installs to have the package; "": its own name."""
    description: str = ""
    """One sentence for listings."""

    def why_not(self) -> str | None:
        """Return why it cannot be opened here, None when it can."""
        return why_missing(self.needs_package, self.install)
