"""Loads whose lanes lie a few elements apart, or run backwards: whole vectors, then shuffles.

Between the first lane and the last all elements are the buffer's, so whole vectors may be read from
there, as long as none goes beyond the last lane: the last vector begins a little earlier.
"""

from __future__ import annotations

from picograd.backends.llvm import types
from picograd.backends.llvm.emit_address import address
from picograd.backends.llvm.function import Function
from picograd.dialects.affine import Lane, Linear
from picograd.dialects.loop import LoadOp

MOST_APART = 4
"""The greatest distance of lanes for which so many loads and shuffles beat a load for each lane."""


def is_strided(f: Function, lanes: int, stride: int | None) -> bool:
    """Whether lanes at a distance are read by whole vectors. Checked code looks at each lane."""
    whole = lanes == types.width(lanes) > MOST_APART - 1
    return f.sites is None and whole and stride is not None and 0 < abs(stride) <= MOST_APART


def vector_starts(lanes: int, apart: int) -> list[int]:
    """Where vectors begin that cover lanes so far apart, and nothing behind the last lane."""
    return [min(n * lanes, (lanes - 1) * (apart - 1)) for n in range(apart)]


def strided_load(
    f: Function,
    op: LoadOp,
    elements: Linear,
    stride: int,
    memory: tuple[str, int],
    hint: str | None,
) -> str:
    """A vector whose lanes are `stride` elements apart; `memory` is their type and its bytes.

    `elements` is the place of a lane, which is in bounds for all of them.
    """
    lanes, apart = types.lanes(op.result.type), abs(stride)
    element, alignment = memory
    type = types.vector(element, lanes)
    lowest = elements.substitute({Lane(0): 0 if stride > 0 else lanes - 1})
    starts = vector_starts(lanes, apart)
    places = [lane * apart for lane in range(lanes)][:: 1 if stride > 0 else -1]
    result, known = "poison", ["poison"] * lanes
    for start in starts:
        place = address(f, op.memref, lowest + start)
        vector = f.assign(hint, f"load {type}, ptr {place}, align {alignment}")
        picks = [
            str(lanes + at - start) if known[lane] == "poison" and start <= at < start + lanes
            else known[lane]
            for lane, at in enumerate(places)
        ]  # fmt: skip
        mask = "<" + ", ".join(f"i32 {pick}" for pick in picks) + ">"
        result = f.assign(
            hint, f"shufflevector {type} {result}, {type} {vector}, <{lanes} x i32> {mask}"
        )
        known = [pick if pick == "poison" else str(lane) for lane, pick in enumerate(picks)]
    return result
