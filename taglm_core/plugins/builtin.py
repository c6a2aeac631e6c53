"""The core's own registrations, through the same hooks as any plugin's."""

from taglm_core.plugins.hookspecs import hookimpl
from taglm_core.specs import Head, Metric, Split


@hookimpl
def register_splits() -> list[Split]:
    """The random split, which keeps nothing apart but equal rows."""
    return [
        Split(
            name="random",
            assign="taglm_core.data.splits:assign_random",
            description="80/10/10 by seed; equal rows stay together, nothing else is kept apart",
        ),
        Split(
            name="row",
            assign="taglm_core.data.splits:assign_random",
            whole_rows=True,
            description="80/10/10 by seed; rows equal in every field, words too, stay together",
        ),
    ]


@hookimpl
def register_heads() -> list[Head]:
    """The paper's head, and one with hidden layers."""
    return [
        Head(
            name="linear",
            module="taglm_core.model.heads:LinearHead",
            description="a matrix without bias on the last row of the function tag (paper)",
        ),
        Head(
            name="mlp",
            module="taglm_core.model.heads:MLPHead",
            description="hidden layers (units=64, layers=2, dropout=0.1); says more of pairs and "
            "weighs more",
        ),
    ]


@hookimpl
def register_metrics() -> list[Metric]:
    """The usual metrics; references only, numpy is imported when one is computed."""
    from taglm_core.specs.metrics import METRICS

    return list(METRICS)
