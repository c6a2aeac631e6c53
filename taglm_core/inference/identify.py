"""Which domain a row is of: the domain tags ranked by the likelihood that they give to it.

Likelihoods of alphabets of different sizes are compared in bits, each row's own bytes being the
same for all. A row that a domain cannot encode is not of that domain. Two things are calibrated on
validation rows: by how many bits the likeliest domain has to lead, and how many bits per byte, for
a row of its length, are still typical of a domain.
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
EMPTY = "empty text"

_LEAST_SPREAD = 1e-6
_ROWS_FOR_LENGTH = 20
"""Rows of a domain from which on its cost is fitted to the length."""


@attrs.frozen(kw_only=True)
class Typical:
    """What rows of a domain cost, in bits per byte: `level + start / bytes`, with a spread."""

    level: float
    """Bits per byte of a long row."""
    start: float
    """Bits that a row costs beyond that, however short it is."""
    between: float
    """Variance from row to row that no length removes."""
    within: float
    """Variance that falls with the number of bytes."""
    most: float
    """Standard deviations above its own length's cost at which a row is no longer of the domain."""

    def excess(self, bits: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Return by how many standard deviations rows cost more than is usual.

        Args:
            bits: Bits per byte, `(rows,)`.
            sizes: Bytes, `(rows,)`.
        """
        spread = np.sqrt(self.between + self.within / sizes)
        return (bits - self.level - self.start / sizes) / np.maximum(spread, _LEAST_SPREAD)

    @staticmethod
    def of(bits: np.ndarray, sizes: np.ndarray, inside: float) -> "Typical":
        """Fit to a domain's own rows, of which a share `inside` shall stay below the limit."""
        short = 1.0 / sizes
        level, start = float(bits.mean()), 0.0
        has_lengths = len(bits) >= _ROWS_FOR_LENGTH and float(np.ptp(short)) > 0
        if has_lengths:
            start, level = map(float, np.polyfit(short, bits, 1))
        squares = (bits - level - start * short) ** 2
        between, within = float(squares.mean()), 0.0
        if has_lengths:
            within, between = _variances(short, squares)
        fitted = Typical(level=level, start=start, between=between, within=within, most=0.0)
        most = float(np.quantile(fitted.excess(bits, sizes), inside))
        return attrs.evolve(fitted, most=most)


def _variances(short: np.ndarray, squares: np.ndarray) -> tuple[float, float]:
    """Fit `within * short + between` to squared deviations, neither below 0."""
    within, between = map(float, np.polyfit(short, squares, 1))
    if within < 0:
        return 0.0, float(squares.mean())
    if between < 0:
        return float((squares * short).sum() / (short * short).sum()), 0.0
    return within, between


@attrs.frozen(kw_only=True)
class Calibration:
    """What was found on validation rows."""

    margin: float = 0.0
    """Bits by which the best domain must lead the second."""
    limits: Mapping[str, Typical] = attrs.field(factory=dict)
    """Domain -> what its rows cost; a domain without it has no limit."""
    rows: int = 0
    """Validation rows of all domains."""
    accuracy: float = 0.0
    """Share of the validation rows whose best domain is their own."""
    accepted: float = 0.0
    """Share of them that margin and limits let through."""


@attrs.frozen
class Verdict:
    """What is said of one row."""

    domain: str
    """Full name of a domain, "none of these", "unsure" or "empty text"."""
    best: str | None
    """The likeliest domain, None when no domain can encode the row."""
    bits: float | None
    """Its bits per byte."""
    margin: float | None
    """Bits of the whole row by which it leads the second; None when there is no second."""


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
    bits = np.full((len(rows), len(domains)), np.inf)
    sizes = num_bytes(rows)
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
            bits[chosen, k] = total.numpy() / math.log(2) / sizes[chosen]
        if on_progress is not None:
            on_progress(len(rows) * (k + 1))
    return bits


def num_bytes(rows: Sequence[str]) -> np.ndarray:
    """Return the bytes of each row, at least one: int64 `(rows,)`."""
    return np.array([max(1, len(row.encode())) for row in rows], dtype=np.int64)


def calibrate(
    bits: np.ndarray,
    sizes: np.ndarray,
    truth: Sequence[int],
    names: Sequence[str],
    confidence: float = 0.99,
    inside: float = 0.99,
) -> Calibration:
    """Find margin and limits on validation rows.

    Args:
        bits: `(rows, domains)` as `bits_per_byte` gives.
        sizes: Bytes of each row, `(rows,)`.
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
    lead = _lead(bits, sizes)
    is_right = bits.argmin(axis=1) == own
    margin = 0.0
    for value in np.unique(np.concatenate([[0.0], lead[np.isfinite(lead)]])):
        is_answered = lead >= value
        margin = float(value)
        if is_right[is_answered].mean() >= confidence:
            break
    limits = {}
    for k, name in enumerate(names):
        is_held = (own == k) & np.isfinite(bits[:, k])
        if is_held.any():
            limits[name] = Typical.of(bits[is_held, k], sizes[is_held], inside)
    calibration = Calibration(
        margin=margin, limits=limits, rows=len(bits), accuracy=float(is_right.mean())
    )
    accepted = [v.domain in names for v in decide(bits, sizes, names, calibration)]
    return attrs.evolve(calibration, accepted=float(np.mean(accepted)))


def _lead(bits: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return second minus best in bits of the row, `(rows,)`; infinite where there is no second."""
    if bits.shape[1] < 2:
        return np.full(len(bits), np.inf)
    ordered = np.sort(bits, axis=1)
    with np.errstate(invalid="ignore"):
        lead = (ordered[:, 1] - ordered[:, 0]) * sizes
    return np.where(np.isnan(lead), 0.0, lead)


def decide(
    bits: np.ndarray, sizes: np.ndarray, names: Sequence[str], calibration: Calibration
) -> list[Verdict]:
    """Say of each row which domain it is of.

    Args:
        bits: Bits per byte, `(rows, domains)`.
        sizes: Bytes of each row, `(rows,)`.
        names: Domains.
        calibration: Margin and limits.
    """
    verdicts = []
    lead = _lead(bits, sizes)
    for i, row in enumerate(bits):
        k = int(row.argmin())
        if not np.isfinite(row[k]):
            verdicts.append(Verdict(NONE, None, None, None))
            continue
        said = names[k]
        usual = calibration.limits.get(said)
        if usual is not None and usual.excess(row[k : k + 1], sizes[i : i + 1])[0] > usual.most:
            said = NONE
        elif lead[i] < calibration.margin:
            said = UNSURE
        gap = float(lead[i]) if np.isfinite(lead[i]) else None
        verdicts.append(Verdict(said, names[k], float(row[k]), gap))
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
