"""Options of `taglm run` alone: None where they are not given."""

from pathlib import Path
from typing import Annotated

import typer

from taglm_core.cli.completion import complete_task

Task = Annotated[
    list[str],
    typer.Argument(
        help="Table such as lab.csv, registered task such as QED, several tasks, or a run "
        "file (YAML).",
        autocompletion=complete_task,
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Table of rows, such as molecules.csv (csv, tsv, parquet, jsonl, or a format of "
        "a plugin).",
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(help="Registered dataset; with --data, the dataset that reads the file."),
]
DomainData = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TAG=FILE",
        help="Unlabeled rows for stage 1, such as SMILES=library.smi.",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column of sample weights of the training rows, 0 or above.",
        show_default="all count the same",
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        help="Registered splitter, such as scaffold or random, or cv: cross-validation by the "
        "task's own splitter.",
        show_default="the task's own",
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        help="Cross-validate: each fold is the test split once; related rows stay in one fold.",
        show_default="5 with --split cv",
    ),
]
Repeats = Annotated[
    int | None,
    typer.Option(help="Number of cross-validations, each with different folds.", show_default="1"),
]
Fractions = Annotated[
    str | None,
    typer.Option(
        metavar="TRAIN,VALID,TEST",
        help="Shares of the splits, such as 0.7,0.1,0.2.",
        show_default="the splitter's own",
    ),
]
OnError = Annotated[
    str | None,
    typer.Option(
        metavar="raise|skip",
        help="How to handle invalid rows: raise stops at the first, skip skips and lists them.",
        show_default="raise",
    ),
]
Fix = Annotated[
    bool | None,
    typer.Option(
        "--fix", help="Fix invalid rows by the rules of their domains; list each in fixed.csv."
    ),
]
OnLong = Annotated[
    str | None,
    typer.Option(
        metavar="error|skip",
        help="How to handle rows too long for the backbone: error treats them as invalid, skip "
        "skips and lists them.",
        show_default="error",
    ),
]
OnDoubt = Annotated[
    str | None,
    typer.Option(
        metavar="raise|warn",
        help="How to handle a file that looks like another kind of data, such as DNA for a "
        "protein: raise stops, warn continues.",
        show_default="raise",
    ),
]
Baselines = Annotated[
    str | None,
    typer.Option(
        metavar="default|all|none|NAMES",
        help="Baselines to fit and score beside the run, such as mean,ridge; all adds those "
        "that take long.",
        show_default="default",
    ),
]
Out = Annotated[Path | None, typer.Option(help="Run folder to write.", show_default="runs/TASK")]
Seed = Annotated[int | None, typer.Option(help="Random seed.", show_default="0")]
Seeds = Annotated[
    str | None,
    typer.Option(
        metavar="N,N,...",
        help="Random seeds of several runs, such as 0,1,2, with mean and standard deviation.",
    ),
]
Refit = Annotated[
    bool | None,
    typer.Option("--refit", help="After the evaluation, train the final predictor on all rows."),
]
Time = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Time limit by which the run plans its steps, such as 10m or 1.5h; the evaluation "
        "always runs.",
        show_default="as many steps as set",
    ),
]
LogTo = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Loggers that receive losses and scores while the run trains: tensorboard, mlflow, "
        "wandb; several with commas. Their files are in RUN/logs.",
    ),
]
NumProcesses = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of processes that train together, such as one for each GPU; each takes a "
        "share of every batch.",
        show_default="1",
    ),
]
SaveConfig = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Run file to write with the settings of this command, such as task.yaml.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print metrics.json.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be trained, without training.")
]
