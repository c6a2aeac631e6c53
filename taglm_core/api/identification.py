"""`taglm.identify`: which of the trained domains a text is of, or none of them."""

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from taglm_core.data.columns import as_value
from taglm_core.data.memory import as_frame, as_table
from taglm_core.errors import ConfigError, DataError, UnknownNameError, counted, listed
from taglm_core.inference.calibrated import calibrated
from taglm_core.inference.domains import (
    TrainedDomain,
    compute_as_trained,
    load_domain,
    trained_domains,
)
from taglm_core.inference.identify import (
    EMPTY,
    NONE,
    UNSURE,
    Calibration,
    Verdict,
    bits_per_byte,
    decide,
    num_bytes,
    ranking,
)
from taglm_core.inference.report import html_report, html_table
from taglm_core.model.backbone import Backbone
from taglm_core.model.backbone_loading import load_backbone
from taglm_core.model.tagged import TaggedModel
from taglm_core.plugins import Registry, load_registry
from taglm_core.progress import Progress, chosen_progress
from taglm_core.store.tagstore import TagStore


@attrs.frozen(repr=False)
class Identification:
    """Verdicts on texts."""

    report: dict[str, Any]
    """`domains`, `calibration`, `rows` (text, domain, margin and ranking of each), and `scored`
    when the true domains were given."""
    columns: dict[str, list[Any]]
    """Text, domain, margin, and bits per byte under each domain."""

    @property
    def frame(self) -> Any:
        """The verdicts as a DataFrame."""
        return as_frame(self.columns)

    def __repr__(self) -> str:
        return f"Identification of {counted(len(self.report['rows']), 'text')}"

    def _repr_html_(self) -> str:
        names = list(self.columns)
        rows = list(zip(*self.columns.values(), strict=True))[:50]
        facts = {"domains": ", ".join(self.report["domains"]), "texts": len(self.report["rows"])}
        return html_report("Identification", facts, [("", html_table(names, rows))])


def identify(
    data: Any,
    *,
    column: str = "text",
    label: str | None = None,
    domains: Sequence[str] | None = None,
    calibrate: "Mapping[str, str | PathLike[str]] | None" = None,
    backbone: str = "nano",
    device: str = "auto",
    progress: Progress | bool | None = None,
) -> Identification:
    """Rank the trained domain tags by the likelihood that they give to texts.

    Margin and limits are calibrated on validation rows; a text that no domain explains well is
    "none of these", one between two domains is "unsure". A missing text is "empty text".

    Args:
        data: A list of texts, a DataFrame, a dict of columns, a `datasets.Dataset` or the path of
            a table.
        column: Column of the texts.
        label: Column with the true domain, to count what is right; None: not known.
        domains: Domains to choose from; None: all that have a trained tag for the backbone.
        calibrate: Domain -> table of validation rows; None: rows held out of each corpus.
        backbone: Registered name, folder, GGUF file or Hub id.
        device: "cpu", "cuda", "cuda:1" or "auto".
        progress: True or False: with or without a bar; None: a bar in notebooks and terminals.

    Raises:
        UnknownNameError: when there is no such domain or no trained tag.
        DataError: when a column is missing, or every text is empty.

    Example:
        taglm.identify(["CCO", "MKTAYIAKQR"]).frame
    """
    rows, labels = _rows(data, column, label)
    registry = load_registry()
    store = TagStore.of(registry)
    loaded = load_backbone(backbone, registry, device)
    model = TaggedModel(loaded)
    bar = chosen_progress(progress)
    chosen = _chosen(domains, loaded, registry, store, bar)
    trained = [load_domain(name, loaded, registry, store, model=model) for name in chosen]
    compute_as_trained(trained)
    names = [item.name for item in trained]
    files = {name: Path(file) for name, file in (calibrate or {}).items()}
    calibration = _calibration(trained, registry, store, files, bar)
    bits = _bits(trained, rows, bar)
    verdicts = _verdicts(rows, bits, names, calibration)
    report: dict[str, Any] = {
        "domains": names,
        "calibration": attrs.asdict(calibration),
        "rows": [
            {"text": row, "domain": v.domain, "margin": v.margin, "ranking": ranking(b, names)}
            for row, v, b in zip(rows, verdicts, bits, strict=True)
        ],
    }
    if labels is not None:
        report["scored"] = _scored(labels, verdicts, registry)
    return Identification(report, _columns(rows, verdicts, bits, names, column))


def _rows(data: Any, column: str, label: str | None) -> tuple[list[str], list[str] | None]:
    table = as_table(data, [column], "identify").table
    rows = [as_value(value, is_text=True) for value in table.column(column)]
    if rows and not any(rows):
        which = "the text is" if len(rows) == 1 else f"all {len(rows):,} texts are"
        raise DataError(f"{which} empty. Give a text such as CCO.")
    labels = [as_value(value) for value in table.column(label)] if label is not None else None
    return rows, labels


