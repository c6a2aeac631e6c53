"""`taglm.condition`: tags that ask for a range of a property when rows are drawn."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from taglm_core.data.corpus import read_corpus
from taglm_core.data.splits import hold_out
from taglm_core.errors import DataError
from taglm_core.inference.conditions import condition_name, find_property
from taglm_core.inference.domains import TrainedDomain, compute_as_trained, corpus_of, load_domain
from taglm_core.inference.sample import ComputedProperty
from taglm_core.model.backbone_loading import load_backbone
from taglm_core.plugins import Registry, load_registry
from taglm_core.progress import Progress, chosen_progress
from taglm_core.store.schema import TagRecord
from taglm_core.store.tagstore import TagStore
from taglm_core.training.conditions import ConditionSettings, train_condition


def condition(
    domain: str,
    name: str,
    *,
    data: "str | PathLike[str] | None" = None,
    rows: int = 10_000,
    bins: int = 5,
    max_steps: int = 300,
    backbone: str = "nano",
    run: "str | PathLike[str] | None" = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | bool | None = None,
) -> dict[str, Any]:
    """Train tags of the ranges of a property, for `taglm.sample(..., conditions=["QED=0.9"])`.

    They stand behind the frozen domain tag and are kept in the tag store.

    Args:
        domain: Full or short name of a domain, such as "SMILES".
        name: A property that a task computes from the domain alone, such as "QED".
        data: Table of rows to train on; None: the corpus of the domain tag.
        rows: Most training rows.
        bins: Ranges of equal numbers of rows.
        max_steps: Optimizer steps of 32 rows.
        backbone: Registered name, folder or Hub id.
        run: Folder of a run or predictor that holds the domain tag; None: the newest of the store.
        seed: Seed of the rows and of their order.
        device: "cpu", "cuda", "cuda:1" or "auto".
        progress: True or False: with or without a bar; None: a bar in notebooks and terminals.

    Returns:
        Name of the tags, inner edges of the ranges, rows, steps, and held-out nats per symbol with
        the tags and with the domain tag alone.

    Raises:
        UnknownNameError: when there is no such domain, property or trained domain tag.
        DataError: when there are too few rows.
    """
    settings = ConditionSettings(bins=bins, max_steps=max_steps, seed=seed)
    registry = load_registry()
    store = TagStore.of(registry)
    loaded = load_backbone(backbone, registry, device)
    folder = Path(run) if run is not None else None
    trained = load_domain(domain, loaded, registry, store, folder)
    compute_as_trained([trained])
    name, computed = find_property(trained, registry, name)
    used, held_out, source = _rows(trained, registry, data, rows, seed)
    train, train_values = _with_property(computed, used)
    held, held_values = _with_property(computed, held_out)
    if not held:
        raise DataError(f"{source}: no held-out row has the property {name}. Give more rows.")
    artifact, fingerprint, readme = train_condition(
        trained,
        name,
        (train, held),
        (train_values, held_values),
        settings,
        source,
        chosen_progress(progress),
    )
    backbone_key, key = loaded.fingerprint().key, condition_name(trained.name, name)
    with store.lock(backbone_key, key, fingerprint):
        place = store.save(backbone_key, key, fingerprint, artifact, readme)
    facts = _facts(artifact.config.tags[key])
    return {"tag": key, "folder": str(place), "rows": len(train), **facts}


def _with_property(computed: ComputedProperty, rows: list[str]) -> tuple[list[str], np.ndarray]:
    """Return the rows that have a property, and its values."""
    values = computed.values(rows)
    good = np.isfinite(values)
    return [row for row, fine in zip(rows, good, strict=True) if fine], values[good]


def _facts(record: TagRecord) -> dict[str, Any]:
    """Return what is said of tags that were just trained."""
    lineage = record.lineage
    assert lineage is not None, "just trained"
    return {
        "edges": record.settings["edges"],
        "steps": lineage.steps,
        "seconds": lineage.seconds,
        "held_out_nats_per_symbol": getattr(lineage, "held_out_nats_per_symbol", {}),
    }


def _rows(
    trained: TrainedDomain,
    registry: Registry,
    data: "str | PathLike[str] | None",
    most: int,
    seed: int,
) -> tuple[list[str], list[str], str]:
    """Return training rows, held-out rows and where they are from."""
    if data is None:
        used, held_out, source = corpus_of(trained, registry)
        return used[:most], held_out, source
    corpus = read_corpus(trained.domain, registry, str(data), seed, None, "skip")
    held, others = hold_out(len(corpus.rows), seed)
    kept = [corpus.rows[i] for i in others[:most]]
    return kept, [corpus.rows[i] for i in held], corpus.source
