"""Conditions of a draw: tags of ranges of a property, between the domain tag and the row."""

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from taglm_core.errors import ConfigError, UnknownNameError, listed, nearest
from taglm_core.inference.domains import TrainedDomain
from taglm_core.inference.sample import ComputedProperty, computed_properties
from taglm_core.plugins import Registry
from taglm_core.store.artifact import Artifact
from taglm_core.store.tagstore import TagStore


@attrs.frozen(kw_only=True)
class Condition:
    """A range of a property that is asked for."""

    name: str
    """Name of the property."""
    value: float
    """As asked for."""
    low: float
    """Lower end of the range that holds the value; minus infinity: none."""
    high: float
    computed: ComputedProperty

    def share(self, rows: Sequence[str]) -> float | None:
        """Return the share of valid rows in the range, None of no rows."""
        values = self.computed.values(rows)
        return float(((values >= self.low) & (values < self.high)).mean()) if len(rows) else None


def find_property(
    trained: TrainedDomain, registry: Registry, name: str
) -> tuple[str, ComputedProperty]:
    """Return a property of a domain by its name in any case.

    Raises:
        UnknownNameError: when no task of this domain computes it.
    """
    known = computed_properties(trained, registry)
    for full, found in known.items():
        if full.lower() == name.lower():
            return full, found
    raise UnknownNameError(
        f"domain {trained.name}: no task computes the property '{name}'.{nearest(name, known)} "
        f"Available: {listed(known) or 'none'}."
    )


def condition_name(domain: str, name: str) -> str:
    """Return the key of the tags of a property, such as `chem/SMILES+qed`."""
    return f"{domain}+{name}"


def place_of(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """Return the range of each value, int64 `(rows,)`; an edge belongs to the range above it."""
    return np.searchsorted(np.asarray(edges), values, side="right")


def add_conditions(
    trained: TrainedDomain, wanted: Sequence[str], registry: Registry, store: TagStore
) -> list[Condition]:
    """Put the tags of conditions onto a trained domain.

    Args:
        trained: The domain, with its tag.
        wanted: Such as "QED=0.9".
        registry: Tasks that compute properties.
        store: Where `taglm condition` put the tags.

    Raises:
        ConfigError: for what is no condition, a property twice, or a domain without its tag.
        UnknownNameError: for an unknown property, or one without trained tags.
    """
    conditions: list[Condition] = []
    for text in wanted:
        name, value = _parsed(text)
        name, computed = find_property(trained, registry, name)
        if name in [other.name for other in conditions]:
            raise ConfigError(f"condition {text!r}: {name} is given twice. Give one value.")
        conditions.append(_added(trained, store, name, value, computed))
    return conditions


def _parsed(text: str) -> tuple[str, float]:
    name, equals, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not equals or not name.strip() or not np.isfinite(value):
        raise ConfigError(f"condition {text!r}: write a property and a number, such as QED=0.9.")
    return name.strip(), value


def _added(
    trained: TrainedDomain, store: TagStore, name: str, value: float, computed: ComputedProperty
) -> Condition:
    if trained.artifact is None:
        raise ConfigError("a condition needs the domain tag. Leave out --no-tag.")
    key = condition_name(trained.name, name)
    artifact = _stored(trained, store, key, name)
    settings = artifact.config.tags[key].settings
    edges = settings["edges"]
    place = int(place_of(np.array([value]), edges)[0])
    rows = artifact.tag(key)
    length = len(rows) // (len(edges) + 1)
    trained.model.add_tag(key, rows[place * length : (place + 1) * length])
    trained.conditions = (*trained.conditions, key)
    ends = [-np.inf, *edges, np.inf]
    return Condition(
        name=name, value=value, low=ends[place], high=ends[place + 1], computed=computed
    )


def _stored(trained: TrainedDomain, store: TagStore, key: str, name: str) -> Artifact:
    """Return the newest tags of a property that were trained behind this domain tag."""
    assert trained.artifact is not None, "asked of a domain with its tag"
    own = trained.artifact.config.tags[trained.name].fingerprint
    backbone = trained.model.backbone.fingerprint().key
    found = [
        (entry.folder.stat().st_mtime_ns, artifact)
        for entry in store.entries()
        if entry.name == key and entry.backbone_key == backbone
        if (artifact := store.load(entry)).config.tags[key].settings["behind"] == own
    ]
    if not found:
        raise UnknownNameError(
            f"the tag store {store.folder} holds no tags of '{name}' for this <{trained.name}>. "
            f"Train them with `taglm condition {trained.domain.spec.tag} {name}`."
        )
    return max(found, key=lambda item: item[0])[1]


def condition_report(
    conditions: Sequence[Condition], rows: Sequence[str], corpus: Sequence[str]
) -> list[dict[str, Any]]:
    """Return for each condition its range, and the share of valid rows and of the corpus in it."""
    return [
        {
            "property": each.name,
            "value": each.value,
            "low": each.low if np.isfinite(each.low) else None,
            "high": each.high if np.isfinite(each.high) else None,
            "in_range": each.share(rows),
            "corpus_in_range": each.share(corpus),
        }
        for each in conditions
    ]
