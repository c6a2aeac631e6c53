"""Converters and validators that the spec classes share."""

import re
from collections.abc import Iterable
from typing import Any

from taglm_core.errors import ConfigError
from taglm_core.specs.reference import is_reference

_NAME = re.compile(r"[A-Za-z][\w.+-]*")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h)")


def as_names(value: "str | Iterable[str]") -> tuple[str, ...]:
    """Take one name or several; give a tuple."""
    return (value,) if isinstance(value, str) else tuple(value)


def identifier(instance: Any, attribute: Any, value: Any) -> None:
    """Demand a name: a letter, then letters, digits and `_ . + -`."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ConfigError(
            f"{type(instance).__name__}: {attribute.name} must be a name (a letter, then letters, "
            f"digits, '_', '.', '+', '-'), not {value!r}."
        )


def reference(instance: Any, attribute: Any, value: Any) -> None:
    """Demand `package.module:attribute`."""
    if not isinstance(value, str) or not is_reference(value):
        raise ConfigError(
            f"{type(instance).__name__}: {attribute.name} must be 'package.module:attribute', "
            f"not {value!r}."
        )


def optional_reference(instance: Any, attribute: Any, value: Any) -> None:
    """Demand None or `package.module:attribute`."""
    if value is not None:
        reference(instance, attribute, value)


def one_of(*allowed: str) -> Any:
    """Return a validator that demands one of the given words."""

    def check(instance: Any, attribute: Any, value: Any) -> None:
        if value not in allowed:
            raise ConfigError(
                f"{attribute.name} must be one of {', '.join(allowed)}, not {value!r}."
            )

    return check


def positive(instance: Any, attribute: Any, value: Any) -> None:
    """Demand None or a number above 0."""
    if value is not None and not value > 0:
        raise ConfigError(f"{attribute.name} must be above 0, not {value!r}.")


def positive_finite(instance: Any, attribute: Any, value: Any) -> None:
    """Demand None or a finite number above 0."""
    positive(instance, attribute, value)
    if value == float("inf"):
        raise ConfigError(f"{attribute.name} must be a finite number, not {value!r}.")


def not_negative(instance: Any, attribute: Any, value: Any) -> None:
    """Demand None or a number that is not below 0."""
    if value is not None and not value >= 0:
        raise ConfigError(f"{attribute.name} must not be below 0, not {value!r}.")


def check_seed(value: int, name: str = "seed") -> None:
    """Demand a seed that every library takes: from 0 to 2**32 - 1.

    Raises:
        ConfigError: naming the value.
    """
    if not 0 <= value < 2**32:
        raise ConfigError(f"{name} must be a whole number from 0 to {2**32 - 1}, not {value!r}.")


def seed_number(instance: Any, attribute: Any, value: Any) -> None:
    """Demand None or a seed."""
    if value is not None:
        check_seed(value, attribute.name)


def share(instance: Any, attribute: Any, value: Any) -> None:
    """Demand a number from 0 to 1."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{attribute.name} must be between 0 and 1, not {value!r}.")


def seconds_of(text: str | None) -> float | None:
    """Read a duration such as 90s, 10m or 1.5h.

    Raises:
        ConfigError: when it is another text, or no time at all.
    """
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not seconds:
        raise ConfigError(f"time: write a duration such as 90s, 10m or 1.5h, not {text!r}.")
    return seconds


def duration(instance: Any, attribute: Any, value: Any) -> None:
    """Demand None or a duration such as 10m."""
    seconds_of(value)
