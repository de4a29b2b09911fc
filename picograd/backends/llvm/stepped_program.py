"""A compiled graph that runs on the CPU launch by launch, with a clock between them.

Each kernel becomes a program of its own, whose `@main` launches it once. The machine code of a
kernel is the same as in the whole graph, as nothing is inlined, and so are arena and constants.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue

from picograd.backends.llvm.emit import main_of
from picograd.backends.llvm.memory import Block as Memory
from picograd.backends.llvm.program import CpuMemory, CpuProgram
from picograd.backends.runtime import Buffer, SteppedProgram
from picograd.dialects import buffer
from picograd.dialects.dtypes import nbytes_of
from picograd.dialects.literals import array_of
from picograd.dialects.loop import KernelOp, LaunchOp, memref_type
from picograd.errors import DeviceError
from picograd.quick_dataclasses import dataclass

Load = Callable[[ModuleOp], CpuProgram]


class _Place(CpuMemory):
    """Memory that somebody else keeps alive."""

    __slots__ = ()

    def __init__(self, address: int, value: SSAValue) -> None:
        self.address = address
        self.nbytes = nbytes_of(memref_type(value))


class _Kernel:
    """A program of one launch, and the seconds that its machine code took last."""

    def __init__(self, program: CpuProgram) -> None:
        self.program = program
        self.seconds = 0.0
        program.watch(self._timed)

    def _timed(self, call: Callable[[int, int], None], arguments: int, context: int) -> None:
        start = time.perf_counter_ns()
        call(arguments, context)
        self.seconds = (time.perf_counter_ns() - start) * 1e-9


@dataclass(frozen=True)
class _Launch:
    """One launch: its kernel, and the buffers of `@main` that it is given."""

    kernel: _Kernel
    buffers: tuple[SSAValue, ...]


class SteppedCpuProgram(SteppedProgram):
    """The launches of a module of loop level, run one by one."""

    def __init__(self, module: ModuleOp, load: Load) -> None:
        """`load` makes a program of a module that launches one kernel."""
        main = main_of(module)
        kernels = {op.sym_name.data: op for op in module.ops if isinstance(op, KernelOp)}
        programs: dict[str, _Kernel] = {}
        self._main = main
        self._owned: list[Memory] = []
        self._fixed: dict[SSAValue, _Place] = {}
        launches: list[_Launch] = []
        names: list[str] = []
        for op in main.body.block.ops:
            if isinstance(op, LaunchOp):
                name = op.kernel.root_reference.data
                if name not in programs:
                    programs[name] = _Kernel(load(_alone(op, kernels.get(name))))
                launches.append(_Launch(programs[name], tuple(op.buffers)))
                names.append(name)
            else:
                self._keep_memory_of(op)
        self._launches = launches
        self.kernels: Sequence[str] = tuple(names)

    def _keep_memory_of(self, op: object) -> None:
        """Give an intermediate or a constant its place."""
        if isinstance(op, buffer.PlaceOp):
            start = self._fixed[op.arena].address
            self._fixed[op.result] = _Place(start + op.offset.value.data, op.result)
        elif isinstance(op, buffer.ArenaOp | buffer.AllocOp | buffer.ConstantOp):
            memory = Memory(max(1, nbytes_of(memref_type(op.result))))
            self._owned.append(memory)
            self._fixed[op.result] = _Place(memory.address, op.result)
            if isinstance(op, buffer.ConstantOp):
                data = np.ascontiguousarray(array_of(op.value)).reshape(-1).view(np.uint8)
                memory.bytes[: data.nbytes] = data

    def run(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> Sequence[float]:
        """Compute the outputs; the seconds that each launch took, the call of it included.

        Raises what `CpuProgram.run` raises. One caller at a time: intermediates have one place.
        """
        given = [*inputs, *outputs]
        if len(given) != len(self._main.args):
            raise DeviceError(
                "the program was given the wrong number of buffers",
                code="PG309",
                expected=f"{len(self._main.args)}, inputs and outputs together",
                found=len(given),
                hint="pass one buffer for each argument of @main",
            )
        places = {**self._fixed, **dict(zip(self._main.args, given, strict=True))}
        seconds: list[float] = []
        for launch in self._launches:
            buffers = [places[value] for value in launch.buffers]
            launch.kernel.program.run(cast(list[Buffer], buffers), ())
            seconds.append(launch.kernel.seconds)
        return seconds


def _alone(launch: LaunchOp, kernel: KernelOp | None) -> ModuleOp:
    """A module whose `@main` launches nothing but this kernel, on its arguments."""
    types = [value.type for value in launch.buffers]
    block = Block(arg_types=types)
    for argument, value in zip(block.args, launch.buffers, strict=True):
        argument.name_hint = value.name_hint
    block.add_ops([LaunchOp(launch.kernel.root_reference.data, block.args), ReturnOp()])
    main = FuncOp("main", FunctionType.from_lists(types, []), Region(block))
    return ModuleOp([main] if kernel is None else [kernel.clone(), main])
