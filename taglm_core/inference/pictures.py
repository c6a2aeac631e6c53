"""Pictures of rows, drawn by their domain."""

import inspect
import re
from collections.abc import Sequence

from taglm_core.errors import TaglmError
from taglm_core.specs import Domain
from taglm_core.specs.reference import resolve

_UNSAFE = re.compile(r"<script|<foreignObject|\son\w+=|href=|url\(", re.IGNORECASE)
"""What may not stand in a picture: a page neither runs anything nor fetches anything."""


def draw_row(domain: Domain, row: str, weights: Sequence[float] | None = None) -> str | None:
    """Return the picture that a domain draws of a row.

    Args:
        domain: The domain.
        row: Its canonical row.
        weights: One number for each symbol of the row; the largest one is shaded most. None:
            nothing is shaded.

    Returns:
        SVG text, which may be put into a page as it is; None where the domain draws nothing, cannot
        draw the row, or draws what a page must not hold.
    """
    if domain.draw is None:
        return None
    try:
        draw = resolve(domain.draw, f"domain {domain.tag}, draw")
        if weights is None or "weights" not in inspect.signature(draw).parameters:
            svg = draw(row)
        else:
            top = max(weights, default=0.0) or 1.0
            svg = draw(row, [weight / top for weight in weights])
    except TaglmError:  # of a plugin that is gone, or of a row that it cannot draw
        return None
    return None if not isinstance(svg, str) or _UNSAFE.search(svg) else svg
