"""The words that the core's own commands take; a plugin's command cannot have one of them."""

CORE_WORDS = frozenset(
    {
        "backbone",
        "check-plugin",
        "condition",
        "doctor",
        "evaluate",
        "identify",
        "init",
        "new-plugin",
        "plugins",
        "predict",
        "run",
        "runs",
        "sample",
        "tags",
    }
)
