"""Studies for taglm: reference predictors beside every result, and `taglm data check`.

Importing this module only declares things; numpy and scikit-learn are imported on use.
"""

from typing import Any

import taglm_core as taglm

__version__ = "0.1.0"

__all__: list[str] = []


@taglm.hookimpl
def register_commands() -> list[taglm.Command]:
    """Return the command `taglm data`."""
    return [
        taglm.Command(
            name="data",
            help="Look at data files before training on them.",
            app="taglm_studies.check:app",
        )
    ]


@taglm.hookimpl
def on_rows_loaded(event: taglm.RowsLoaded) -> dict[str, Any] | None:
    """Look for leaks between parts, contradictions, outliers and odd units before training."""
    from taglm_studies.rows import look_over

    return look_over(event)


@taglm.hookimpl
def on_evaluated(
    event: taglm.Evaluated,
) -> dict[str, dict[str, dict[str, dict[str, float]]]] | None:
    """Fit reference predictors on the train part and score them on the parts of the task."""
    if event.target.kind == "text" or "train" not in event.parts:
        return None
    from taglm_studies.references import references

    return {"references": references(event)}
