"""The memory plan as a picture: which bytes are taken while which kernel runs.

Two charts of one scale stand side by side. To the left every intermediate has memory of its own;
to the right they lie where the plan puts them, after what could be reused has been. Time runs from
left to right, one kernel after the other, and a box is a buffer: as wide as it lives, as high as
its bytes. The pointer shows names and numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape

from picograd.passes.plan_buffers import MemoryPlan, PlannedBuffer

WIDTH, HEIGHT = 470, 320
"""Pixels of one chart, without what is written around it."""
LEFT, TOP, BOTTOM, GAP = 90, 62, 130, 90
_MOST_LABELS = 48
"""More kernels than this are numbered only: their names would lie on top of each other."""
_TICKS = 4
_LETTER = 6.6
"""About the width of a character, in pixels."""


def memory_svg(before: MemoryPlan, after: MemoryPlan, kernels: Sequence[str]) -> str:
    """A picture of two plans of one program, as SVG text; `kernels` are the labels in order."""
    apart = _apart(before)
    top = max(apart.bytes_planned, after.bytes_planned, 1)
    width = LEFT + 2 * WIDTH + GAP + 70
    size = f'viewBox="0 0 {width} {TOP + HEIGHT + BOTTOM}"'
    font = 'font-family="system-ui, sans-serif" font-size="12" fill="#222"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
        '<rect width="100%" height="100%" fill="#fff"/>',
        *_chart("Without reuse", apart, kernels, top, LEFT),
        *_chart("With reuse", after, kernels, top, LEFT + WIDTH + GAP),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _apart(plan: MemoryPlan) -> MemoryPlan:
    """The same buffers, each behind the one before it."""
    buffers: list[PlannedBuffer] = []
    end = 0
    for item in plan.buffers:
        buffers.append(replace(item, offset=end))
        end += item.size
    return MemoryPlan(tuple(buffers), end, end)


def _chart(
    title: str, plan: MemoryPlan, kernels: Sequence[str], top: int, left: int
) -> Iterator[str]:
    count = len(plan.buffers)
    what = f"{count} buffer{'' if count == 1 else 's'}, {_bytes(plan.bytes_planned)}"
    yield f'<text x="{left}" y="26" font-size="16" font-weight="600">{title}</text>'
    yield f'<text x="{left}" y="46" fill="#555">{what}</text>'
    yield from _axes(kernels, top, left)
    step = WIDTH / max(1, len(kernels))
    for item in plan.buffers:
        if item.last < item.first:
            continue  # no kernel touches it
        height = item.size / top * HEIGHT
        x, y = left + item.first * step, TOP + HEIGHT - (item.offset + item.size) / top * HEIGHT
        width = (item.last - item.first + 1) * step
        hue = zlib.crc32(item.name.encode()) % 360
        name = escape(item.name)
        about = (
            f"%{name}: {item.size} bytes from {item.offset}, kernels {item.first} to {item.last}"
        )
        yield (
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"'
            f' fill="hsl({hue} 60% 78%)" stroke="#fff"><title>{about}</title></rect>'
        )
        if height > 13 and width > _LETTER * (len(item.name) + 1):
            yield (
                f'<text x="{x + 4:.1f}" y="{y + height / 2 + 4:.1f}" pointer-events="none">'
                f"{name}</text>"
            )


def _axes(kernels: Sequence[str], top: int, left: int) -> Iterator[str]:
    bottom = TOP + HEIGHT
    for tick in range(_TICKS + 1):
        y = bottom - tick * HEIGHT / _TICKS
        yield f'<line x1="{left}" y1="{y}" x2="{left + WIDTH}" y2="{y}" stroke="#ddd"/>'
        number = _bytes(top * tick // _TICKS)
        yield f'<text x="{left - 8}" y="{y + 4}" text-anchor="end" fill="#555">{number}</text>'
    step = WIDTH / max(1, len(kernels))
    every = -(-len(kernels) // _MOST_LABELS) or 1
    for number in range(0, len(kernels), every):
        x = left + (number + 0.5) * step
        label = escape(kernels[number]) if every == 1 else str(number)
        yield (
            f'<text transform="translate({x:.1f} {bottom + 12}) rotate(40)" font-size="11"'
            f' fill="#555">{label}</text>'
        )


def _bytes(number: int) -> str:
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if number >= 10 * size:
            return f"{number / size:,.0f} {unit}"
    return f"{number:,} B"
