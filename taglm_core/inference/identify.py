"""Which domain a row is of: the domain tags ranked by the likelihood that they give to it.

Likelihoods of alphabets of different sizes are compared in bits per input byte. A row that a
domain cannot encode is not of that domain.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch

from taglm_core.errors import DataError
from taglm_core.inference.domains import TrainedDomain
from taglm_core.model.batching import batches_by_tokens
from taglm_core.model.likelihood import symbol_nats

NONE = "none of these"
UNSURE = "unsure"


@attrs.frozen(kw_only=True)
class Calibration:
    """Limits found on validation rows."""

    margin: float
    """Bits per byte by which the best domain must lead the second."""
    limits: Mapping[str, float]
    """Domain -> most bits per byte of a row that is still of it."""
    rows: int
    """Validation rows of all domains."""
    accuracy: float
    """Share of the validation rows whose best domain is their own."""
    accepted: float
    """Share of them that margin and limits let through."""


@attrs.frozen
class Verdict:
    """What is said of one row."""

    domain: str
    """Full name of a domain, "none of these" or "unsure"."""
    best: str | None
    """The likeliest domain, None when no domain can encode the row."""
    bits: float | None
    """Its bits per byte."""
    margin: float | None
    """Bits per byte to the second; None when there is no second."""


@torch.no_grad()
def bits_per_byte(
    domains: Sequence[TrainedDomain],
    rows: Sequence[str],
    max_tokens: int = 8192,
    on_progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Return how many bits each domain's tag needs for each byte of each row.

    The end of the row counts as well, since it tells a whole row from the beginning of one.

    Args:
        domains: Trained domains on one backbone.
        rows: Rows as they are.
        max_tokens: Token budget of a batch.
        on_progress: Called with the number of (row, domain) pairs done.

    Returns:
        float64 `(rows, domains)`; infinite where the domain cannot encode the row.
    """
    found = np.full((len(rows), len(domains)), np.inf)
    sizes = np.array([max(1, len(row.encode())) for row in rows])
    for k, trained in enumerate(domains):
        encoded = trained.encode(rows)
        before = trained.before()
        room = trained.model.backbone.max_positions - len(before)
        pieces = {
            i: encoded.ids[encoded.offsets[i] : encoded.offsets[i + 1]]
            for i, error in enumerate(encoded.errors)
            if error is None and 0 < encoded.offsets[i + 1] - encoded.offsets[i] <= room
        }
        members = np.array(list(pieces), dtype=np.int64)
        lengths = np.array([len(pieces[i]) + len(before) for i in members])
        for batch in batches_by_tokens(lengths, max_tokens):
            chosen = members[batch]
            nats, owner = symbol_nats(
                trained.model, trained.softmax, before, [pieces[i] for i in chosen], trained.base
            )
            total = torch.zeros(len(chosen), dtype=torch.float64)
            total.index_add_(0, owner.cpu(), nats.double().cpu())
            found[chosen, k] = total.numpy() / math.log(2) / sizes[chosen]
        if on_progress is not None:
            on_progress(len(rows) * (k + 1))
    return found


def calibrate(
    bits: np.ndarray,
    truth: Sequence[int],
    names: Sequence[str],
    confidence: float = 0.99,
    inside: float = 0.99,
) -> Calibration:
    """Find margin and limits on validation rows.

    Args:
        bits: `(rows, domains)` as `bits_per_byte` gives.
        truth: Index of each row's own domain.
        names: Domains.
        confidence: Share of the rows above the margin that must be right.
        inside: Share of a domain's own rows that its limit lets through.

    Raises:
        DataError: without rows.
    """
    if not len(bits):
        raise DataError("no validation rows to calibrate on.")
    own = np.asarray(truth)
    order = np.sort(bits, axis=1)
    lead = _lead(order)
    is_right = bits.argmin(axis=1) == own
    margin = 0.0
    for value in np.unique(np.concatenate([[0.0], lead[np.isfinite(lead)]])):
        kept = lead >= value
        margin = float(value)
        if is_right[kept].mean() >= confidence:
            break
    limits = {}
    for k, name in enumerate(names):
        held = bits[own == k, k]
        held = held[np.isfinite(held)]
        if len(held):
            limits[name] = float(np.quantile(held, inside))
    accepted = [v.domain in names for v in decide(bits, names, margin, limits)]
    return Calibration(
        margin=margin,
        limits=limits,
        rows=len(bits),
        accuracy=float(is_right.mean()),
        accepted=float(np.mean(accepted)),
    )


def _lead(ordered: np.ndarray) -> np.ndarray:
    """Return second minus best, `(rows,)`; infinite where there is no second."""
    if ordered.shape[1] < 2:
        return np.full(len(ordered), np.inf)
    with np.errstate(invalid="ignore"):
        lead = ordered[:, 1] - ordered[:, 0]
    return np.where(np.isnan(lead), 0.0, lead)


def decide(
    bits: np.ndarray, names: Sequence[str], margin: float, limits: Mapping[str, float]
) -> list[Verdict]:
    """Say of each row which domain it is of.

    Args:
        bits: `(rows, domains)`.
        names: Domains.
        margin: By how much the best must lead.
        limits: Domain -> most bits per byte; a domain without one has no limit.
    """
    verdicts = []
    lead = _lead(np.sort(bits, axis=1))
    for row, gap in zip(bits, lead, strict=True):
        k = int(row.argmin())
        if not np.isfinite(row[k]):
            verdicts.append(Verdict(NONE, None, None, None))
            continue
        name, value = names[k], float(row[k])
        said = name
        if value > limits.get(name, math.inf):
            said = NONE
        elif gap < margin:
            said = UNSURE
        verdicts.append(Verdict(said, name, value, float(gap) if np.isfinite(gap) else None))
    return verdicts


def ranking(bits: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row's domains, likeliest first; None where it cannot be encoded."""
    return [
        {
            "domain": names[k],
            "bits_per_byte": round(float(bits[k]), 4) if np.isfinite(bits[k]) else None,
        }
        for k in np.argsort(bits, kind="stable")
    ]
