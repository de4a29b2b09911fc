"""Line charts: what is drawn, and drawing it as SVG, which needs no other package."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from math import ceil, floor, log10

from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One named line; its points, in rising order of x. `dashed` sets it off from the others."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes, both logarithmic. Every x is marked by its own number."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]

    @property
    def marks(self) -> list[float]:
        """The x of all points."""
        return sorted({x for line in self.lines for x, _ in line.points})


@dataclass(frozen=True)
class Figure:
    """Panels, two in a row. Lines of one name have one colour in all of them."""

    title: str
    subtitle: str
    panels: Sequence[Panel]

    def colors(self) -> dict[str, str]:
        """A colour for each name, in the order of their first appearance."""
        names = dict.fromkeys(line.name for panel in self.panels for line in panel.lines)
        return {name: COLORS[number % len(COLORS)] for number, name in enumerate(names)}


# Okabe and Ito's, which people see apart who see few colours; then some for long figures.
COLORS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"),
    *("#8c564b", "#6a3d9a", "#6b6b6b"),
)
COLUMNS = 2


# SVG. One unit is one pixel; a panel's origin is the upper left corner of its axes.

WIDTH, HEIGHT = 330, 230
LEFT, TOP, GAP_X, GAP_Y = 70, 100, 210, 95
STYLE = """
  text { font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #333; }
  .title { font-size: 17px; font-weight: 600; }
  .panel { font-weight: 600; font-size: 13px; }
  .small { font-size: 11px; fill: #666; }
  .grid { stroke: #e4e4e4; }
  .axis { stroke: #999; fill: none; }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
"""


def svg(figure: Figure) -> str:
    """The figure as an SVG document."""
    rows = ceil(len(figure.panels) / COLUMNS)
    width = LEFT + COLUMNS * (WIDTH + GAP_X)
    height = TOP + rows * (HEIGHT + GAP_Y)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(figure.title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(LEFT - 50, 32, figure.title, "title"),
        _text(LEFT - 50, 52, figure.subtitle, "small"),
    ]
    colors = figure.colors()
    for number, panel in enumerate(figure.panels):
        row, column = divmod(number, COLUMNS)
        x, y = LEFT + column * (WIDTH + GAP_X), TOP + row * (HEIGHT + GAP_Y)
        parts += [f'<g transform="translate({x} {y})">', *_panel(panel, colors), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, colors: dict[str, str]) -> list[str]:
    across = _Scale([x for line in panel.lines for x, _ in line.points], 14, WIDTH - 14)
    values = [y for line in panel.lines for _, y in line.points]
    decades = range(floor(log10(min(values))), ceil(log10(max(values))) + 1)
    up = _Scale([10.0 ** decades[0], 10.0 ** decades[-1]], HEIGHT, 0)
    parts = [_text(0, -12, panel.title, "panel")]
    for decade in decades:
        y = up(10.0**decade)
        parts.append(f'<path class="grid" d="M0 {y:.1f}H{WIDTH}"/>')
        parts.append(_text(-8, y + 4, _power(decade), "small", "end"))
    for mark in panel.marks:
        x = across(mark)
        parts.append(f'<path class="axis" d="M{x:.1f} {HEIGHT}v5"/>')
        parts.append(_text(x, HEIGHT + 18, f"{mark:g}", "small", "middle"))
    parts.append(f'<path class="axis" d="M0 0V{HEIGHT}H{WIDTH}"/>')
    parts.append(_text(WIDTH / 2, HEIGHT + 38, panel.x_label, "small", "middle"))
    parts.append(
        f'<text class="small" text-anchor="middle" transform="translate(-50 {HEIGHT / 2:g}) '
        f'rotate(-90)">{escape(panel.y_label)}</text>'
    )
    for line in panel.lines:
        places = [(across(x), up(y)) for x, y in line.points]
        color = colors[line.name]
        dashes = ' stroke-dasharray="6 4"' if line.dashed else ""
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path class="line" stroke="{color}"{dashes} d="M{path}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in places]
    # Names stand at the ends of their lines, moved apart where they would overlap.
    ends = [up(line.points[-1][1]) for line in panel.lines]
    for line, end, y in zip(panel.lines, ends, _apart(ends, 15), strict=True):
        x = across(line.points[-1][0])
        color, place = colors[line.name], f'x="{WIDTH + 10}" y="{y + 4:.1f}"'
        parts.append(f'<path stroke="{color}" d="M{x + 5:.1f} {end:.1f}L{WIDTH + 6} {y:.1f}"/>')
        parts.append(f'<text {place} style="fill:{color}">{escape(line.name)}</text>')
    return parts


class _Scale:
    """From numbers to pixels, by their logarithms."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self._low, high = log10(min(values)), log10(max(values))
        self._start = start
        self._step = (end - start) / (high - self._low) if high > self._low else 0.0

    def __call__(self, value: float) -> float:
        return self._start + (log10(value) - self._low) * self._step


def _apart(places: Sequence[float], distance: float) -> list[float]:
    """Places near the given ones, in the same order, at least `distance` from one another."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + distance)
    excess = max(0.0, max(moved) - HEIGHT) if moved else 0.0
    # Below the axes there is no room: push back up from the last one.
    limit = HEIGHT
    for index in reversed(order):
        if excess and moved[index] > limit:
            moved[index] = limit
        limit = moved[index] - distance
    return moved


def _power(exponent: int) -> str:
    digits = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return "1" if exponent == 0 else f"10{digits}"


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'
