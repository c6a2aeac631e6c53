"""Loggers of other projects: TensorBoard, MLflow and Weights & Biases, all on this machine.

Nothing leaves the machine unless the environment says so: MLFLOW_TRACKING_URI names a server,
WANDB_MODE=online sends to Weights & Biases.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LOGS = "logs"
"""Folder inside the run folder."""
_LONGEST = 500
"""Characters that MLflow keeps of a setting."""


class TensorBoard:
    """Event files in `RUN/logs/tensorboard`, shown by `tensorboard --logdir RUN/logs`."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Begin an event file and write the settings into it as text."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / _LOGS / "tensorboard"), flush_secs=5)
        lines = [f"| {key} | {value} |" for key, value in settings.items()]
        table = "\n".join(["| setting | value |", "| --- | --- |", *lines])
        self._writer.add_text("settings", table)

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Write each value as a scalar `stage/name`."""
        for name, value in values.items():
            self._writer.add_scalar(f"{stage}/{name}", value, step)

    def close(self, results: Mapping[str, float] | None) -> None:
        """Write the results as scalars and end the file."""
        for name, value in (results or {}).items():
            self._writer.add_scalar(name, value, 0)
        self._writer.close()


class MLflow:
    """A run of MLflow, in `RUN/logs/mlflow.db` or where MLFLOW_TRACKING_URI says."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Begin a run, or go on with the one that an interrupted run began."""
        import mlflow

        (folder / _LOGS).mkdir(parents=True, exist_ok=True)
        local = f"sqlite:///{(folder / _LOGS / 'mlflow.db').resolve()}"
        self._client: Any = mlflow.MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or local)
        known = folder / _LOGS / "mlflow.id"
        if known.is_file():
            self._run = known.read_text(encoding="utf-8")
            return
        found = self._client.get_experiment_by_name("taglm")
        experiment = found.experiment_id if found else self._client.create_experiment("taglm")
        self._run = self._client.create_run(experiment, run_name=folder.name).info.run_id
        known.write_text(self._run, encoding="utf-8")
        for key, value in settings.items():
            self._client.log_param(self._run, key, str(value)[:_LONGEST])

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Log each value as a metric `stage/name`."""
        for name, value in values.items():
            self._client.log_metric(self._run, f"{stage}/{name}", value, step=step)

    def close(self, results: Mapping[str, float] | None) -> None:
        """Log the results and end the run; without them it counts as killed."""
        for name, value in (results or {}).items():
            self._client.log_metric(self._run, name, value)
        self._client.set_terminated(self._run, "FINISHED" if results is not None else "KILLED")


class WandB:
    """A run of Weights & Biases in `RUN/logs/wandb`, offline unless WANDB_MODE is set."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Begin a run, with the id that an interrupted run had."""
        import wandb

        (folder / _LOGS).mkdir(parents=True, exist_ok=True)
        known = folder / _LOGS / "wandb.id"
        number = known.read_text(encoding="utf-8") if known.is_file() else None
        self._run: Any = wandb.init(
            project="taglm",
            name=folder.name,
            dir=str(folder / _LOGS),
            config=dict(settings),
            id=number,
            resume="allow",
            mode=os.environ.get("WANDB_MODE", "offline"),
        )
        known.write_text(self._run.id, encoding="utf-8")

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Log each value as `stage/name`, beside the step of its stage."""
        named = {f"{stage}/{name}": value for name, value in values.items()}
        self._run.log({**named, f"{stage}/step": step})

    def close(self, results: Mapping[str, float] | None) -> None:
        """Put the results into the summary and end the run."""
        self._run.summary.update(dict(results or {}))
        self._run.finish(exit_code=0 if results is not None else 1)
