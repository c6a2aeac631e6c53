"""Scores on their way to loggers such as TensorBoard, while a run trains."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import attrs

from taglm_core.errors import ConfigError, PluginError
from taglm_core.plugins import Registered, Registry
from taglm_core.specs import Logger
from taglm_core.specs.isolation import call_plugin
from taglm_core.specs.reference import resolve
from taglm_core.store.fingerprint import lean

logger = logging.getLogger(__name__)


@attrs.define
class _Opened:
    """A logger that is open; one that fails is left out from then on."""

    item: Registered[Logger]
    writer: Any
    is_broken: bool = False

    def call(self, method: str, *arguments: Any) -> None:
        """Call a method of the logger, unless it has failed before."""
        if self.is_broken:
            return
        try:
            call_plugin(getattr(self.writer, method), *arguments)
        except (PluginError, AttributeError) as error:
            self.is_broken = True
            logger.warning("--log-to %s: stopped: %s", self.item.short, error)


_OPEN: ContextVar[tuple[_Opened, ...]] = ContextVar("taglm_loggers", default=())


def find_loggers(names: Sequence[str], registry: Registry) -> list[Registered[Logger]]:
    """Return the loggers of these names.

    Raises:
        UnknownNameError: when there is no such logger.
        ConfigError: when one needs a package that is not installed.
    """
    found = [registry.loggers.get(name, where="--log-to") for name in dict.fromkeys(names)]
    for item in found:
        reason = item.spec.why_not()
        if reason is not None:
            raise ConfigError(f"--log-to {item.short}: {reason}. Or leave it out.")
    return found


@contextmanager
def logging_to(
    loggers: Sequence[Registered[Logger]], folder: Path, config: Any
) -> Iterator[dict[str, Any]]:
    """Send what `log_values` gets to loggers while the block runs.

    Args:
        loggers: As `find_loggers` gives them.
        folder: The run folder.
        config: Settings of the run, a settings class.

    Yields:
        A mapping that takes the contents of metrics.json; what it holds at the end is the results.
    """
    settings = _dotted(lean(config))
    opened = []
    for item in loggers:
        factory = resolve(item.spec.open, f"logger {item.name}")
        opened.append(_Opened(item, call_plugin(factory, folder, settings)))
    token = _OPEN.set(tuple(opened))
    metrics: dict[str, Any] = {}
    try:
        yield metrics
    finally:
        _OPEN.reset(token)
        for each in opened:
            each.call("close", _results(metrics) if metrics else None)


def is_logging() -> bool:
    """Say whether anybody hears of values."""
    return bool(_OPEN.get())


def log_values(stage: str, step: int, values: Mapping[str, Any]) -> None:
    """Send the numbers among some values to every logger that is open.

    Args:
        stage: What is trained, such as "QED".
        step: Optimizer steps that were taken.
        values: Name -> value, such as `{"train_loss": 0.3}`.
    """
    numbers = {k: float(v) for k, v in values.items() if _is_number(v)}
    for each in _OPEN.get():
        each.call("log", stage, step, numbers)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _results(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores of each split and of the baselines in it, by one name each."""
    found: dict[str, float] = {}
    for task, record in metrics.get("tasks", {}).items():
        for split, scores in record.get("splits", {}).items():
            for name, value in scores.get("metrics", {}).items():
                if _is_number(value):
                    found[f"{task}-results/{split}_{name}"] = float(value)
            for baseline, values in scores.get("baselines", {}).items():
                for name, value in values.items():
                    if _is_number(value):
                        found[f"{task}-results/{split}_{name}_of_{baseline}"] = float(value)
    return found


def _dotted(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= _dotted(value, f"{before}{key}.")
        else:
            found[before + key] = value
    return found
