"""A molecule as a picture, its atoms shaded where weights are given."""

from collections.abc import Sequence

from rdkit.Chem.Draw import rdMolDraw2D

from taglm_chem.encoder import SmilesEncoder
from taglm_chem.molecules import read

_SIZE = (320, 240)  # width and height in pixels
_SHADE = (0.95, 0.55, 0.10)
"""Color of the largest weight; none is white. Letters on it keep their contrast."""


def draw(row: str, weights: Sequence[float] | None = None) -> str:
    """Return a picture of a molecule as SVG text, to be put into a page as it is.

    Args:
        row: SMILES.
        weights: A number from 0 to 1 for each symbol of the encoder. Those of an atom's letters,
            brackets and ring digits shade it; bonds and parentheses are not drawn. None: nothing
            is shaded.

    Raises:
        DataError: when the row is not a valid SMILES.
    """
    (mol,) = read([row])
    drawing = rdMolDraw2D.MolDraw2DSVG(*_SIZE)
    options = drawing.drawOptions()
    options.clearBackground = False
    colors = {}
    if weights is not None:
        options.useBWAtomPalette()
        options.fillHighlights = True
        shades = atom_weights(row, weights)
        if len(shades) == mol.GetNumAtoms():  # RDKit leaves out hydrogens that stand alone
            top = max(shades, default=0.0) or 1.0
            colors = {i: _color(value / top) for i, value in enumerate(shades)}
    rdMolDraw2D.PrepareAndDrawMolecule(
        drawing, mol, highlightAtoms=list(colors), highlightAtomColors=colors, highlightBonds=[]
    )
    drawing.FinishDrawing()
    text: str = drawing.GetDrawingText()
    return text[text.index("<svg") :]  # an XML declaration may not stand inside a page


def atom_weights(row: str, weights: Sequence[float]) -> list[float]:
    """Add up the weights of symbols by the atom that they belong to.

    Args:
        row: SMILES.
        weights: One number for each symbol of the encoder.

    Returns:
        One number for each atom, in the order of the SMILES.
    """
    encoder = SmilesEncoder()
    sums: list[float] = []
    inside = False
    for k, weight in zip(encoder.encode_batch([row]).ids, weights, strict=True):
        symbol = encoder.symbols[int(k)]
        is_digit = symbol.isdigit() or symbol == "%"
        if symbol == "[" or (not inside and (symbol.isalpha() or symbol == "*")):
            sums.append(weight)
        elif inside or symbol == "]" or (is_digit and sums):
            sums[-1] += weight
        inside = symbol != "]" if inside else symbol == "["
    return sums


def _color(share: float) -> tuple[float, float, float]:
    red, green, blue = (1 - share * (1 - part) for part in _SHADE)
    return red, green, blue
