"""How types and constants of the loop level are spelled in LLVM IR.

A tile of n lanes is a vector of the next power of two of lanes: its last lanes hold anything, and
loads, stores and folds leave them out by masks. A bool is `i1` as a value and a byte in memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    Float32Type,
    Float64Type,
    IndexType,
    IntegerType,
)
from xdsl.ir import Attribute

from picograd.dialects.loop import element_type, tile_rank, tile_shape
from picograd.errors import CompileError

_FLOATS: dict[type[Attribute], str] = {
    Float16Type: "half",
    BFloat16Type: "bfloat",
    Float32Type: "float",
    Float64Type: "double",
}
_FLOAT_SUFFIXES = {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64"}
_BYTES = {"half": 2, "bfloat": 2, "float": 4, "double": 8}


_spelled: dict[int, tuple[Attribute, int, str, str]] = {}
"""By the identities of types: each, its lanes, its element and its spelling. An attribute takes
longer to hash than to look through, and the same few are asked for at every operation."""

_MOST_SPELLED = 4096


def lanes(type: Attribute) -> int:
    """The number of elements of a tile of one axis; 0 for an element.

    Raises CompileError for tiles of several axes, which `unroll_tiles` splits.
    """
    return _look_up(type)[1]


def _look_up(type: Attribute) -> tuple[Attribute, int, str, str]:
    known = _spelled.get(id(type))
    if known is None:
        if len(_spelled) >= _MOST_SPELLED:
            _spelled.clear()
        count, element = _lanes(type), _scalar(type)
        # What is kept keeps the type, whose identity stays taken.
        known = _spelled[id(type)] = (type, count, element, vector(element, count))
    return known


def _lanes(type: Attribute) -> int:
    rank = tile_rank(type)
    if rank == 0:
        return 0
    if rank == 1:
        return tile_shape(type)[0]
    raise CompileError(
        "code generation takes tiles of one axis",
        code="PG606",
        expected="elements and vectors such as vector<16xf32>",
        found=type,
        hint="run unroll_tiles before, which splits tiles into machine vectors",
    )


def width(lanes: int) -> int:
    """The number of lanes of the LLVM vector that holds a tile of `lanes` elements."""
    return 1 << max(0, lanes - 1).bit_length()


def scalar(type: Attribute) -> str:
    """The LLVM type of one element: "float", "i64", "i1", …"""
    known = _spelled.get(id(type))
    return _scalar(type) if known is None else known[2]


def _scalar(type: Attribute) -> str:
    element = element_type(type)
    kind = element.__class__
    if kind in _FLOATS:
        return _FLOATS[kind]
    if isinstance(element, IntegerType):
        return f"i{element.bitwidth}"
    if kind is IndexType:
        return "i64"
    raise CompileError(
        "there is no LLVM type for an element",
        code="PG606",
        expected="a float, an integer or an index",
        found=type,
        hint="cast it to a type that the CPU has",
    )


def vector(scalar: str, lanes: int) -> str:
    """The LLVM type of a tile of `lanes` elements, or of an element when there are none."""
    return f"<{width(lanes)} x {scalar}>" if lanes else scalar


def value(type: Attribute) -> str:
    """The LLVM type of a value of a loop-level type."""
    return _look_up(type)[3]


def in_memory(scalar: str) -> str:
    """The LLVM type that holds an element in memory."""
    return "i8" if scalar == "i1" else scalar


def is_float(scalar: str) -> bool:
    return scalar in _BYTES


def nbytes(scalar: str) -> int:
    """Bytes of an element in memory."""
    return _BYTES[scalar] if is_float(scalar) else -(-int(scalar[1:]) // 8)


def suffix(scalar: str, lanes: int) -> str:
    """How intrinsics spell a type: "f32", "v16f32", "i64"."""
    name = _FLOAT_SUFFIXES.get(scalar, scalar)
    return f"v{width(lanes)}{name}" if lanes else name


def float_text(number: float, scalar: str) -> str:
    """A float constant, bit for bit, after rounding to the type."""
    if scalar == "half":
        return f"0xH{struct.unpack('<H', struct.pack('<e', number))[0]:04X}"
    if scalar == "bfloat":
        return f"0xR{struct.unpack('<I', struct.pack('<f', number))[0] >> 16:04X}"
    if scalar == "float":
        number = struct.unpack("<f", struct.pack("<f", number))[0]
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


def integer_text(number: int, scalar: str) -> str:
    """An integer constant; bools are spelled as words, so that -1 and 1 are both true."""
    if scalar == "i1":
        return "true" if number else "false"
    return str(number)


def number_text(number: float, scalar: str) -> str:
    """A constant of an element type."""
    if is_float(scalar):
        return float_text(float(number), scalar)
    return integer_text(int(number), scalar)


def splat(text: str, scalar: str, lanes: int) -> str:
    """A constant in every lane; the constant itself when there are no lanes."""
    return f"splat ({scalar} {text})" if lanes else text


def list_text(items: Iterable[str], scalar: str) -> str:
    """A vector constant from the text of its elements."""
    return "<" + ", ".join(f"{scalar} {item}" for item in items) + ">"


def first_lanes(lanes: int) -> str:
    """The mask that holds for the first `lanes` lanes of the vector that a tile lies in."""
    return list_text(("true" if lane < lanes else "false" for lane in range(width(lanes))), "i1")
