"""taglm: a frozen causal language model, made useful in a domain by small input tags.

`import taglm` is the public API of scripts, notebooks and plugins. What trains and predicts is
imported on first use, so that importing taglm loads neither torch nor pandas nor a plugin.

Example:
    run = taglm.run("QED", preset="quick")
    run.predictor.predict(["CCO", "c1ccccc1"])
"""

import importlib
from typing import TYPE_CHECKING, Any

import taglm_core.api  # its names are imported on first use
from taglm_core import *  # noqa: F403 # what plugins declare; its __all__ is part of the one below
from taglm_core import __version__

if TYPE_CHECKING:
    from taglm_core.api import *  # noqa: F403

_OF_PLUGINS = {
    "TagClassifier": ("taglm_studies.sklearn", "taglm-plugin-studies"),
    "TagRegressor": ("taglm_studies.sklearn", "taglm-plugin-studies"),
}
"""Names that a plugin gives: its module, and the distribution to install."""

__all__ = ["__version__"]
__all__ += taglm_core.api.__all__
__all__ += taglm_core.__all__


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in _OF_PLUGINS:
        value = getattr(_plugin_module(name), name)
    elif name in taglm_core.api.__all__:
        value = getattr(taglm_core.api, name)
    else:
        raise AttributeError(f"module 'taglm' has no attribute {name!r}")
    globals()[name] = value
    return value


def _plugin_module(name: str) -> Any:
    module, distribution = _OF_PLUGINS[name]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"taglm.{name} needs {error.name}: pip install {distribution}", name=error.name
        ) from error


def __dir__() -> list[str]:
    return sorted([*__all__, *_OF_PLUGINS])
