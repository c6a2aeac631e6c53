"""Studies for taglm: baselines beside every result, `taglm data check`, and reports.

Importing this module only declares things; numpy and scikit-learn are imported on use.
"""

from typing import Any

import taglm_core as taglm

__version__ = "0.1.0"

__all__: list[str] = []


@taglm.hookimpl
def register_commands() -> list[taglm.Command]:
    """Return the commands that look at data, write reports and run studies."""
    return [
        taglm.Command(
            name="data",
            help="Check and split data files before training.",
            app="taglm_studies.check:app",
        ),
        taglm.Command(
            name="report",
            help="Write the report of a run as one HTML file, or compare several runs.",
            app="taglm_studies.report.command:report",
        ),
        taglm.Command(
            name="compare",
            help="Compare a tag with LoRA, prompt tuning, probes and prompts on the same rows.",
            app="taglm_studies.study.command:compare",
        ),
        taglm.Command(
            name="ablate",
            help="Remove or change one part of the method at a time, and measure the effect.",
            app="taglm_studies.study.command:ablate",
        ),
        taglm.Command(
            name="sweep",
            help="Run a task with every combination of some settings, or search for the best.",
            app="taglm_studies.study.command:sweep",
        ),
    ]


@taglm.hookimpl
def register_loggers() -> list[taglm.Logger]:
    """Return loggers of other projects, each with an extra of its own."""
    return [
        taglm.Logger(
            name="tensorboard",
            open="taglm_studies.loggers:TensorBoard",
            needs_package="tensorboard",
            install="taglm-plugin-studies[tensorboard]",
            description="event files for TensorBoard, in the run folder",
        ),
        taglm.Logger(
            name="mlflow",
            open="taglm_studies.loggers:MLflow",
            needs_package="mlflow",
            install="taglm-plugin-studies[mlflow]",
            description="a run of MLflow, in the run folder or at MLFLOW_TRACKING_URI",
        ),
        taglm.Logger(
            name="wandb",
            open="taglm_studies.loggers:WandB",
            needs_package="wandb",
            install="taglm-plugin-studies[wandb]",
            description="a run of Weights & Biases, offline unless WANDB_MODE is set",
        ),
    ]


@taglm.hookimpl
def register_baselines() -> list[taglm.Baseline]:
    """Return the baselines, the cheapest first."""
    return [
        taglm.Baseline(
            name="mean",
            function="taglm_studies.baselines:mean",
            description="mean of the train split, or its class frequencies",
        ),
        taglm.Baseline(
            name="one_hot_id",
            function="taglm_studies.baselines:one_hot_id",
            description="ridge on one column for each value that recurs (drug, cell line)",
        ),
        taglm.Baseline(
            name="one_hot_id_interactions",
            function="taglm_studies.baselines:one_hot_id_interactions",
            description="one_hot_id with a column for each pair of values that recurs",
        ),
        taglm.Baseline(
            name="tfidf",
            function="taglm_studies.baselines:tfidf",
            description="ridge, or logistic regression, on the words of texts (TF-IDF)",
        ),
        taglm.Baseline(
            name="nearest",
            function="taglm_studies.baselines:nearest",
            needs_features=True,
            description="value of the most similar row of the train split",
        ),
        taglm.Baseline(
            name="ridge",
            function="taglm_studies.baselines:ridge_regression",
            needs_features=True,
            description="ridge regression on the features; logistic regression for classes",
        ),
        taglm.Baseline(
            name="boosting",
            function="taglm_studies.baselines:boosting",
            needs_features=True,
            description="gradient-boosted trees on the features (scikit-learn)",
        ),
        taglm.Baseline(
            name="boosting_descriptors",
            function="taglm_studies.baselines:boosting_descriptors",
            needs_descriptors=True,
            description="gradient-boosted trees on the descriptors of the domains",
        ),
        taglm.Baseline(
            name="forest_descriptors",
            function="taglm_studies.baselines:forest_descriptors",
            needs_descriptors=True,
            description="random forest on the descriptors of the domains (scikit-learn)",
        ),
    ]


@taglm.hookimpl
def on_rows_loaded(event: taglm.RowsLoaded) -> dict[str, Any] | None:
    """Look for leaks between splits, contradictions, outliers and odd units before training."""
    from taglm_studies.rows import look_over

    return look_over(event)


@taglm.hookimpl
def on_evaluated(event: taglm.Evaluated) -> None:
    """Keep the size of each test row and its similarity to the training split for the report."""
    from taglm_studies.report.details import keep_rows
    from taglm_studies.study.rows import keep

    keep_rows(event)
    keep(event)


@taglm.hookimpl
def on_run_finished(event: taglm.RunFinished) -> None:
    """Write report.html into the run folder."""
    from taglm_studies.report.details import finish

    finish(event)
