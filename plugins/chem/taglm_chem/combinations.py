"""Two drugs on a cell line: invented rows to try the task on, measured ones, and the split by pair.

The measured set is read from a local copy; nothing of it is shipped.
"""

import itertools
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import numpy as np

from taglm_chem.features import PROPERTIES
from taglm_chem.generated import Drug, read_drugs
from taglm_chem.molecules import read
from taglm_core.errors import DataError
from taglm_core.plugin import PublicSet, assign_random, load_public

SIZE = 6000
NUM_LINES = 10
MAX_CHARACTERS = 100

DRUGCOMB_CSS = PublicSet(
    name="chem/drugcomb_css",
    files=("drugcomb_css.csv", "drugcomb_css.tab", "drugcomb_css.parquet"),
    columns={
        "drug1_name": ("Drug1_ID",),
        "drug1": ("Drug1",),
        "drug2_name": ("Drug2_ID",),
        "drug2": ("Drug2",),
        "cell": ("Cell_Line_ID", "CellLine_ID", "Cell_Line", "CellLine"),
        "synergy": ("Y",),
    },
    source="https://tdcommons.ai/multi_pred_tasks/drugsyn (DrugComb, CSS)",
    how=(
        "Therapeutics Data Commons gives it as a pickle, which taglm does not read: write the "
        "data frame once with DataFrame.to_csv, without columns of measurements."
    ),
)


def made_up(*, seed: int, size: int | None = None) -> dict[str, list[Any]]:
    """Make pairs of known drugs on invented cell lines with an invented score.

    Args:
        seed: Equal seeds give equal rows; a smaller size gives the first ones of a larger.
        size: Number of rows; None: 6,000.

    Returns:
        Names and canonical SMILES of two drugs, the cell line, and the score of `invented_score`.
    """
    random = Random(f"combinations {seed}")
    drugs = [drug for drug in read_drugs() if len(drug.smiles) <= MAX_CHARACTERS]
    numbers = _numbers(drugs)
    rows = []
    for _ in range(SIZE if size is None else size):
        first = int(random.random() * len(drugs))
        second = (first + 1 + int(random.random() * (len(drugs) - 1))) % len(drugs)
        line = int(random.random() * NUM_LINES)
        score = invented_score(numbers[first], numbers[second], line)
        rows.append((drugs[first], drugs[second], line, score))
    return {
        "drug1_name": [first.name for first, _, _, _ in rows],
        "drug1": [first.smiles for first, _, _, _ in rows],
        "drug2_name": [second.name for _, second, _, _ in rows],
        "drug2": [second.smiles for _, second, _, _ in rows],
        "cell": [f"L{line}" for _, _, line, _ in rows],
        "synergy": [score for _, _, _, score in rows],
    }


def invented_score(first: np.ndarray, second: np.ndarray, line: int) -> float:
    """Return a score that no experiment stands behind.

    Args:
        first: float `(2,)`: aromatic rings and polar surface (in 50 square angstrom) of one drug.
        second: The same of the other; the order of the two does not matter.
        line: Number of the cell line; it multiplies what the rings give.

    Returns:
        `3 (0.5 + line / 5) (rings of both) - 6 |difference of the surfaces|`.
    """
    rings = float(first[0] + second[0])
    return round(3.0 * (0.5 + line / 5) * rings - 6.0 * abs(float(first[1] - second[1])), 4)


def _numbers(drugs: Sequence[Drug]) -> np.ndarray:
    """Return aromatic rings and polar surface of each drug: float `(drugs, 2)`."""
    names = ("aromatic_rings", "polar_surface_area")
    mols = read([drug.smiles for drug in drugs])
    values = np.array([[PROPERTIES[name](mol) for name in names] for mol in mols])
    scaled: np.ndarray = values / np.array([1.0, 50.0])
    return scaled


def drugcomb_css(*, seed: int = 0, size: int | None = None) -> dict[str, list[Any]]:
    """Read the combination sensitivity scores of DrugComb from a local copy.

    Args:
        seed: Not used; the rows are always the same.
        size: Number of rows from the top; None: all.

    Raises:
        DataError: saying where a copy is looked for when there is none.
    """
    return load_public(DRUGCOMB_CSS, size)


def pair_splits(columns: Mapping[str, Sequence[str]], seed: int) -> list[str]:
    """Put 80 % of the pairs of drugs into train, 10 % into valid, 10 % into test.

    Args:
        columns: The molecule fields; the first two make up the pair, in either order.
        seed: Decides which.

    Raises:
        DataError: when the task has one molecule only.
    """
    both = list(itertools.islice(columns.values(), 2))
    if len(both) < 2:
        raise DataError(
            f"the split 'chem/pair' needs two molecules in the template, found "
            f"{', '.join(columns)}. Use --set data.split.method=scaffold."
        )
    pairs = ["\n".join(sorted(pair)) for pair in zip(*both, strict=True)]
    return assign_random({"pair": pairs}, seed)
