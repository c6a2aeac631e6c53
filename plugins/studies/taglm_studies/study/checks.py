"""What is checked of the runs of a study before anything is written."""

from collections.abc import Sequence

from taglm_core.errors import CheckpointError, ConfigError, indented
from taglm_core.plugin import is_table_file, prepare_run
from taglm_studies.study.folder import Member, StudyFolder


def check_runs(members: Sequence[Member], study: StudyFolder) -> None:
    """Demand that the settings of every run are valid, and that finished ones still apply.

    Args:
        members: Of the study.
        study: Their folder.

    Raises:
        ConfigError: for wrong settings, and for what a study cannot compare.
        CheckpointError: when a member has run on other settings, data or weights.
    """
    runs = [member for member in members if member.run is not None]
    for member in runs:
        _check_task(str(member.arguments["task"]))
        _check_run(member, study, has_others=len(runs) < len(members))


def _check_task(task: str) -> None:
    if is_table_file(task):
        raise ConfigError(
            f"{task}: a study takes a registered task or a run file. `taglm init {task} --target "
            "COLUMN` writes a run file for a table."
        )


def _check_run(member: Member, study: StudyFolder, has_others: bool) -> None:
    held = member.arguments
    folder = study.folder_of(member) / str(member.run)
    settings = [{**held["settings"], "seed": held["seed"]}]
    try:
        prepared = prepare_run(
            held["task"], held["data"], out=folder, settings=settings, source=str(held["task"])
        )
    except ConfigError as error:
        raise ConfigError(f"{member.group}: {error}") from error
    config = prepared.config
    if len(config.jobs()) > 1:
        raise ConfigError(f"{held['task']}: a study takes one task. Write a run file for each.")
    if config.seeds:
        raise ConfigError(
            f"{held['task']}: a study takes its seeds by --seeds. Remove the key 'seeds'."
        )
    if config.jobs()[0].data.split.folds is not None and has_others:
        raise ConfigError(
            f"{held['task']}: other methods read one test split. Leave out data.split.folds, or "
            "the variant as-text of an ablation."
        )
    changes = prepared.changes()
    if changes:
        raise CheckpointError(
            f"{study.path}: {member.name} was run on other settings or files:\n"
            f"{indented(changes)}\n"
            f"Give another folder with --out, or delete {study.path} to run the study again."
        )
