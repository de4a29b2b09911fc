"""A module of loop level as one module of LLVM IR text.

    module    ::= kernel functions, the bodies of their threads' loops, and `@main`
    @main     ::= void (ptr arguments, ptr context)

`arguments` points to the addresses of `@main`'s buffers, followed by those of its constants;
`context` to the slots that `function.CONTEXT_FIELDS` names. Names of kernels and buffers stand in
the text, and as comments in the assembly made from it.
"""

from __future__ import annotations

from collections.abc import Container
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from picograd.backends.checked.places import argument_name, dead_after
from picograd.backends.llvm import checks, types
from picograd.backends.llvm.emit_control import Kernel, symbol
from picograd.backends.llvm.emitted import ARENA, ENTRY, STATUS, Emitted
from picograd.backends.llvm.function import Function
from picograd.dialects import buffer
from picograd.dialects.dtypes import nbytes_of
from picograd.dialects.literals import array_of
from picograd.dialects.loop import KernelOp, LaunchOp, memref_type
from picograd.errors import CompileError
from picograd.semantics.access import Site

ALIGNMENT = 64
"""Bytes to which buffers outside a plan are aligned."""


def emit(
    module: ModuleOp, *, vector_bits: int = 512, comment: str = "#", sanitize: bool = False
) -> Emitted:
    """LLVM IR text for a module whose `@main` launches loop kernels.

    `vector_bits` is the widest vector that the processor should use, `comment` what begins a
    comment in its assembly (empty: no comments). With `sanitize` every access is checked, and
    memory is poisoned where its contents are of no use. Raises CompileError for what the CPU
    cannot run.
    """
    sites: list[Site] | None = [] if sanitize else None
    part = Part(comment, sites)
    kernels = {op.sym_name.data: op for op in module.ops if isinstance(op, KernelOp)}
    for name in launched_by(main_of(module), kernels):
        part.kernel(kernels[name])
    entry = part.main(module)
    return Emitted(
        part.text(vector_bits),
        tuple(entry.constants),
        entry.arena_bytes,
        part.scratch,
        part.thread_scratch,
        entry.launches,
        part.parallel,
        tuple(entry.names),
        tuple(sites or ()),
    )


class Part:
    """Functions that become one module of text: all of a program's, or some."""

    def __init__(
        self, comment: str, sites: list[Site] | None = None, *, visible: bool = False
    ) -> None:
        """`comment` and `sites` are as in `emit`; other parts may call what is `visible`."""
        self.lines: list[str] = [] if sites is None else checks.report_function()
        self.scratch = self.thread_scratch = 0
        self.parallel = False
        self._comment, self._sites = comment, sites
        self._linkage = "hidden" if visible else "internal"
        self._declarations: set[str] = set()
        self._defined: set[str] = set()

    def kernel(self, op: KernelOp) -> None:
        """Write the functions of a kernel."""
        kernel = Kernel(op.sym_name.data, self._declarations, self._comment, self._sites)
        text, scratch = _kernel_text(kernel, op, self._linkage)
        self.lines += [*kernel.bodies, *text]
        self.scratch = max(self.scratch, scratch)
        self.thread_scratch = max(self.thread_scratch, kernel.thread_scratch)
        self.parallel = self.parallel or kernel.parallel_loops > 0
        self._defined.add(kernel.name)

    def main(self, module: ModuleOp, elsewhere: AbstractSet[str] = frozenset()) -> Main:
        """Write `@main`, which launches kernels of this part, and of others `elsewhere`."""
        main = main_of(module)
        launched = launched_by(main, self._defined | elsewhere)
        entry = Main(main, self._declarations, self._comment, self._sites)
        self.lines += entry.emit()
        for name, launch in launched.items():
            if name not in self._defined:
                given = ", ".join("ptr" for _ in (*launch.buffers, "context"))
                self._declarations.add(f'declare hidden void @"{symbol(name)}"({given})')
        return entry

    def text(self, vector_bits: int) -> str:
        """The module."""
        attributes = (
            f'\nattributes #0 = {{ nounwind "prefer-vector-width"="{vector_bits}" '
            f'"min-legal-vector-width"="{vector_bits}" }}'
        )
        return "\n".join([*self.lines, *sorted(self._declarations), attributes]) + "\n"


def launched_by(main: FuncOp, kernels: Container[str]) -> dict[str, LaunchOp]:
    """A launch of each kernel that `@main` launches, by name, in order.

    Raises CompileError where one is not among `kernels`.
    """
    launches = [op for op in main.walk() if isinstance(op, LaunchOp)]
    launched = {op.kernel.root_reference.data: op for op in launches}
    for name in launched:
        if name not in kernels:
            raise CompileError(
                f"@main launches @{name}, which the module does not define",
                code="PG604",
                expected="the name of a kernel in the module",
                found=f"@{name}",
                hint="define the kernel in the same module",
            )
    return launched


def sizes(module: ModuleOp) -> list[int]:
    """The bytes of `@main`'s arguments."""
    return [nbytes_of(memref_type(argument)) for argument in main_of(module).body.block.args]


def main_of(module: ModuleOp) -> FuncOp:
    """`@main`, or the only function. Raises CompileError when there is none."""
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    for function in functions:
        if function.sym_name.data == "main" or len(functions) == 1:
            return function
    raise CompileError(
        "the module has no @main",
        code="PG604",
        expected="func.func @main that launches the kernels",
        found=", ".join(f"@{f.sym_name.data}" for f in functions) or "no function",
        hint="write `func.func @main(…) { loop.launch @kernel(…) : … func.return }`",
    )


