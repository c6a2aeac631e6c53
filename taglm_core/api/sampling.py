"""`taglm.sample`: rows drawn from a domain tag, and how good they are."""

import logging
import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import attrs

from taglm_core.data.memory import as_frame
from taglm_core.errors import ConfigError, DataError, listed
from taglm_core.inference.conditions import Condition, add_conditions, condition_report
from taglm_core.inference.domains import (
    TrainedDomain,
    compute_as_trained,
    corpus_of,
    load_domain,
    rows_of_file,
)
from taglm_core.inference.drawing import draw
from taglm_core.inference.report import html_report, html_table
from taglm_core.inference.sample import check, chosen_metrics, properties, summary
from taglm_core.model.backbone_loading import load_backbone
from taglm_core.plugins import Registry, load_registry
from taglm_core.progress import Progress, chosen_progress, progress_bar, reporting
from taglm_core.specs import Decoding, SampleData
from taglm_core.specs.decoding import changed_decoding
from taglm_core.store.tagstore import TagStore

logger = logging.getLogger(__name__)

_CORPUS_ROWS = 1000
"""Known rows whose share in the range of a condition is shown."""


@attrs.frozen(repr=False)
class Sample:
    """Rows drawn from a domain."""

    report: dict[str, Any]
    """Shares of valid, unique and novel rows, lengths, histograms of properties, and metrics."""
    columns: dict[str, list[Any]]
    """The rows under the domain's field, `valid`, and `error` (None where a row is valid)."""

    @property
    def frame(self) -> Any:
        """The rows as a DataFrame."""
        return as_frame(self.columns)

    def __repr__(self) -> str:
        facts = {name: self.report[name] for name in ("rows", "valid", "unique", "novel")}
        return f"Sample of {self.report['domain']}: {facts}"

    def _repr_html_(self) -> str:
        names = ("rows", "finished", "valid", "unique", "novel", "mean_length")
        table = html_table(names, [[self.report[name] for name in names]])
        facts = {"tag": self.report["tag"], "checked by": self.report["checked_by"]}
        sections = [("", table)]
        for metrics, scores in self.report["metrics"].items():
            sections.append((metrics, html_table(("metric", "value"), list(scores.items()))))
        return html_report(f"Sample of {self.report['domain']}", facts, sections)


def sample(
    domain: str,
    count: int = 100,
    *,
    backbone: str = "nano",
    run: "str | PathLike[str] | None" = None,
    with_tag: bool = True,
    corpus: "str | PathLike[str] | None" = None,
    metrics: Sequence[str] = (),
    reference: "str | PathLike[str] | None" = None,
    conditions: Sequence[str] = (),
    guidance: float = 1.0,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_length: int = 256,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | bool | None = None,
) -> Sample:
    """Draw rows from a domain; report validity, uniqueness, novelty and properties.

    Args:
        domain: Full or short name of a domain, such as "SMILES".
        count: Rows to draw.
        backbone: Registered name, folder, GGUF file or Hub id.
        run: Folder of a run or predictor that holds the tag; None: the newest one of the tag store.
        with_tag: False: without the tag, to see what it changes.
        corpus: Table of rows that count as known; None: the corpus of the tag.
        metrics: Names of additional metrics that the domain offers, such as "moses" of SMILES.
        reference: Table of rows that these scores compare the drawn ones with.
        conditions: Ranges of properties that are asked for by a value in them, such as
            ["QED=0.9"]; their tags are trained by `taglm.condition`.
        guidance: Above 1: what the conditions change counts so many times, for twice the time.
        temperature: Divides the logits; below 1 sharper, above 1 flatter.
        top_p: Share of probability kept, the most probable symbols first.
        max_length: Most symbols of a row.
        seed: Seed of the draws.
        device: "cpu", "cuda", "cuda:1" or "auto".
        progress: True or False: with or without a bar; None: a bar in notebooks and terminals.

    Raises:
        UnknownNameError: when there is no such domain or no trained tag of it.
        ConfigError: for a wrong value.

    Example:
        taglm.sample("SMILES", 1000).report["valid"]
    """
    _check_decoding(temperature, top_p, seed)
    registry = load_registry()
    loaded = load_backbone(backbone, registry, device)
    folder = Path(run) if run is not None else None
    store = TagStore.of(registry)
    trained = load_domain(domain, loaded, registry, store, folder, with_tag)
    compute_as_trained([trained])
    _check_guidance(guidance, conditions)
    asked = add_conditions(trained, conditions, registry, store)
    known = _known(trained, registry, Path(corpus) if corpus is not None else None)
    measures = chosen_metrics(trained, metrics)
    beside = _reference(trained, registry, reference, bool(measures))
    with reporting(chosen_progress(progress)), progress_bar("drawing", count) as advance:
        drawn = draw(
            trained,
            count,
            temperature,
            top_p,
            max_length,
            seed,
            guidance=guidance,
            on_progress=advance,
        )
    canonical, errors = check(trained, drawn)
    data = SampleData(
        rows=drawn.rows,
        canonical=canonical,
        known=known,
        reference=beside,
        source=str(reference or ""),
    )
    report = {
        **summary(trained, drawn, canonical, known),
        **_properties(trained, data, asked, registry),
        "metrics": {name: measure(data) for name, measure in measures.items()},
    }
    return Sample(report, _columns(trained, data, errors))


