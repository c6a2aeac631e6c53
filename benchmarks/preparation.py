"""What happens before the backbone runs: encoding, padding, and the share of a step they take."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import setting
from measure import interleaved, spread
from stages import Ours, Scale

from taglm_core.encoders import TextEncoder
from taglm_core.model.batching import batches_by_tokens
from taglm_core.model.collate import collate
from taglm_core.specs import Encoder
from taglm_core.training.fit import FitSettings, step_batches, step_rows

_LEAST = 20.0
"""MB a second on one core that are asked of an encoder."""


def encoding(scale: Scale, domain: str, most: int = 20_000) -> dict[str, Any]:
    """Measure symbol encoding against the backbone's own tokenizer on the same strings.

    Args:
        scale: Rounds, clock.
        domain: `SMILES` or `Protein`.
        most: Strings.
    """
    encoder, strings, source = _strings(domain, most)
    encoder.encode_batch(strings[:2])  # reads its tables
    text = TextEncoder(setting.backbone_of(scale).tokenizer)
    some = strings[: max(1, len(strings) // 20)]
    sides = {
        "ours": lambda _: encoder.encode_batch(strings),
        "tokenizer": lambda _: text.encode_batch(some),
    }
    times = interleaved(sides, scale.rounds, scale.clock)
    rates = {
        side: sum(map(len, rows)) / 1e6 / statistics.median(times[side])
        for side, rows in (("ours", strings), ("tokenizer", some))
    }
    return {
        "ours": round(rates["ours"], 2),
        "rival": round(rates["tokenizer"], 3),
        "ratio": round(rates["ours"] / rates["tokenizer"], 1),
        "bound": None,
        "unit": "MB of sequence a second on one core",
        "rival_name": "the backbone's tokenizer",
        "asked": _LEAST,
        "spread": {side: spread(held) for side, held in times.items()},
        "data": source,
    }


def _strings(domain: str, most: int) -> tuple[Encoder, list[str], str]:
    if domain == "SMILES":
        from taglm_chem.encoder import SmilesEncoder

        rows, source = setting.load_molecules(most, np.random.default_rng(0))
        return SmilesEncoder(), rows, f"{len(rows)} {source}"
    from taglm_protein.encoder import ProteinEncoder

    targets = setting.load_targets("davis")
    rows = (targets * (1 + most // (10 * len(targets))))[: max(1, most // 10)]
    return ProteinEncoder(), rows, f"{len(rows)} targets of Davis"


def padding(scale: Scale, most: int = 20_000) -> dict[str, Any]:
    """Count padded tokens in an epoch's steps as training cuts them; nothing is run.

    The rival takes the rows as they come, in batches of as many rows.
    """
    rng = np.random.default_rng(0)
    molecules, source = setting.load_molecules(most, rng)
    pairs = setting.load_pairs("davis").take(rng.permutation(25_046)[:most])
    lengths = {
        "stage 1, molecules": (np.array(list(map(len, molecules))) + 10, 32, True),
        "whole rows of molecules": (np.array(list(map(len, molecules))) + 40, 64, True),
        "whole rows of pairs": (
            np.array([len(a) + len(b) for a, b in zip(pairs.drugs, pairs.targets, strict=True)])
            + 60,
            64,
            False,
        ),
        "cached rows": (np.full(most, setting.TAG_LENGTH), 64, False),
    }
    found = {name: _padded(*how, scale.tokens) for name, how in lengths.items()}
    blocks = np.unique(np.array([len(row) for row in pairs.targets]), return_counts=False)
    found["filling of the cache"] = 100 * _share(
        blocks[part] for part in batches_by_tokens(blocks, scale.tokens)
    )
    plain = {
        name: 100 * _share(np.array_split(sizes, max(1, len(sizes) // rows)))
        for name, (sizes, rows, _) in lengths.items()
    }
    worst, rival = max(found.values()), max(plain.values())
    return {
        "ours": round(worst, 2),
        "rival": round(rival, 2),
        "ratio": round(rival / max(worst, 0.01), 1),
        "bound": None,
        "unit": "% of the tokens are padding, at worst",
        "rival_name": "batches of the same rows as they come",
        "shares": {name: round(value, 2) for name, value in found.items()},
        "plain": {name: round(value, 2) for name, value in plain.items()},
        "data": f"{source}; {pairs.source}",
    }


def _padded(lengths: np.ndarray, rows: int, sorts: bool, tokens: int) -> float:
    settings = FitSettings(
        steps=1,
        batch_size=rows,
        batch_tokens=tokens,
        schedule="constant",
        warmup_ratio=0.0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        num_evaluations=1,
        patience=1,
        seed=0,
    )
    parts = [
        lengths[batch[part]]
        for batch in step_rows(lengths, sorts, settings, 0)
        for part in step_batches(lengths[batch], settings)
    ]
    return 100 * _share(parts)


def _share(batches: Iterable[Sequence[int] | np.ndarray]) -> float:
    """Return the share of padding in padded batches of rows of some lengths."""
    area = real = 0
    for sizes in map(np.asarray, batches):
        area += len(sizes) * int(sizes.max())
        real += int(sizes.sum())
    return 1 - real / area


def critical_path(scale: Scale) -> dict[str, Any]:
    """Measure what a kept step does before the backbone: picking rows, padding ids.

    Encoding is done for all rows before the first step.
    """
    rng = np.random.default_rng(0)
    pairs = setting.load_pairs("davis")
    sample = pairs.take(rng.permutation(len(pairs.values))[: scale.batch])
    task_model = setting.task_model(setting.backbone_of(scale), setting.AFFINITY)
    rows = task_model.assemble(sample.fields)
    ours = Ours(task_model, rows, np.zeros((len(rows), 1)), scale)
    chosen = np.arange(len(rows))
    suffixes = ours.cached.suffixes
    sides = {
        "ours": lambda _: collate(suffixes, chosen, True, "cpu", only="suffix"),
        "encoding": lambda _: task_model.assemble(sample.fields),
        "step": lambda _: ours.step(chosen),
    }
    times = interleaved(sides, scale.rounds, scale.clock)
    ms = {side: 1000 * statistics.median(held) for side, held in times.items()}
    return {
        "ours": round(ms["ours"], 2),
        "rival": round(ms["step"], 2),
        "ratio": round(ms["step"] / ms["ours"], 1),
        "bound": None,
        "unit": "ms of preparation in a step (ratio: step / preparation)",
        "rival_name": "the whole step",
        "encoding_ms_once": round(ms["encoding"], 2),
        "spread": {side: spread(held) for side, held in times.items()},
        "data": pairs.source,
    }