def _kernel_text(kernel: Kernel, op: KernelOp, linkage: str) -> tuple[list[str], int]:
    """The lines of a kernel's function, and the bytes of its local buffers."""
    f = Function(kernel.declarations, kernel.comment, kernel.sites)
    parameters: list[str] = []
    f.comment(f"kernel {kernel.name}")
    for number, argument in enumerate(op.body.block.args):
        name = f"%{argument.name_hint or f'buffer{number}'}"
        # Values are called %hint.7: a letter after the dot keeps parameters apart from them.
        name = name if name not in (*parameters, "%context") else f"{name}.b{number}"
        f.bases[argument] = name
        parameters.append(name)
        role = "writes" if argument in op.written else "reads"
        f.comment(f"{role} {name}: {argument.type}")
    if op.guarded is not None:
        _return_after_failure(f)
    kernel.block(f, op.body.block)
    given = "".join(f"ptr noalias {name}, " for name in parameters)
    header = f'define {linkage} void @"{symbol(kernel.name)}"({given}ptr %context) #0 {{'
    return f.finish(header), f.scratch.high


def _return_after_failure(f: Function) -> None:
    """Let the kernel end at once when an index has been out of range before."""
    f.comment("guarded")
    status = f.context_field(STATUS)
    failure = f.assign("failure", f"load i64, ptr {status}, align 8")
    failed = f.assign("failed", f"icmp ne i64 {failure}, 0")
    stop, go_on = f.fresh_label("stop"), f.fresh_label("go_on")
    f.emit(f"br i1 {failed}, label %{stop}, label %{go_on}")
    f.start(stop)
    f.emit("ret void")
    f.start(go_on)


class Main:
    """`@main`: where each buffer is, and the calls in order."""

    def __init__(
        self, main: FuncOp, declarations: set[str], comment: str, sites: list[Site] | None
    ) -> None:
        self.main = main
        self.f = Function(declarations, comment, sites)
        self.dead = {} if sites is None else dead_after(main)
        self.names: list[str] = []
        self.constants: list[NDArray[Any]] = []
        self.arena_bytes = 0
        self.launches = 0
        self.labels: dict[SSAValue, str] = {}

    def emit(self) -> list[str]:
        """The lines of the function."""
        self.f.comment("graph main")
        for argument in self.main.body.block.args:
            self._load_address(argument, argument.index, argument_name(self.main, argument))
        for op in self.main.body.block.ops:
            self._operation(op)
        header = f"define void @{ENTRY}(ptr %arguments, ptr %context) #0 {{"
        return self.f.finish(header)

    def _operation(self, op: Operation) -> None:
        f = self.f
        if isinstance(op, LaunchOp):
            self._launch(op)
        elif isinstance(op, buffer.ArenaOp):
            f.bases[op.result] = f.context_field(ARENA)
            self.arena_bytes = max(self.arena_bytes, op.nbytes)
        elif isinstance(op, buffer.PlaceOp):
            self._place(op.result, f.bases[op.arena], op.offset.value.data)
        elif isinstance(op, buffer.AllocOp):
            # not planned: every buffer gets a place of its own
            start = -(-self.arena_bytes // ALIGNMENT) * ALIGNMENT
            self._place(op.result, f.context_field(ARENA), start)
            type = memref_type(op.result)
            count = int(np.prod(type.get_shape()))
            self.arena_bytes = start + count * types.nbytes(types.scalar(type.element_type))
        elif isinstance(op, buffer.ConstantOp):
            position = len(self.main.body.block.args) + len(self.constants)
            self.constants.append(array_of(op.value))
            self._load_address(op.result, position, op.result.name_hint or "constant")
        elif not isinstance(op, ReturnOp):
            raise CompileError(
                f"@main cannot hold {op.name} when code is generated",
                code="PG606",
                expected="buffers and loop.launch",
                found=op,
                hint="lower the module with the pipeline of the cpu",
            )

    def _load_address(self, value: SSAValue, position: int, label: str) -> None:
        f = self.f
        hint = label if label.isidentifier() and label.isascii() else "argument"
        place = f.assign("slot", f"getelementptr ptr, ptr %arguments, i64 {position}")
        f.bases[value] = f.assign(hint, f"load ptr, ptr {place}, align 8")
        self.labels[value] = label
        self.names.append(label)

    def _place(self, value: SSAValue, base: str, start: int) -> None:
        hint = value.name_hint or "buffer"
        self.f.bases[value] = self.f.assign(hint, f"getelementptr i8, ptr {base}, i64 {start}")
        self.labels[value] = hint

    def _launch(self, op: LaunchOp) -> None:
        f, name = self.f, op.kernel.root_reference.data
        self.launches += 1
        f.comment(f"launch {name}({', '.join('%' + self.labels[value] for value in op.buffers)})")
        given = "".join(f"ptr {f.bases[value]}, " for value in op.buffers)
        f.emit(f'call void @"{symbol(name)}"({given}ptr %context)')
        for place in self.dead.get(op, ()):
            start, end = place.span
            checks.poison(f, f.bases[place.result], end - start)
