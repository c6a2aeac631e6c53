"""Settings of a run that do not fit its task, refused before anything is read or trained."""

from taglm_core.errors import ConfigError
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.training.config import RunConfig
from taglm_core.training.function_tag import check_form


def check_task_settings(config: RunConfig, task: ResolvedTask) -> None:
    """Check the settings that only some kinds of tasks have.

    Raises:
        ConfigError: naming the setting and what to do.
    """
    settings = config.stages.task
    if settings.enrich and task.is_cross_domain:
        raise ConfigError(
            f"stages.task.enrich: task {task.name} names several domain tags; in stage 3 they stay "
            "frozen (Tag-LLM section 3.2). Set stages.task.enrich=false."
        )
    if settings.tag_length == 0 and task.is_numeric:
        raise ConfigError(
            "stages.task.tag_length: 0 leaves the function tag out, which is possible for text "
            f"tasks only: the head of {task.name} reads that tag."
        )
    if config.data.weights is not None and not task.is_numeric:
        raise ConfigError(
            f"data.weights: task {task.name} writes text, and sample weights are for tasks that "
            "predict numbers or classes. Leave the weights out."
        )
    if config.attention == "isolated" and not task.is_numeric:
        raise ConfigError("attention: isolated spans are for numeric heads; text needs causal.")
    check_form(settings)
