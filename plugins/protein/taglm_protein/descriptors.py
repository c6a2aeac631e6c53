"""What protein engineers compute of a sequence: composition, charge, published scales."""

from collections.abc import Sequence

import numpy as np
from Bio.SeqUtils.ProtParam import ProteinAnalysis

from taglm_protein.encoder import ProteinEncoder
from taglm_protein.features import CLASSES
from taglm_protein.residues import STANDARD, read

SCALES: dict[str, dict[str, float]] = {
    # Kyte and Doolittle, J. Mol. Biol. 157 (1982) 105
    "hydropathy": dict(
        zip(
            "ARNDCQEGHILKMFPSTWYV",
            (1.8, -4.5, -3.5, -3.5, 2.5, -3.5, -3.5, -0.4, -3.2, 4.5)
            + (3.8, -3.9, 1.9, 2.8, -1.6, -0.8, -0.7, -0.9, -1.3, 4.2),
            strict=True,
        )
    ),
    # volume in cubic angstrom: Zamyatnin, Prog. Biophys. Mol. Biol. 24 (1972) 107
    "volume": dict(
        zip(
            "ARNDCQEGHILKMFPSTWYV",
            (88.6, 173.4, 114.1, 111.1, 108.5, 143.8, 138.4, 60.1, 153.2, 166.7)
            + (166.7, 168.6, 162.9, 189.9, 112.7, 89.0, 116.1, 227.8, 193.6, 140.0),
            strict=True,
        )
    ),
    "charge": {"K": 1.0, "R": 1.0, "H": 0.1, "D": -1.0, "E": -1.0},
}
"""Name -> number of each standard residue; 0 where it has none."""

_THIRDS = 3
_PROTPARAM = ("isoelectric_point", "instability_index", "aromaticity", "charge_at_pH_7")


def names() -> tuple[str, ...]:
    """Return the names of the descriptors, in order."""
    scales = [f"{what}_{name}" for name in SCALES for what in ("mean", "deviation")]
    thirds = [f"mean_{name}_third_{k + 1}" for name in SCALES for k in range(_THIRDS)]
    return (
        *("length", "log_length"),
        *(f"share_{letter}" for letter in STANDARD),
        *(f"share_{name}" for name in CLASSES),
        *scales,
        *thirds,
        *_PROTPARAM,
    )


def descriptors(rows: Sequence[str]) -> np.ndarray:
    """Describe each sequence by what Biopython's ProtParam and published scales say of it.

    The columns are named by `names()`: length; shares of the 20 residues and of the classes; mean
    and deviation of the scales in `SCALES`, and their means in the first, second and last third;
    isoelectric point, instability index (Guruprasad et al. 1990), aromaticity and the charge at pH
    7. Letters other than the 20 standard residues count for the length alone.

    Args:
        rows: Valid sequences, `(rows,)`.

    Returns:
        float32 `(rows, descriptors)`, all finite.

    Raises:
        DataError: when a row is not a valid sequence.
    """
    read(rows)
    return np.array([_of_one(row) for row in rows], np.float32).reshape(len(rows), len(names()))


_STANDARD_OF = np.array(
    [STANDARD.index(s) if s in STANDARD else -1 for s in ProteinEncoder.symbols], np.int64
)  # (symbols,) place among the standard residues, or -1
_VALUES = np.array([[scale.get(r, 0.0) for scale in SCALES.values()] for r in STANDARD])
_MEMBERS = np.array([[r in members for members in CLASSES.values()] for r in STANDARD], np.float64)


def _of_one(row: str) -> np.ndarray:
    """Return the descriptors of one valid sequence: float64 `(descriptors,)`."""
    size = np.array([len(row), np.log(max(len(row), 1))])
    places = _STANDARD_OF[ProteinEncoder().encode_batch([row]).ids]
    places = places[places >= 0]
    if not len(places):
        return np.concatenate([size, np.zeros(len(names()) - 2)])
    shares = np.bincount(places, minlength=len(STANDARD)) / len(places)
    scaled = _VALUES[places]  # (residues, scales)
    overall = np.stack([scaled.mean(axis=0), scaled.std(axis=0)], axis=1)
    thirds = np.stack([_mean(part) for part in np.array_split(scaled, _THIRDS)], axis=1)
    known = "".join(STANDARD[place] for place in places)
    return np.concatenate(
        [size, shares, shares @ _MEMBERS, overall.ravel(), thirds.ravel(), _protparam(known)]
    )


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=0) if len(values) else np.zeros(values.shape[1])


def _protparam(row: str) -> list[float]:
    analysis = ProteinAnalysis(row)
    instability = analysis.instability_index() if len(row) > 1 else 0.0
    charge = analysis.charge_at_pH(7.0)
    return [analysis.isoelectric_point(), instability, analysis.aromaticity(), charge]
