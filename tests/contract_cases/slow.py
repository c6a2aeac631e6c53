"""A plugin that works while it is imported."""

import time

import taglm_core as taglm

_END = time.process_time() + 0.25
while time.process_time() < _END:
    pass


@taglm.hookimpl
def register_splitters():
    """Return nothing of interest."""
    return [taglm.Splitter(name="own", assign="contract_cases.tables:odd_splits")]
