"""Plans of programs, from modules of loop level: what each operand of a launch is bound to."""

from __future__ import annotations

import math
from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, SSAValue

from picograd.backends.runtime import Array
from picograd.backends.wgsl.code import KernelCode
from picograd.backends.wgsl.emit import emit_kernel
from picograd.backends.wgsl.plan import (
    Argument,
    Constant,
    Leased,
    Plan,
    PlannedLaunch,
    Source,
    Status,
)
from picograd.backends.wgsl.runtime import Limits
from picograd.backends.wgsl.storage import ELEMENT_BYTES, pack
from picograd.dialects import buffer
from picograd.dialects.dtypes import from_ir, tensor_type
from picograd.dialects.literals import array_of
from picograd.dialects.loop import KernelOp, LaunchOp
from picograd.dialects.loop_syntax import memref_type
from picograd.errors import CompileError, LimitError

OFFSET_ALIGNMENT = 256


class Planner:
    """Walks a module's `@main` once; `plan` is what it found.

    Raises CompileError for a module that is not at loop level, LimitError for one that the device
    cannot run.
    """

    def __init__(self, module: ModuleOp, limits: Limits) -> None:
        self.limits = limits
        self.leases: list[int] = []
        self.constants: list[tuple[str, Array]] = []
        self.launches: list[PlannedLaunch] = []
        main = entry_of(module)
        kernels = {op.sym_name.data: op for op in module.ops if isinstance(op, KernelOp)}
        self._codes: dict[str, KernelCode] = {}
        sources: dict[SSAValue, Source] = {}
        for op in main.body.block.ops:
            if isinstance(op, LaunchOp):
                name = op.kernel.string_value()
                if name not in self._codes:
                    self._codes[name] = self.emit(kernels[name])
                operands = [self._source(value, sources) for value in op.buffers]
                self._plan(self._codes[name], operands)
                self.launched(op, operands)
            elif not isinstance(
                op,
                ReturnOp | buffer.ArenaOp | buffer.PlaceOp | buffer.ConstantOp | buffer.AllocOp,
            ):
                raise CompileError(
                    f"{op.name} in @main has no meaning on the GPU",
                    code="PG606",
                    expected="loop.launch and the buffers they need",
                    found=str(op).strip().partition("\n")[0],
                    hint="lower the module with the GPU's pipeline first",
                )
        self._arguments = [memref_type(argument) for argument in main.args]

    def plan(self) -> Plan:
        """What there is to run."""
        return Plan(
            kernels=tuple(self._codes.values()),
            launches=tuple(self.launches),
            leases=tuple(self.leases),
            constants=tuple(self.constants),
            arguments=tuple(
                tensor_type(type.get_shape(), from_ir(type.element_type))
                for type in self._arguments
            ),
        )

    # What checked execution does in another way

    def emit(self, kernel: KernelOp) -> KernelCode:
        """The code of a kernel."""
        return emit_kernel(kernel, self.limits)

    def launched(self, op: LaunchOp, operands: Sequence[Source]) -> None:
        """Called when the dispatches of a launch are planned; there is nothing to add."""

    def status(self) -> Source:
        """Where kernels report an index out of range."""
        return Status()

    def constant(self, name: str, stored: Array) -> Source:
        """Where a constant lies."""
        self.constants.append((name, stored))
        return Constant(len(self.constants) - 1)

    def lease(self, nbytes: int, name: str) -> Leased:
        """Memory of each call's own; `name` is for those who look at it."""
        if nbytes > self.limits.max_buffer_bytes:
            raise LimitError(
                "the program's intermediates do not fit into one GPU buffer",
                code="PG307",
                expected=f"at most {self.limits.max_buffer_bytes} bytes (max-buffer-size)",
                found=f"{nbytes} bytes",
                hint="use smaller tensors or batches, or the device 'cpu'",
            )
        self.leases.append(nbytes)
        return Leased(len(self.leases) - 1, 0, nbytes)

    # Operands and launches

    def _source(self, value: SSAValue, known: dict[SSAValue, Source]) -> Source:
        """What a buffer of @main is bound to; arenas and constants are set up on first use."""
        if value not in known:
            type = memref_type(value)
            nbytes = ELEMENT_BYTES * math.prod(type.get_shape())
            if isinstance(value, BlockArgument):
                known[value] = Argument(value.index, nbytes)
            elif isinstance(value.owner, buffer.ConstantOp):
                stored = pack(array_of(value.owner.value))
                known[value] = self.constant(value.name_hint or "constant", stored)
            elif isinstance(value.owner, buffer.PlaceOp):
                known[value] = self._place(value.owner, nbytes, known)
            else:
                known[value] = self.lease(nbytes, value.name_hint or "buffer")
        return known[value]

    def _place(self, place: buffer.PlaceOp, nbytes: int, known: dict[SSAValue, Source]) -> Leased:
        offset = place.offset.value.data
        if offset % OFFSET_ALIGNMENT:
            raise CompileError(
                "a buffer's place in the arena does not fit the GPU's alignment",
                code="PG609",
                expected=f"a multiple of {OFFSET_ALIGNMENT}",
                found=f"offset {offset}",
                hint='plan the buffers with plan_buffers{target="gpu"}',
                where=f"%{place.result.name_hint or '?'}",
            )
        if place.arena not in known:
            (size,) = memref_type(place.arena).get_shape()
            known[place.arena] = self.lease(size, "arena")
        arena = known[place.arena]
        assert isinstance(arena, Leased)
        return Leased(arena.number, offset, nbytes)

    def _plan(self, code: KernelCode, operands: Sequence[Source]) -> None:
        """The dispatches of one launch; its scratch buffers are leased with the arena."""
        name = f"scratch of {code.name}"
        scratch = [self.lease(nbytes, name) for nbytes in code.scratch_bytes]
        available = [*operands, *scratch]
        for dispatch in code.dispatches:
            sources = [available[number] for number in dispatch.buffers]
            if dispatch.uses_status:
                sources.append(self.status())
            if 0 not in dispatch.workgroups:
                self.launches.append(PlannedLaunch(dispatch, tuple(sources)))


def entry_of(module: ModuleOp) -> FuncOp:
    """`@main`, or else the only function."""
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    main = [op for op in functions if op.sym_name.data == "main"] or functions
    if len(main) != 1:
        raise CompileError(
            "the module has no entry function",
            code="PG604",
            expected="@main, or one function",
            found=", ".join(f"@{op.sym_name.data}" for op in functions) or "no function",
            hint="name the entry function @main",
        )
    return main[0]
