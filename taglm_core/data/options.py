"""Options that a run gives to a dataset's `load`, checked before anything is made or fetched."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from taglm_core.errors import ConfigError, nearest


def check_options(name: str, load: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Demand that a dataset takes the options; one with `**options` checks them itself.

    Args:
        name: Full name of the dataset.
        load: Its function.
        options: `data.options`, and `file` when the run names one.

    Raises:
        ConfigError: naming the nearest option that there is.
    """
    parameters = inspect.signature(load).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = [parameter for parameter in parameters if parameter not in ("seed", "size")]
    for option in options:
        if option not in known:
            what = "reads no file" if option == "file" else f"has no option '{option}'"
            raise ConfigError(
                f"dataset {name} {what}.{nearest(option, known)} Its options: "
                f"{', '.join(known) or 'none'}."
            )
