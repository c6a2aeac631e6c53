"""Presets: sets of defaults that a run file, `--set` and the options change further."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # Tag-LLM appendix A; epochs of the tasks differ there (Translate 1, QED 2, Descriptor, DC and
    # BA 4), so they are the run's to set
    "paper": {
        "stages": {
            "domain": {"tag_init": "mean", "lr": 1e-4},
            "task": {
                "enrich": True,
                "tag": "input",
                "tag_length": 10,
                "tag_init": "mean",
                "lr": 1e-4,
                "head": "linear",
                "features": "off",
                "pooling": "last",
                "head_init": "mean_embedding",
                "max_steps": None,
                "num_evaluations": 10,
                "batch_size": 32,
                "epochs": 2.0,
            },
        }
    },
    # for more time: tags that fit more closely, three of them, all training rows
    "accurate": {
        "stages": {"task": {"tag": "adapter", "ensemble": 3, "rows": None, "valid_rows": None}}
    },
    "quick": {
        "data": {"size": 2500},
        "stages": {
            "domain": {"size": 3000, "max_steps": 30, "num_evaluations": 3},
            "task": {"epochs": 1.5, "num_evaluations": 2},
        },
    },
}
"""Name of a preset -> settings, nested as in a run file."""
