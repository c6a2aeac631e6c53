"""References to code by name, `"package.module:attribute"`, imported on first use."""

import importlib
import re
from typing import Any

from taglm_core.errors import PluginError
from taglm_core.specs.isolation import call_plugin

_FORM = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def is_reference(text: str) -> bool:
    """Say whether `text` has the form `package.module:attribute`."""
    return _FORM.fullmatch(text) is not None


def resolve(reference: str, owner: str) -> Any:
    """Import the object that a reference names.

    Args:
        reference: `package.module:attribute`.
        owner: Who declared it, for the message: `chem/SMILES, encoder`.

    Raises:
        PluginError: when the form is wrong, or module or attribute cannot be had.
    """
    if not is_reference(reference):
        raise PluginError(f"{owner}: '{reference}' is not of the form 'package.module:attribute'.")
    module_name, _, attribute = reference.partition(":")
    try:
        return call_plugin(_imported, module_name, attribute)
    except PluginError as error:
        raise PluginError(f"{owner}: '{reference}' cannot be imported: {error}") from error


def _imported(module_name: str, attribute: str) -> Any:
    value: Any = importlib.import_module(module_name)
    for part in attribute.split("."):
        value = getattr(value, part)
    return value
