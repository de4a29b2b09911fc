"""Loads, stores and local buffers of one shader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.ir import BlockArgument, SSAValue

from picograd.backends.wgsl.arrays import (
    Array,
    SharedArray,
    dense_offset,
    is_guarded,
    misses,
    private_array,
    relative_indices,
)
from picograd.backends.wgsl.text import memory_type, value_type
from picograd.backends.wgsl.writer import Writer
from picograd.dialects.loop import AllocOp, LoadOp, StoreOp
from picograd.dialects.loop_syntax import memref_shape, memref_type


class MemoryWriter:
    """Writes memory operations; knows where each buffer lives.

    `bound` are the storage bindings in order, `shared` the arrays in workgroup memory so far, and
    `in_bounds` says whether every access so far is proved to stay inside its buffer.
    """

    def __init__(self, writer: Writer, bound: Sequence[SSAValue], store_if: str = "") -> None:
        """Stores to the kernel's arguments take place only if `store_if` holds, where given."""
        self.writer = writer
        self._store_if = store_if
        self.bound = tuple(bound)
        self.shared: list[SharedArray] = []
        self.in_bounds = True
        self._arrays: dict[SSAValue, Array] = {}
        for memref in bound:
            name = writer.name("b", memref)
            type = memref_type(memref)
            self._arrays[memref] = SharedArray(name, memref_shape(type), type.element_type)

    def bindings(self) -> Iterator[tuple[SSAValue, SharedArray]]:
        """The storage bindings, in order."""
        for memref in self.bound:
            array = self._arrays[memref]
            assert isinstance(array, SharedArray)
            yield memref, array

    def alloc(self, op: AllocOp, *, in_thread: bool) -> None:
        """Declare a local buffer: at module scope for the workgroup, here for one thread."""
        writer = self.writer
        type = memref_type(op.memref)
        name = writer.name("m", op.memref)
        if op.space == "workgroup":
            if in_thread:
                raise writer.error(
                    "workgroup memory cannot be allocated by one thread",
                    "allocate it outside the workgroup-mapped loops",
                    f"buffer {name}",
                )
            array = SharedArray(name, memref_shape(type), type.element_type)
            self.shared.append(array)
            self._arrays[op.memref] = array
            return
        if not in_thread and op.space != "private":
            raise writer.error(
                f"a buffer in space {op.space!r} cannot be shared by a workgroup's threads",
                'map_to_grid gives such buffers the space "workgroup" or "private"',
                f"buffer {name}",
            )
        own = private_array(op, name, writer.facts, writer.kernel_name)
        self._arrays[op.memref] = own
        for line in own.declarations(memory_type(type.element_type)):
            writer.line(line)

    def load(self, op: LoadOp) -> None:
        type = value_type(op.result.type)
        if misses(op):
            self.writer.line(f"let {self.writer.name('v', op.result)} = {type}();")
            return
        value = self._place(op) + (" != 0u" if type == "bool" else "")
        condition = self._inside(op) if op.pad is not None else ""
        if not condition:
            self.writer.line(f"let {self.writer.name('v', op.result)} = {value};")
            return
        # Said outright: naga does not set a variable to zero again in each iteration of a loop.
        name = self.writer.variable("v", op.result, f"{type}()")
        self.writer.line(f"if ({condition}) {{ {name} = {value}; }}")

    def store(self, op: StoreOp, *, in_thread: bool) -> None:
        if not in_thread and isinstance(self._arrays[op.memref], SharedArray):
            raise self.writer.error(
                "all threads of a workgroup would store to one place",
                "put the store into a workgroup-mapped loop of one iteration",
                str(op).strip(),
            )
        if misses(op):
            return
        value = self.writer.names[op.value]
        if value_type(op.value.type) == "bool":
            value = f"select(0u, 1u, {value})"
        conditions = [self._inside(op)] if op.clip is not None else []
        if self._store_if and isinstance(op.memref, BlockArgument):
            conditions.append(self._store_if)
        head = self.writer.guarded([condition for condition in conditions if condition])
        store = f"{self._place(op)} = {value};"
        self.writer.line(f"{head} {store} }}" if head else store)

    def _inside(self, op: LoadOp | StoreOp) -> str:
        """The condition under which a padded load or clipped store takes place."""
        return self.writer.indices.inside(memref_shape(op.memref.type), op.indices)

    def _place(self, op: LoadOp | StoreOp) -> str:
        array = self._arrays[op.memref]
        text = self.writer.indices.text
        if isinstance(array, SharedArray):
            if not is_guarded(op):
                places = zip(op.indices, array.shape, strict=True)
                inside = all(self.writer.facts.within(index, size) for index, size in places)
                self.in_bounds = self.in_bounds and inside
            offset = self.writer.facts.linearize(op.memref.type, op.indices)
            return f"{array.name}[{text(offset)}]"
        alloc = op.memref.owner
        assert isinstance(alloc, AllocOp)
        offset = dense_offset(array.extents, relative_indices(op, alloc))
        return (
            f"{array.name}_{offset.constant}" if array.scalars else f"{array.name}[{text(offset)}]"
        )
