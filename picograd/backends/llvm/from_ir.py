"""What the CPU makes of IR: text, sizes, programs that watch themselves. `device` loads it late."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from picograd.backends.checked.places import check_places, kernels_of
from picograd.backends.llvm import codegen
from picograd.backends.llvm.checked_program import CheckedCpuProgram
from picograd.backends.llvm.compile_parts import CompilingInParts
from picograd.backends.llvm.emit import emit, launched_by, main_of, sizes
from picograd.backends.llvm.emitted import Emitted
from picograd.backends.llvm.memory import BlockPool
from picograd.backends.llvm.stepped_program import SteppedCpuProgram
from picograd.backends.llvm.thread_pool import ThreadPool
from picograd.backends.runtime import Image
from picograd.dialects.dtypes import nbytes_of
from picograd.dialects.loop import KernelOp
from picograd.targets import lookup

__all__ = ["SteppedCpuProgram", "checked", "compiled", "emitted", "in_parts", "sizes"]

# What begins a comment in a processor's assembly, where it is not "#".
_COMMENT_SIGNS = {"aarch64": "//", "arm64": "//"}


def emitted(module: ModuleOp, *, sanitize: bool = False) -> Emitted:
    """LLVM IR text of a module for this processor, and what a caller must provide."""
    bits, sign = lookup("cpu").vector_bits, _comment_sign()
    return emit(module, vector_bits=bits, comment=sign, sanitize=sanitize)


def _comment_sign() -> str:
    return _COMMENT_SIGNS.get(codegen.host().architecture, "#")


def in_parts() -> CompilingInParts:
    """What compiles a program for this processor while its kernels are still being made."""
    return CompilingInParts(lookup("cpu").vector_bits, _comment_sign())


def compiled(module: ModuleOp) -> Image:
    """The code of a module: of `@main`, and of the kernels that it launches."""
    kernels = {op.sym_name.data: op for op in module.ops if isinstance(op, KernelOp)}
    with in_parts() as compiling:
        for name in launched_by(main_of(module), kernels):
            compiling.kernel(kernels[name])
        return compiling.finish(module)


def checked(module: ModuleOp, pool: ThreadPool, memory: BlockPool) -> CheckedCpuProgram:
    """A program that watches itself. Raises SanitizerError for a plan that cannot be right."""
    check_places(main_of(module), kernels_of(module), nbytes_of)
    return CheckedCpuProgram(emitted(module, sanitize=True), module, pool, memory)