def _columns(
    trained: TrainedDomain, data: SampleData, errors: list[str | None]
) -> dict[str, list[Any]]:
    """Return the drawn rows, and what is wrong with them, as columns of a table."""
    return {
        trained.domain.spec.field: list(data.rows),
        "valid": [value is not None for value in data.canonical],
        "error": list(errors),
    }


def _properties(
    trained: TrainedDomain, data: SampleData, asked: Sequence[Condition], registry: Registry
) -> dict[str, Any]:
    """Return what a report says of the properties of valid rows, and of those asked for."""
    valid = [value for value in data.canonical if value is not None]
    known = list(data.known or ())
    return {
        "properties": properties(trained, valid, known, registry),
        "conditions": condition_report(asked, valid, known[:_CORPUS_ROWS]),
    }


def _check_decoding(temperature: float, top_p: float, seed: int) -> None:
    """Demand values with which rows can be drawn; messages name the options."""
    values = {"temperature": temperature, "top_p": top_p, "seed": seed}
    options = {key: f"--{key.replace('_', '-')}" for key in values}
    changed_decoding(Decoding(how="sample"), values, options)


def _check_guidance(guidance: float, conditions: Sequence[str]) -> None:
    if not 1 <= guidance < math.inf:
        raise ConfigError(f"guidance must be a number of 1 or more, not {guidance:g}.")
    if guidance != 1 and not conditions:
        raise ConfigError(f"guidance {guidance:g} needs a condition, such as QED=0.9.")


def _reference(
    trained: TrainedDomain,
    registry: Registry,
    file: "str | PathLike[str] | None",
    has_metrics: bool,
) -> list[str] | None:
    """Return the rows that metrics compare with, None without a file."""
    if file is None:
        return None
    if not has_metrics:
        raise ConfigError(
            "reference rows are compared by metrics. Name the metrics too: "
            f"{listed(trained.domain.spec.sample_metrics) or 'this domain has none'}."
        )
    return rows_of_file(trained, registry, Path(file))


def _known(trained: TrainedDomain, registry: Registry, file: Path | None) -> list[str] | None:
    """Return the rows that are not novel, None when they are not available."""
    if file is not None:
        return rows_of_file(trained, registry, file)
    if trained.artifact is None:
        return None
    try:
        used, held_out, _ = corpus_of(trained, registry)
    except DataError as error:
        logger.warning("novelty is not computed: %s", error)
        return None
    return [*used, *held_out]
