"""Options that a run gives to a plugin's function, checked before anything is made or fetched."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from taglm_core.errors import ConfigError, nearest


def check_options(
    owner: str, function: Callable[..., Any], options: Mapping[str, Any], supplied: Iterable[str]
) -> None:
    """Demand that a function takes the options; one with `**options` checks them itself.

    Args:
        owner: What it belongs to, for the message: `dataset dna/reads`.
        function: Registered by a plugin, or a class.
        options: The run's `data.options` or `stages.task.head_options`.
        supplied: Arguments that the core gives, which are no options.

    Raises:
        ConfigError: naming the nearest option that there is.
    """
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = [parameter for parameter in parameters if parameter not in set(supplied)]
    for option in options:
        if option not in known:
            what = "reads no file" if option == "file" else f"has no option '{option}'"
            raise ConfigError(
                f"{owner} {what}.{nearest(option, known)} Its options: "
                f"{', '.join(known) or 'none'}."
            )
