"""Dot charts: a line for each row, a dot on it for each contender; and drawing them as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

from picograd.quick_dataclasses import dataclass
from picograd.study.benches.charts import COLORS, STYLE


@dataclass(frozen=True)
class DotRow:
    """A row's numbers by name; `asked` is where a mark stands."""

    label: str
    values: Mapping[str, float]
    asked: float | None = None


@dataclass(frozen=True)
class Dots:
    """Rows over one logarithmic axis, on which 1 is marked."""

    title: str
    subtitle: str
    x_label: str
    rows: Sequence[DotRow]

    def colors(self) -> dict[str, str]:
        """A colour for each name, in the order of their first appearance."""
        names = dict.fromkeys(name for row in self.rows for name in row.values)
        return {name: COLORS[number % len(COLORS)] for number, name in enumerate(names)}

    def range(self) -> tuple[float, float]:
        """The least and the greatest number, 1 included, and room around them."""
        numbers = [1.0]
        for row in self.rows:
            numbers += [*row.values.values(), *([row.asked] if row.asked else [])]
        return min(numbers) / 1.15, max(numbers) * 1.15

    def ticks(self) -> list[float]:
        """1, 2 and 5 times the powers of ten that are in range."""
        low, high = self.range()
        decades = range(floor(log10(low)), ceil(log10(high)) + 1)
        every = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        return [tick for tick in every if low <= tick <= high]


# One unit is one pixel.
LABELS, WIDTH, TOP, STEP = 330, 560, 84, 20


def dots_svg(figure: Dots) -> str:
    """The figure as an SVG document."""
    colors = figure.colors()
    bottom = TOP + STEP * len(figure.rows)
    legend = bottom + 66
    height = legend + 18 * ceil(len(colors) / 3)
    low, high = figure.range()

    def across(value: float) -> float:
        return LABELS + WIDTH * (log10(value) - log10(low)) / (log10(high) - log10(low))

    width = LABELS + WIDTH + 30
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(figure.title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(20, 30, figure.title, "title"),
        _text(20, 50, figure.subtitle, "small"),
    ]
    for tick in figure.ticks():
        x = across(tick)
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>')
        parts.append(_text(x, bottom + 16, f"{tick:g}", "small", "middle"))
    parts.append(f'<path class="axis" d="M{across(1):.1f} {TOP - 6}V{bottom}"/>')
    parts.append(_text(LABELS + WIDTH / 2, bottom + 36, figure.x_label, "small", "middle"))
    for number, row in enumerate(figure.rows):
        y = TOP + STEP * number + STEP / 2
        parts.append(f'<g class="row"><path class="grid" d="M{LABELS} {y}h{WIDTH}"/>')
        parts.append(_text(LABELS - 8, y + 4, row.label, "small", "end"))
        if row.asked:
            x = across(row.asked)
            parts.append(f'<path stroke="#333" stroke-width="2" d="M{x:.1f} {y - 7}v14"/>')
        for name, value in row.values.items():
            place = f'cx="{across(value):.1f}" cy="{y}"'
            parts.append(
                f'<circle {place} r="4" fill="{colors[name]}" fill-opacity="0.8">'
                f"<title>{escape(name)}: {value:.3g}</title></circle>"
            )
        parts.append("</g>")
    for number, (name, color) in enumerate(colors.items()):
        line, column = divmod(number, 3)
        x, y = LABELS - 100 + 230 * column, legend + 18 * line
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{color}"/>')
        parts.append(_text(x + 10, y, name, "small"))
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'
