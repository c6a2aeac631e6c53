"""A plugin that imports a compiled library while it registers."""

import numpy as np

import taglm_core as taglm


@taglm.hookimpl
def register_splitters():
    """Return nothing of interest."""
    return [taglm.Splitter(name="own", assign="contract_cases.tables:odd_splits")][: np.int64(1)]
