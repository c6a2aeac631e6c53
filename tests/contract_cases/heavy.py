"""A plugin that imports a compiled library while it registers."""

import numpy as np

import taglm_core as taglm


@taglm.hookimpl
def register_splits():
    """Return nothing of interest."""
    return [taglm.Split(name="own", assign="contract_cases.tables:odd_parts")][: np.int64(1)]
