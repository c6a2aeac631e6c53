"""The task of a run: a registered one by name, or one that the run file declares."""

from typing import Any

import attrs

from taglm_core.errors import ConfigError, UnknownNameError
from taglm_core.plugins import Registered, Registry
from taglm_core.plugins.resolved import ResolvedTask, resolve_task
from taglm_core.specs import Regression, Target, Task
from taglm_core.specs.target import TARGETS
from taglm_core.training.config import TaskConfig

LOCAL = "local"
"""Plugin name that qualifies what a run file declares."""


def configured_task(config: TaskConfig, registry: Registry) -> ResolvedTask:
    """Return the registered task that the settings name, or the one that they declare.

    Raises:
        ConfigError: when a declared task lacks its template or its target.
    """
    if config.template is None:
        found = _registered(config, registry)
        given: dict[str, Any] = {
            key: value
            for key in ("metrics", "split", "symmetric")
            if (value := getattr(config, key)) is not None
        }
        for key in ("target", "function_tag"):
            if getattr(config, key) is not None:
                raise ConfigError(
                    f"task.{key} is given but task.template is not: the registered task "
                    f"{found.name} has its own. Give a template to declare a task."
                )
        spec = _with_censoring(attrs.evolve(found.spec, **given), config.censored_below)
        return resolve_task(spec, found.source.name, registry, config.prompt)
    if config.target is None:
        raise ConfigError("task.target is missing, for example {kind: regression, columns: [Y]}.")
    if config.prompt is not None:
        raise ConfigError("task.prompt names a prompt of a registered task; drop task.template.")
    declared = Task(
        name=config.name,
        function_tag=config.function_tag or config.name,
        template=config.template,
        target=_target(config),
        metrics=config.metrics or (),
        split=config.split,
        symmetric=config.symmetric or (),
    )
    return resolve_task(_with_censoring(declared, config.censored_below), LOCAL, registry)


def _registered(config: TaskConfig, registry: Registry) -> Registered[Task]:
    try:
        return registry.tasks.get(config.name)
    except UnknownNameError as error:
        if config.target is None:
            raise
        also = " task.prompt names a variant of a registered task." if config.prompt else ""
        raise ConfigError(
            f"task.template is missing: {config.name} is no registered task, and a task with a "
            f'target of its own needs its template, such as "{{text}} <Length>".{also}'
        ) from error


def _with_censoring(spec: Task, censored_below: float | None) -> Task:
    """Return a task whose target has the limit that the settings give, its own when they do not."""
    if censored_below is None:
        return spec
    if not isinstance(spec.target, Regression):
        raise ConfigError(
            f"task.censored_below: the task {spec.name} predicts no numbers. Leave it out."
        )
    return attrs.evolve(spec, target=attrs.evolve(spec.target, censored_below=censored_below))


def _target(config: TaskConfig) -> Target:
    """Return the declared target; its names are by default the task's, or the columns' if several.

    Raises:
        ConfigError: for a setting of another kind of target.
    """
    settings = config.target
    assert settings is not None, "checked by the caller"
    given = {
        field.name: value
        for field in attrs.fields(type(settings))
        if field.name != "kind" and (value := getattr(settings, field.name)) is not None
    }
    cls = TARGETS[settings.kind]
    own = [field.name for field in attrs.fields(cls)]
    for name in given:
        if name not in own:
            kinds = [kind for kind, c in TARGETS.items() if name in attrs.fields_dict(c)]
            raise ConfigError(
                f"task.target.{name} is a setting of the kind {' or '.join(kinds)}, but "
                f"task.target.kind is {settings.kind}. Leave it out."
            )
    if "names" in own and "names" not in given:
        columns = given.get("columns") or ()
        given["names"] = columns if len(columns) > 1 else (config.name,)
    target: Target = cls(**given)
    return target
