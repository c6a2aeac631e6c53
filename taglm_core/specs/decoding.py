"""How text is written: settings that a run remembers and a prediction may change."""

from collections.abc import Mapping
from typing import Any

import attrs

from taglm_core.caller import is_command
from taglm_core.errors import ConfigError
from taglm_core.specs.fields import one_of, seed_number


def _at_least(limit: float) -> Any:
    def check(instance: Any, attribute: Any, value: Any) -> None:
        if value is not None and value < limit:
            raise ConfigError(f"decode.{attribute.name} must be {limit:g} or more, not {value!r}.")

    return check


@attrs.frozen(kw_only=True)
class Decoding:
    """How the LM's own head writes an output text."""

    how: str = attrs.field(default="greedy", validator=one_of("greedy", "beam", "sample"))
    """Decoding method: greedy (most probable token), beam (best of several hypotheses) or sample
    (random, the same for a row in any batch)."""
    beams: int = attrs.field(default=4, validator=_at_least(2))
    """Number of hypotheses of beam search."""
    length_penalty: float = 1.0
    """Beam search: exponent of the length by which a log-probability is divided; above 1 prefers
    longer text."""
    temperature: float = attrs.field(default=1.0)
    """Sampling: divisor of the logits; below 1 sharpens the distribution, above 1 flattens it."""
    top_p: float = attrs.field(default=1.0)
    """Sampling: draw from the most probable tokens that together reach this probability, such as
    0.9."""
    seed: int = attrs.field(default=0, validator=seed_number)
    """Sampling: random seed; another seed gives other texts for the same rows."""
    max_new_tokens: int | None = attrs.field(default=None, validator=_at_least(1))
    """Maximum length of the output in tokens, such as 40; None: the task's own limit."""
    min_new_tokens: int = attrs.field(default=0, validator=_at_least(0))
    """Minimum length of the output in tokens."""

    @temperature.validator
    def _check_temperature(self, attribute: "attrs.Attribute[float]", value: float) -> None:
        if not 0 < value < float("inf"):
            raise ConfigError(
                f"decode.temperature must be a finite number above 0, not {value!r}; for no "
                "randomness choose greedy."
            )

    @top_p.validator
    def _check_top_p(self, attribute: "attrs.Attribute[float]", value: float) -> None:
        if not 0 < value <= 1:
            raise ConfigError(f"decode.top_p must be above 0 and at most 1, not {value!r}.")


OPTIONS = {
    "how": "--decode",
    "beams": "--beams",
    "temperature": "--temperature",
    "top_p": "--top-p",
    "seed": "--decode-seed",
    "max_new_tokens": "--max-new-tokens",
}
"""Setting -> option of the commands that write texts."""


def changed_decoding(
    decoding: Decoding, options: Mapping[str, Any], names: Mapping[str, str] = OPTIONS
) -> Decoding:
    """Return decoding settings with others in place of some of them.

    Args:
        decoding: What a run remembers.
        options: Setting -> value.
        names: Setting -> option of the command, where it is one.

    Raises:
        ConfigError: for a wrong value, naming the option at the command line, the key elsewhere.
    """
    for key, value in options.items():
        try:
            attrs.evolve(decoding, **{key: value})
        except ConfigError as error:
            reason = str(error).removeprefix("decode.").removeprefix(key)
            name = names.get(key, key) if is_command() else key
            raise ConfigError(f"{name}{reason}") from error
        except TypeError as error:  # a text where a number belongs
            raise ConfigError(f"{key} must be a number, not {value!r}.") from error
    return attrs.evolve(decoding, **options)
