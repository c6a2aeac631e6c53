"""Tags of ranges of a property: trained behind a frozen domain tag on the rows of each range."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from torch import Tensor

from taglm_core.errors import DataError
from taglm_core.inference.conditions import condition_name, place_of
from taglm_core.inference.domains import TrainedDomain
from taglm_core.progress import Progress
from taglm_core.specs.fields import positive, seed_number
from taglm_core.store.artifact import Artifact
from taglm_core.store.fingerprint import fingerprint_of
from taglm_core.store.schema import DomainLineage, TagRecord
from taglm_core.training.fit import FitSettings, Group, fit
from taglm_core.training.objectives import DomainObjective

_TAG_LR = 0.6
"""Relative to the root mean square of the backbone's embeddings; few steps see each range."""
_LEAST_ROWS = 20
"""Training rows of a range."""


@attrs.frozen(kw_only=True)
class ConditionSettings:
    """How the tags of a property are trained."""

    bins: int = attrs.field(default=5, validator=positive)
    """Ranges, each with as many corpus rows."""
    max_steps: int = attrs.field(default=300, validator=positive)
    batch_size: int = attrs.field(default=32, validator=positive)
    seed: int = attrs.field(default=0, validator=seed_number)


class ConditionObjective(DomainObjective):
    """Next-symbol prediction after `[BOS;] domain tag; tag of the row's range; x_1 .. x_n`."""

    def __init__(
        self,
        trained: TrainedDomain,
        key: str,
        rows: tuple[Sequence[str], Sequence[str]],
        places: tuple[np.ndarray, np.ndarray],
        max_tokens: int,
    ) -> None:
        """Encode training and held-out rows and keep the range of each.

        Args:
            trained: The domain with its tag; its model holds the tags of all ranges as one.
            key: Name of that one.
            rows: Canonical training and held-out rows.
            places: int64 `(rows,)` each: their ranges.
            max_tokens: Token budget of an evaluation batch.
        """
        self.key = key
        self.places = places
        super().__init__(
            trained.model,
            trained.name,
            trained.name,
            trained.encoder,
            *rows,
            max_tokens,
            softmax=trained.softmax,
        )
        self._length = len(self.model.tags[trained.name])
        self.lengths = self.lengths + self._length

    def _before_of(self, rows: Any, indices: np.ndarray, variant: str) -> np.ndarray:
        before = self._before("tag" if variant == "domain_tag" else variant)
        if variant != "tag":
            return before
        ids = self.model.layout.tag_ids(self.key).reshape(-1, self._length)  # (ranges, tokens)
        places = self.places[0 if rows is self.train else 1][indices]
        return np.concatenate([np.tile(before, (len(indices), 1)), ids[places]], axis=1)


def train_condition(
    trained: TrainedDomain,
    name: str,
    rows: tuple[Sequence[str], Sequence[str]],
    values: tuple[np.ndarray, np.ndarray],
    settings: ConditionSettings,
    source: str,
    progress: Progress,
) -> tuple[Artifact, str, str]:
    """Train the tags of all ranges of a property together; the domain tag stays frozen.

    Each starts as a copy of the domain tag.

    Args:
        trained: The domain with its tag.
        name: The property.
        rows: Canonical training and held-out rows.
        values: float `(rows,)` each: their property, finite.
        settings: Ranges and steps.
        source: Where the rows came from.
        progress: Hears about steps.

    Returns:
        The artifact, its fingerprint and its README.

    Raises:
        DataError: when a range would have too few rows.
    """
    edges = ranges_of(values[0], settings.bins, name)
    key, model = condition_name(trained.name, name), trained.model
    model.add_tag(key, model.tags[trained.name].repeat(len(edges) + 1, 1))
    places = (place_of(values[0], edges), place_of(values[1], edges))
    objective = ConditionObjective(trained, key, rows, places, 8192)
    plain = objective.nats("domain_tag")
    groups = [Group(f"<{key}>", (model.tags[key],), _TAG_LR * model.backbone.embedding_scale()[1])]
    model.train_only([model.tags[key]])
    with tempfile.TemporaryDirectory() as scratch:
        result = fit(objective, groups, _fit(settings), Path(scratch), progress, f"<{key}>")
    model.train_only([])
    lineage = DomainLineage(
        tag=key,
        corpus=source,
        corpus_rows=len(rows[0]),
        held_out_rows=len(rows[1]),
        trained={f"<{key}>": model.tags[key].numel()},
        steps=result.steps,
        seconds=result.seconds,
        held_out_nats_per_symbol={"tag": objective.nats(), "domain_tag": plain},
        history=result.history,
    )
    return _artifact(trained, key, edges, settings, lineage)


def ranges_of(values: np.ndarray, bins: int, name: str) -> list[float]:
    """Return the inner edges of ranges of equal numbers of rows, fewer where values recur.

    Raises:
        DataError: when a range would have too few rows.
    """
    if len(values) < bins * _LEAST_ROWS:
        raise DataError(
            f"{name}: {len(values)} training rows are too few for {bins} ranges of "
            f"{_LEAST_ROWS} rows or more. Give more rows, or fewer ranges."
        )
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    edges = edges[edges > values.min()]  # else the lowest range has no rows
    return [float(edge) for edge in edges]


def _fit(settings: ConditionSettings) -> FitSettings:
    return FitSettings(
        steps=settings.max_steps,
        batch_size=settings.batch_size,
        batch_tokens=8192,
        schedule="cosine",
        warmup_ratio=0.03,
        weight_decay=0.0,
        max_grad_norm=1.0,
        num_evaluations=5,
        patience=3,
        seed=settings.seed,
    )


def _artifact(
    trained: TrainedDomain,
    key: str,
    edges: list[float],
    settings: ConditionSettings,
    lineage: DomainLineage,
) -> tuple[Artifact, str, str]:
    assert trained.artifact is not None, "trained behind the domain tag"
    held = trained.artifact.config
    behind = held.tags[trained.name].fingerprint
    plain = {**attrs.asdict(settings), "edges": edges, "behind": behind}
    content = {"key": key, "corpus": lineage.corpus, "rows": lineage.corpus_rows, **plain}
    fingerprint = fingerprint_of(content)
    record = TagRecord(
        kind="domain", fingerprint=fingerprint, lineage=lineage, settings=plain, seed=settings.seed
    )
    config = attrs.evolve(held, kind="tag", task=None, tags={key: record})
    nats = lineage.held_out_nats_per_symbol
    readme = (
        f"# Tags <{key}>\n\n"
        f"One tag for each of {len(edges) + 1} ranges, between the domain tag <{trained.name}> and "
        f"a row; inner edges {', '.join(f'{edge:g}' for edge in edges)}.\n\n"
        f"Held-out nats per symbol: {nats['tag']} with them, {nats['domain_tag']} with the domain "
        "tag alone.\n"
    )
    tags: dict[str, Tensor] = {key: trained.model.tags[key].detach().cpu().clone()}
    return Artifact(config=config, tags=tags), fingerprint, readme
