"""Loads, stores and local buffers of one shader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.ir import BlockArgument, SSAValue

from picograd.backends.wgsl.arrays import (
    Array,
    PrivateArray,
    SharedArray,
    dense_offset,
    misses,
    private_array,
)
from picograd.backends.wgsl.status import place_number
from picograd.backends.wgsl.text import integer, memory_type, poison, value_type
from picograd.backends.wgsl.writer import Writer
from picograd.dialects.affine import Linear
from picograd.dialects.loop import AllocOp, LoadOp, StoreOp
from picograd.dialects.loop_syntax import memref_shape, memref_type
from picograd.passes.mapping.own_parts import is_guarded
from picograd.semantics.access import WHOLE, Site, site_of


class MemoryWriter:
    """Writes memory operations; knows where each buffer lives.

    `bound` are the storage bindings in order, `shared` the arrays in workgroup memory so far, and
    `in_bounds` says whether every access so far is proved to stay inside its buffer. `threads` is
    the number of a workgroup's threads, `uses_status` whether the status is written to so far.
    """

    def __init__(
        self,
        writer: Writer,
        bound: Sequence[SSAValue],
        store_if: str = "",
        sites: list[Site] | None = None,
    ) -> None:
        """Stores to the kernel's arguments take place only if `store_if` holds, where given.

        `sites` lists the program's accesses so far that are checked; None: none shall be.
        """
        self.writer = writer
        self.sites = sites
        self._store_if = store_if
        self.bound = tuple(bound)
        self.shared: list[SharedArray] = []
        self.in_bounds = True
        self.threads = 1
        self.uses_status = False
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
            if self.sites is not None:
                self._poison_shared(array)
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
        if self.sites is not None:
            for line in own.fills(poison(type.element_type)):
                writer.line(line)

    def _poison_shared(self, array: SharedArray) -> None:
        """Let a workgroup's threads fill their memory: nobody still reads, nobody writes yet."""
        line, threads = self.writer.line, self.threads
        number = self.writer.fresh("p")
        line("workgroupBarrier();")
        line(
            f"for (var {number} = pg_thread; {number} < {array.count}i; {number} += {threads}i) "
            f"{{ {array.name}[{number}] = {poison(array.element)}; }}"
        )
        line("workgroupBarrier();")

    def load(self, op: LoadOp) -> None:
        type = value_type(op.result.type)
        if misses(op):
            self.writer.line(f"let {self.writer.name('v', op.result)} = {type}();")
            return
        condition = self._inside(op) if op.pad is not None else ""
        checks = self._checks(op)
        before = ""
        if checks and isinstance(self._arrays[op.memref], PrivateArray):
            before, checks = f"_ = {checks}; ", ""  # it cannot leave its thread's variables
        value = self._place(op, checks) + (" != 0u" if type == "bool" else "")
        if not condition:
            self.writer.line(f"{before}let {self.writer.name('v', op.result)} = {value};")
            return
        # Said outright: naga does not set a variable to zero again in each iteration of a loop.
        name = self.writer.variable("v", op.result, f"{type}()")
        self.writer.line(f"if ({condition}) {{ {before}{name} = {value}; }}")

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
        asked = [condition for condition in conditions if condition]
        checks = self._checks(op)
        # One inside the other: a store that shall not take place must not be reported.
        heads = [f"if ({test}) {{" for test in (" && ".join(asked), checks) if test]
        store = f"{self._place(op)} = {value};"
        if checks and not self._fits(op):
            store = ""  # a constant place outside does not compile, even if never reached
        self.writer.line(" ".join([*heads, store, *("}" for _ in heads)]))

    def _checks(self, op: LoadOp | StoreOp) -> str:
        """In checked execution the condition that an access is in its memory; else empty.

        It holds for each index, and for the offset that is made of them.
        """
        if self.sites is None:
            return ""
        self.uses_status = True
        site = len(self.sites)
        self.sites.append(site_of(op))
        text = self.writer.indices.text
        places = zip(op.indices, memref_shape(op.memref.type), strict=True)
        tests = [(index, size, axis) for axis, (index, size) in enumerate(places)]
        array = self._arrays[op.memref]
        if isinstance(array, SharedArray):
            offset = self.writer.facts.linearize(op.memref.type, op.indices)
        else:
            offset = self._own_offset(op, array)
        if not tests or offset != tests[0][0]:
            tests.append((offset, array.count, WHOLE))
        return " & ".join(
            f"pg_inside({text(index)}, {size}u, {integer(place_number(site, axis))})"
            for index, size, axis in tests
            if not index.is_constant or not 0 <= index.constant < size
        )

    def _fits(self, op: StoreOp) -> bool:
        """Whether a store's place is not known to lie outside of its buffer."""
        array = self._arrays[op.memref]
        if isinstance(array, PrivateArray):
            return True
        offset = self.writer.facts.linearize(op.memref.type, op.indices)
        return not offset.is_constant or 0 <= offset.constant < array.count

    def _own_offset(self, op: LoadOp | StoreOp, array: PrivateArray) -> Linear:
        """The place of an access in its thread's part of a buffer."""
        return dense_offset(array.extents, array.places[op])

    def _inside(self, op: LoadOp | StoreOp) -> str:
        """The condition under which a padded load or clipped store takes place."""
        return self.writer.indices.inside(memref_shape(op.memref.type), op.indices)

    def _place(self, op: LoadOp | StoreOp, checks: str = "") -> str:
        """Where an access takes place; at the start of its buffer unless `checks` hold."""
        array = self._arrays[op.memref]
        text = self.writer.indices.text
        if not is_guarded(op):
            places = zip(op.indices, memref_shape(op.memref.type), strict=True)
            inside = all(self.writer.facts.within(index, size) for index, size in places)
            self.in_bounds = self.in_bounds and inside
        if isinstance(array, SharedArray):
            offset = self.writer.facts.linearize(op.memref.type, op.indices)
            place = f"select(0i, {text(offset)}, {checks})" if checks else text(offset)
            return f"{array.name}[{place}]"
        offset = self._own_offset(op, array)
        return (
            f"{array.name}_{offset.constant}" if array.scalars else f"{array.name}[{text(offset)}]"
        )
