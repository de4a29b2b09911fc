"""Where a kernel's buffers live: storage bindings, workgroup memory, or one thread's variables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from xdsl.ir import Attribute, Operation, SSAValue

from picograd.backends.wgsl.text import memory_type
from picograd.dialects.affine import Leaf, Linear, LinearLike
from picograd.dialects.loop import AllocOp, Dim, LoadOp, ParallelOp, StoreOp
from picograd.dialects.loop_syntax import memref_type
from picograd.errors import CompileError
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.mapping.nests import mapping_of

Access: TypeAlias = LoadOp | StoreOp


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

    `extents` is the shape of the part. If every access has constant indices in it, each element
    is a variable (`scalars`), which a driver keeps in a register for sure.
    """

    name: str
    extents: tuple[int, ...]
    element: Attribute
    scalars: bool

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


def accesses(memref: SSAValue) -> list[Access]:
    """The loads and stores of a buffer."""
    return [use.operation for use in memref.uses if isinstance(use.operation, LoadOp | StoreOp)]


def is_guarded(access: Access) -> bool:
    """Whether an access tests its indices, so that it cannot leave the buffer."""
    return (access.pad if isinstance(access, LoadOp) else access.clip) is not None


def misses(access: Access) -> bool:
    """Whether a guarded access is known to be outside its buffer: it loads 0, it stores nothing."""
    places = zip(access.indices, memref_type(access.memref).get_shape(), strict=True)
    return is_guarded(access) and any(
        index.is_constant and not 0 <= index.constant < size for index, size in places
    )


def private_array(alloc: AllocOp, name: str, facts: LoopFacts, kernel: str) -> PrivateArray:
    """The share of one thread in a private buffer.

    A buffer allocated outside the workgroup-mapped loops is spread over the threads by those loops'
    variables: with a variable of step s and coefficient c in an index, each thread owns c * s
    places along that axis, and its index relative to them is what remains when the variable is
    replaced by its lower bound. Raises CompileError for accesses that leave the own part; padded
    loads and clipped stores, which test their indices, may leave an axis that is not spread.
    """
    type = memref_type(alloc.memref)
    shape = tuple(type.get_shape())
    relative = [relative_indices(access, alloc) for access in accesses(alloc.memref)]
    extents = list(shape)
    for access, indices in zip(accesses(alloc.memref), relative, strict=True):
        for axis, (full, own) in enumerate(zip(access.indices, indices, strict=True)):
            share = _share(full, thread_dims(access, alloc))
            if share is not None:
                extents[axis] = share
            tested = is_guarded(access) and extents[axis] == shape[axis]
            if not tested and not facts.within(own, extents[axis]):
                raise CompileError(
                    "a thread reaches into the part of a private buffer that another thread owns",
                    code="PG609",
                    expected=f"indices from 0 to {extents[axis] - 1} along axis {axis}",
                    found=str(access).strip(),
                    hint="allocate the buffer in workgroup memory instead",
                    where=f"kernel @{kernel}, buffer {name}",
                )
    constant = all(index.is_constant for indices in relative for index in indices)
    return PrivateArray(name, tuple(extents), type.element_type, constant)


def thread_dims(access: Operation, alloc: AllocOp) -> list[Dim]:
    """The workgroup-mapped dimensions between a buffer's allocation and an access to it."""
    dims: list[Dim] = []
    op = access.parent_op()
    while op is not None and op is not alloc.parent_op():
        if isinstance(op, ParallelOp) and mapping_of(op) == "workgroup":
            dims.extend(op.dims)
        op = op.parent_op()
    return dims


def relative_indices(access: Access, alloc: AllocOp) -> list[Linear]:
    """An access's indices relative to the part of the buffer that its thread owns."""
    start: dict[Leaf, LinearLike] = {dim.variable: dim.lower for dim in thread_dims(access, alloc)}
    indices: list[Linear] = access.indices
    while start and any(index.values() & set(start) for index in indices):
        indices = [index.substitute(start) for index in indices]
    return indices


def _share(index: Linear, dims: Sequence[Dim]) -> int | None:
    """How many places along an axis one thread owns; None when the axis is not spread."""
    strides = [index.coefficient(dim.variable) * dim.step for dim in dims]
    strides = [stride for stride in strides if stride]
    return min(strides) if strides else None


def dense_offset(shape: Sequence[int], indices: Sequence[Linear]) -> Linear:
    """The position of an element in dense row-major memory."""
    total = Linear.of(0)
    stride = 1
    for size, index in zip(reversed(shape), reversed(indices), strict=True):
        total = total + index * stride
        stride *= size
    return total
