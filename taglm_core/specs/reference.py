"""References to code by name, `"package.module:attribute"`, imported on first use."""

import importlib
import re
from typing import Any

from taglm_core.errors import PluginError

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
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise PluginError(
            f"{owner}: '{reference}' cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return found
