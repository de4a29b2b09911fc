"""Where a kernel's buffers live: storage bindings, workgroup memory, or one thread's variables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from xdsl.ir import Attribute

from picograd.backends.wgsl.text import memory_type
from picograd.dialects.affine import Linear
from picograd.dialects.loop import AllocOp
from picograd.dialects.loop_syntax import memref_type
from picograd.errors import CompileError
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.mapping.own_parts import Access, Astray, is_guarded, own_parts
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class SharedArray:
    """An array that several threads see: a storage binding or workgroup memory."""

    name: str
    shape: tuple[int, ...]
    element: Attribute

    @property
    def count(self) -> int:
        """Elements to declare; WGSL has no empty arrays."""
        return max(1, math.prod(self.shape))

    @property
    def declared_type(self) -> str:
        return f"array<{memory_type(self.element)}, {self.count}>"


@dataclass(frozen=True)
class PrivateArray:
    """A buffer of which each thread uses a part of its own, kept in that thread's variables.

    `extents` is the shape of the part, `places` are those of the accesses in it. If all of them are
    constant, each element is a variable (`scalars`), which a driver keeps in a register for sure.
    """

    name: str
    extents: tuple[int, ...]
    element: Attribute
    scalars: bool
    places: Mapping[Access, Sequence[Linear]]

    @property
    def count(self) -> int:
        return max(1, math.prod(self.extents))

    def declarations(self, type: str) -> list[str]:
        if self.scalars:
            return [f"var {self.name}_{number}: {type};" for number in range(self.count)]
        return [f"var {self.name}: array<{type}, {self.count}>;"]

    def fills(self, value: str) -> list[str]:
        """The statements that set every element to one value."""
        if self.scalars:
            return [f"{self.name}_{number} = {value};" for number in range(self.count)]
        place = f"{self.name}_p"
        head = f"for (var {place} = 0i; {place} < {self.count}i; {place}++)"
        return [f"{head} {{ {self.name}[{place}] = {value}; }}"]


Array: TypeAlias = SharedArray | PrivateArray


def misses(access: Access) -> bool:
    """Whether a guarded access is known to be outside its buffer: it loads 0, it stores nothing."""
    places = zip(access.indices, memref_type(access.memref).get_shape(), strict=True)
    return is_guarded(access) and any(
        index.is_constant and not 0 <= index.constant < size for index, size in places
    )


def private_array(alloc: AllocOp, name: str, facts: LoopFacts, kernel: str) -> PrivateArray:
    """The share of one thread in a private buffer.

    Raises CompileError for accesses that leave the thread's own part.
    """
    type = memref_type(alloc.memref)
    parts = own_parts(alloc, facts)
    if isinstance(parts, Astray):
        raise CompileError(
            "a thread reaches into the part of a private buffer that another thread owns",
            code="PG609",
            expected="a part for each thread that no other thread touches",
            found=str(parts.access).strip(),
            hint="allocate the buffer in workgroup memory instead",
            where=f"kernel @{kernel}, buffer {name}",
        )
    constant = all(index.is_constant for places in parts.places.values() for index in places)
    return PrivateArray(name, parts.extents, type.element_type, constant, parts.places)


def dense_offset(shape: Sequence[int], indices: Sequence[Linear]) -> Linear:
    """The position of an element in dense row-major memory."""
    total = Linear.of(0)
    stride = 1
    for size, index in zip(reversed(shape), reversed(indices), strict=True):
        total = total + index * stride
        stride *= size
    return total
