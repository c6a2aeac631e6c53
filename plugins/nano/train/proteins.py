"""What the read-out is asked about a protein: numbers that numpy computes from its residues.

Left out are the labels that taglm's own tasks compute (mean BLOSUM1, hydropathy, isoelectric point,
weight, instability). Those that are sums over residues still follow from the composition.
"""

import multiprocessing

import numpy as np

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
# The five z-scales of Sandberg et al., J. Med. Chem. 41 (1998) 2481, by residue as above.
_Z_SCALES = """
A  0.24 -2.32  0.60 -0.14  1.30
C  0.84 -1.67  3.71  0.18 -2.65
D  3.98  0.93  1.93 -2.46  0.75
E  3.11  0.26 -0.11 -3.04 -0.25
F -4.22  1.94  1.06  0.54 -0.62
G  2.05 -4.06  0.36 -0.82 -0.38
H  2.47  1.95  0.26  3.90  0.09
I -3.89 -1.73 -1.71 -0.84  0.26
K  2.29  0.89 -2.49  1.49  0.31
L -4.28 -1.30 -1.49 -0.72  0.84
M -2.85 -0.22  0.47  1.94 -0.98
N  3.05  1.62  1.04 -1.15  1.61
P -1.66  0.27  1.84  0.70  2.00
Q  1.75  0.50 -1.44 -1.34  0.66
R  3.52  2.50 -3.50  1.99 -0.17
S  2.39 -1.07  1.15 -1.39  0.67
T  0.75 -2.18 -1.12 -1.46 -0.40
V -2.59 -2.64 -1.54 -0.85 -0.02
W -4.36  3.94  0.59  3.44 -1.59
Y -2.54  2.44  0.43  0.04 -1.47
"""
_CHARGES = {"K": 1.0, "R": 1.0, "D": -1.0, "E": -1.0}
WINDOWS = 8
ENDS = 30
LAGS = (1, 2, 3, 4, 5, 7)
CLIP = 4.0
_STATISTICS_OF = 4000


def _scales() -> np.ndarray:
    """Return the z-scales and the charge at neutral pH, (20, 6)."""
    lines = [line.split() for line in _Z_SCALES.strip().split("\n")]
    assert "".join(line[0] for line in lines) == RESIDUES
    return np.array([[*map(float, line[1:]), _CHARGES.get(line[0], 0.0)] for line in lines])


SCALES = _scales()
_CODES = np.full(128, -1, np.int64)
_CODES[[ord(letter) for letter in RESIDUES]] = np.arange(len(RESIDUES))


def describe(sequence: str) -> np.ndarray:
    """Return the numbers of one protein of at least 9 standard residues, float32 (numbers,).

    Composition (of all, and of eight equal stretches), logarithm of the length, square roots of the
    shares of the 400 residue pairs, and of each scale the means of both ends and the
    autocovariances at six lags.
    """
    codes = _CODES[np.frombuffer(sequence.encode(), np.uint8)]
    size, kinds = len(codes), len(RESIDUES)
    window = np.arange(size) * WINDOWS // size
    table = np.bincount(window * kinds + codes, minlength=WINDOWS * kinds)
    table = table.reshape(WINDOWS, kinds)
    composition = table.sum(0) / size
    windows = table / np.maximum(1, table.sum(1, keepdims=True))
    pairs = np.bincount(codes[:-1] * kinds + codes[1:], minlength=kinds * kinds) / (size - 1)
    values = SCALES[codes]  # (size, scales)
    ends = [values[:ENDS].mean(0), values[-ENDS:].mean(0)]
    centered = values - values.mean(0)
    covariances = [(centered[lag:] * centered[:-lag]).mean(0) for lag in LAGS]
    parts = [composition, windows.ravel(), [np.log(size)], np.sqrt(pairs), *ends, *covariances]
    return np.concatenate(parts).astype(np.float32)


def target_table(sequences: list[str]) -> np.ndarray:
    """Return the standardized, clipped numbers of many proteins, float16 (proteins, numbers)."""
    if len(sequences) < _STATISTICS_OF:
        found = np.stack([describe(sequence) for sequence in sequences])
    else:
        with multiprocessing.get_context("fork").Pool() as pool:
            found = np.stack(pool.map(describe, sequences, chunksize=500))
    sample = found[:_STATISTICS_OF]
    scaled = (found - sample.mean(0)) / (sample.std(0) + 1e-6)
    return np.clip(scaled, -CLIP, CLIP).astype(np.float16)