def _chosen(
    tags: Sequence[str] | None,
    backbone: Backbone,
    registry: Registry,
    store: TagStore,
    progress: Progress,
) -> list[str]:
    """Return the domains to choose from; a domain of records of several columns has no texts."""
    if tags is not None:
        chosen = [registry.domains.get(word.strip()) for word in tags]
        for domain in chosen:
            if domain.spec.columns:
                raise ConfigError(
                    f"--domains: each row of {domain.name} has several columns "
                    f"({', '.join(domain.spec.columns)}), so a text cannot be one. Leave it out."
                )
        return list(dict.fromkeys(domain.name for domain in chosen))
    names, records = trained_domains(backbone, registry, store)
    if records:
        progress.say(f"skipped domains, whose rows have several columns: {listed(records)}")
    if not names:
        raise UnknownNameError(
            f"the tag store {store.folder} holds no domain tag of texts for the backbone "
            f"'{backbone.name}'. `taglm run` trains them."
        )
    return names


def _calibration(
    trained: Sequence[TrainedDomain],
    registry: Registry,
    store: TagStore,
    files: Mapping[str, Path],
    progress: Progress,
) -> Calibration:
    """Calibrate with a bar; a calibration that was stored is there at once."""
    by_name = {registry.domains.get(name, where="--calibrate").name: f for name, f in files.items()}
    names = [item.name for item in trained]
    unused = next((name for name in by_name if name not in names), None)
    if unused is not None:
        raise ConfigError(
            f"--calibrate {unused}: not one of the domains to choose from, {listed(names)}."
        )
    begun: list[int] = []

    def advance(done: int, pairs: int) -> None:
        if not begun:
            progress.start("calibrating", pairs)
            begun.append(pairs)
        progress.advance(done)

    calibration = calibrated(trained, registry, store, by_name, progress.say, advance)
    progress.finish()
    return calibration


def _bits(trained: Sequence[TrainedDomain], rows: Sequence[str], progress: Progress) -> np.ndarray:
    """Compute bits per byte, `(rows, domains)`, with a bar."""
    progress.start("identifying", len(rows) * len(trained))
    try:
        return bits_per_byte(trained, rows, on_progress=progress.advance)
    finally:
        progress.finish()


def _verdicts(
    rows: Sequence[str], bits: np.ndarray, names: Sequence[str], calibration: Calibration
) -> list[Verdict]:
    """Return the verdict on each row, whatever the tags say of an empty one."""
    verdicts = decide(bits, num_bytes(rows), names, calibration)
    empty = Verdict(EMPTY, None, None, None)
    return [verdict if row else empty for row, verdict in zip(rows, verdicts, strict=True)]


def _columns(
    rows: Sequence[str],
    verdicts: Sequence[Verdict],
    bits: np.ndarray,
    names: Sequence[str],
    column: str,
) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        column: list(rows),
        "domain": [v.domain for v in verdicts],
        "margin": [v.margin for v in verdicts],
    }
    for k, name in enumerate(names):
        columns[f"bits_per_byte.{name}"] = [
            float(value) if math.isfinite(value) else None for value in bits[:, k]
        ]
    return columns


def _scored(
    labels: Sequence[str], verdicts: Sequence[Verdict], registry: Registry
) -> dict[str, Any]:
    """Count what is right: by the likeliest domain, and by the verdict.

    Rows with a label that is no domain, such as "none", are counted apart: the right verdict on
    them is "none of these".
    """
    known = {item.name: item.name for item in registry.domains}
    known |= {item.short: item.name for item in registry.domains}
    pairs = [(v, known.get(label)) for v, label in zip(verdicts, labels, strict=True)]
    own = [(v, truth) for v, truth in pairs if truth is not None]
    strange = [v for v, truth in pairs if truth is None]
    wrong: dict[str, int] = {}
    for v, truth in own:
        if v.best != truth:
            key = f"{truth} taken for {v.best}"
            wrong[key] = wrong.get(key, 0) + 1
    scores: dict[str, Any] = {"rows": len(pairs)}
    if own:
        scores["of_domains"] = {
            "rows": len(own),
            "accuracy_of_best": sum(v.best == truth for v, truth in own) / len(own),
            **_shares([v for v, _ in own], [v.domain == truth for v, truth in own]),
        }
    if strange:
        scores["of_none"] = {"rows": len(strange), **_shares(strange, [False] * len(strange))}
    return {**scores, "wrong": dict(sorted(wrong.items(), key=lambda item: -item[1]))}


def _shares(verdicts: Sequence[Verdict], is_right: Sequence[bool]) -> dict[str, float]:
    """Return the shares of verdicts that name the right domain, a wrong one, or none.

    An empty text is of no domain.
    """
    count = len(verdicts)
    unsure = sum(v.domain == UNSURE for v in verdicts)
    none = sum(v.domain in (NONE, EMPTY) for v in verdicts)
    right = sum(is_right)
    return {
        "accepted_and_right": right / count,
        "accepted_and_wrong": (count - right - unsure - none) / count,
        "unsure": unsure / count,
        "none": none / count,
    }
