"""Charts as SVG text: axes, points, lines, bars, bands and heat maps, without a drawing library."""

import math
from collections.abc import Sequence
from html import escape

BLUE, ORANGE, GREEN, GREY, INK = "#1f5fa8", "#a84f00", "#1e7a3c", "#6b6b6b", "#1a1a1a"
"""Colors that keep a contrast of 4.5 to 1 on white."""
COLORS = (BLUE, ORANGE, GREEN, "#8e3a9d", "#7a6200", "#b0263a", GREY)
WIDTH, HEIGHT = 420, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 14, 14, 48
_TICKS = 5

Range = tuple[float, float]


class Chart:
    """A chart with two axes; what is added later is drawn on top."""

    def __init__(
        self, x_label: str, y_label: str, x: Range, y: Range, x_names: bool = False
    ) -> None:
        """Begin with empty axes.

        Args:
            x_label: Name of the horizontal axis, with its unit.
            y_label: Name of the vertical axis, with its unit.
            x: Its smallest and largest value.
            y: The same of the vertical axis.
            x_names: Whether the horizontal axis gets its words from `names` instead of numbers.
        """
        self._x, self._y = _wider(x), _wider(y)
        self._parts: list[str] = []
        self._legend: list[tuple[str, str]] = []
        self._axes(x_label, y_label, x_names)

    def points(self, xs: Sequence[float], ys: Sequence[float], color: str = BLUE) -> None:
        """Add a dot for each pair."""
        dots = "".join(f"M{self._h(x):.1f} {self._v(y):.1f}h0" for x, y in zip(xs, ys, strict=True))
        self._parts.append(
            f'<path d="{dots}" stroke="{color}" stroke-width="5" stroke-opacity=".55" '
            'stroke-linecap="round" fill="none"/>'
        )

    def line(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        color: str = BLUE,
        name: str = "",
        dashed: bool = False,
    ) -> None:
        """Add a line through all pairs; one with a name stands in the legend."""
        places = " ".join(f"{self._h(x):.1f},{self._v(y):.1f}" for x, y in zip(xs, ys, strict=True))
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="2"{dash}/>'
        )
        if name:
            self._legend.append((name, color))

    def band(
        self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], color: str = BLUE
    ) -> None:
        """Add vertical intervals."""
        bars = "".join(
            f"M{self._h(x):.1f} {self._v(low):.1f}V{self._v(high):.1f}"
            for x, low, high in zip(xs, lows, highs, strict=True)
        )
        self._parts.append(f'<path d="{bars}" stroke="{color}" stroke-width="1.5" fill="none"/>')

    def bars(
        self, edges: Sequence[tuple[float, float]], heights: Sequence[float], color: str = BLUE
    ) -> None:
        """Add bars from zero, or from the lower end of the axis where it is above zero."""
        base = self._v(max(self._y[0], min(0.0, self._y[1])))
        for (left, right), height in zip(edges, heights, strict=True):
            a, b, y = self._h(left), self._h(right), self._v(height)
            top, tall = min(y, base), abs(base - y)
            self._parts.append(
                f'<rect x="{a + 0.5:.1f}" y="{top:.1f}" width="{max(b - a - 1, 1):.1f}" '
                f'height="{tall:.1f}" fill="{color}" fill-opacity=".8"/>'
            )

    def names(self, places: Sequence[float], words: Sequence[str]) -> None:
        """Write words below the horizontal axis."""
        for place, word in zip(places, words, strict=True):
            self._parts.append(
                f'<text x="{self._h(place):.1f}" y="{HEIGHT - _BOTTOM + 18}" '
                f'text-anchor="middle">{escape(word)}</text>'
            )

    def svg(self, alt: str, key_on_left: bool = False) -> str:
        """Return the chart.

        Args:
            alt: What it shows, for those who do not see it.
            key_on_left: Whether the names of lines stand at the left, where what is drawn rises.
        """
        left = _LEFT + 8 if key_on_left else WIDTH - _RIGHT - 150
        return _element(WIDTH, HEIGHT, alt, "".join([*self._parts, *self._key(left)]))

    def _key(self, left: int) -> list[str]:
        parts = []
        for k, (name, color) in enumerate(self._legend):
            y = _TOP + 14 + 18 * k
            parts.append(
                f'<rect x="{left}" y="{y - 10}" width="150" height="18" '
                f'fill="#fff" fill-opacity=".8"/><path d="M{left + 4} {y - 4}h18" '
                f'stroke="{color}" stroke-width="3"/><text x="{left + 28}" y="{y}">'
                f"{escape(_short(name))}</text>"
            )
        return parts

    def _axes(self, x_label: str, y_label: str, x_names: bool) -> None:
        right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
        parts = [f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="{INK}"/>']
        for value in _ticks(*self._y):
            y = self._v(value)
            parts.append(
                f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#ddd"/>'
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>'
            )
        for value in [] if x_names else _ticks(*self._x):
            parts.append(
                f'<text x="{self._h(value):.1f}" y="{bottom + 18}" text-anchor="middle">'
                f"{_number(value)}</text>"
            )
        middle = (_TOP + bottom) / 2
        parts.append(
            f'<text x="{(_LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
            f"{escape(x_label)}</text>"
            f'<text x="14" y="{middle}" text-anchor="middle" '
            f'transform="rotate(-90 14 {middle})">{escape(y_label)}</text>'
        )
        self._parts += parts

    def _h(self, x: float) -> float:
        low, high = self._x
        share = (min(max(x, low), high) - low) / (high - low)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def _v(self, y: float) -> float:
        low, high = self._y
        share = (min(max(y, low), high) - low) / (high - low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def heat_map(
    values: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    alt: str,
    span: Range | None = None,
    with_numbers: bool = True,
) -> str:
    """Return a matrix as colored cells.

    Args:
        values: One row after the other; None is left blank.
        rows: Names of the rows.
        columns: Names of the columns.
        alt: What it shows, for those who do not see it.
        span: Values of the lightest and the darkest cell; None: the smallest and the largest.
        with_numbers: Whether each cell holds its number.
    """
    known = [value for row in values for value in row if value is not None]
    low, high = span or (min(known, default=0.0), max(known, default=1.0))
    size = 44 if with_numbers else max(6, min(24, 360 // max(len(columns), 1)))
    left = 16 + 7 * min(max(map(len, rows), default=0), 18)
    top = 16 + 7 * min(max(map(len, columns), default=0), 18) if with_numbers else 8
    parts = []
    for i, row in enumerate(values):
        if rows[i]:
            parts.append(
                f'<text x="{left - 6}" y="{top + size * (i + 0.5) + 4:.0f}" text-anchor="end">'
                f"{escape(_short(rows[i]))}</text>"
            )
        for j, value in enumerate(row):
            if value is not None:
                share = 0.0 if high == low else (value - low) / (high - low)
                parts.append(_cell(left + size * j, top + size * i, size, share))
                if with_numbers:
                    parts.append(_cell_text(left + size * j, top + size * i, size, value, share))
    for j, name in enumerate(columns if with_numbers else ()):
        x = left + size * (j + 0.5)
        parts.append(
            f'<text x="{x}" y="{top - 6}" transform="rotate(-60 {x} {top - 6})">'
            f"{escape(_short(name))}</text>"
        )
    width, height = left + size * len(columns) + 40, top + size * len(rows) + 8
    return _element(int(width), int(height), alt, "".join(parts))


def _cell(x: float, y: float, size: float, share: float) -> str:
    tone = [round(255 - min(max(share, 0), 1) * (255 - part)) for part in (31, 95, 168)]
    color = "#" + "".join(f"{part:02x}" for part in tone)
    return f'<rect x="{x:.0f}" y="{y:.0f}" width="{size}" height="{size}" fill="{color}"/>'


def _cell_text(x: float, y: float, size: float, value: float, share: float) -> str:
    color = "#fff" if share > 0.6 else INK
    return (
        f'<text x="{x + size / 2:.0f}" y="{y + size / 2 + 4:.0f}" text-anchor="middle" '
        f'fill="{color}">{_number(value)}</text>'
    )


def _element(width: int, height: int, alt: str, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{escape(alt, quote=True)}" '
        f'font-family="system-ui,sans-serif" font-size="13" fill="{INK}">'
        f"{body}</svg>"
    )


def _wider(span: Range) -> Range:
    """Return a range that is not empty."""
    low, high = span
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 1.0
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers within a range."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * 0.99)
    first = math.ceil(low / step - 1e-9)
    return [step * k for k in range(first, int(math.floor(high / step + 1e-9)) + 1)]


def _number(value: float) -> str:
    if abs(value) < 1e-12:
        return "0"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e5 else f"{value:.1e}"


def _short(name: str) -> str:
    return name if len(name) <= 18 else name[:17] + "…"
