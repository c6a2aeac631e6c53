"""A sequence as a picture: numbered lines in blocks of ten, residues colored by their class."""

from collections.abc import Sequence
from html import escape

from taglm_protein.residues import read

COLORS = {
    "AVLIMC": "#8a6d00",
    "FWY": "#8e44ad",
    "KRH": "#1f5fbf",
    "DE": "#c0392b",
    "STNQ": "#1e8449",
    "GP": "#a04000",
}
"""Residues -> color: aliphatic and sulfur, aromatic, positive, negative, polar, bending."""

_OTHER = "#555555"
_SHADE = "#ffe0a8"
"""Color behind the residue with the largest weight; the letters keep their contrast on it."""
_FAINTEST = 0.02
_LINE, _BLOCK = 60, 10
_WIDTH, _HEIGHT, _LEFT = 9, 18, 50  # of a residue, of a line, and the room for numbers: pixels
_COLOR_OF = {letter: color for letters, color in COLORS.items() for letter in letters}


def draw(row: str, weights: Sequence[float] | None = None) -> str:
    """Return a picture of a sequence as SVG text, to be put into a page as it is.

    Args:
        row: Sequence.
        weights: A number from 0 to 1 for each residue, which shades it; None: nothing is shaded.

    Raises:
        DataError: when the row is not a valid sequence.
    """
    read([row])
    lines = [row[first : first + _LINE] for first in range(0, len(row), _LINE)]
    longest = max(map(len, lines))
    width = _LEFT + _x(longest) + _WIDTH
    height = _HEIGHT * len(lines) + 8
    body = "" if weights is None else _shades(weights)
    body += "".join(_line(number, line) for number, line in enumerate(lines))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="monospace" font-size="14">{body}</svg>'
    )


def _shades(weights: Sequence[float]) -> str:
    """Return a rectangle behind each residue, the darker the larger its weight."""
    top = max(weights, default=0.0) or 1.0
    parts = []
    for i, weight in enumerate(weights):
        x, y = _LEFT + _x(i % _LINE), _HEIGHT * (i // _LINE) + 5
        if weight / top >= _FAINTEST:
            parts.append(
                f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" fill="{_SHADE}" '
                f'fill-opacity="{weight / top:.2f}"/>'
            )
    return "".join(parts)


def _x(place: int) -> int:
    """Return how far to the right a residue of a line stands, blocks apart."""
    return place * _WIDTH + place // _BLOCK * _WIDTH


def _line(number: int, line: str) -> str:
    """Return one line: its first position, then runs of residues of one color."""
    y = _HEIGHT * (number + 1)
    parts = [
        f'<text x="{_LEFT - 10}" y="{y}" text-anchor="end" fill="#888">{number * _LINE + 1}</text>'
    ]
    start = 0
    for place in range(1, len(line) + 1):
        is_end = (
            place == len(line) or place % _BLOCK == 0 or _color(line, place) != _color(line, start)
        )
        if is_end:
            run = line[start:place]
            parts.append(
                f'<text x="{_LEFT + _x(start)}" y="{y}" fill="{_color(line, start)}" '
                f'textLength="{len(run) * _WIDTH}">{escape(run)}</text>'
            )
            start = place
    return "".join(parts)


def _color(line: str, place: int) -> str:
    return _COLOR_OF.get(line[place], _OTHER)
