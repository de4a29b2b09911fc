# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportPrivateUsage=false
"""The only module that talks to llvmlite: LLVM IR text in, machine code or assembly out.

No optimization pipeline runs. The passes of the loop level have already chosen vectors, blocks and
registers, and the emitter has already hoisted address arithmetic; LLVM selects instructions,
schedules them and allocates registers. Measured, a pipeline at O3 gives the same speed and costs
several times the compile time.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache

import llvmlite.binding as llvm
from llvmlite.binding import ffi

from picograd.errors import CompileError
from picograd.quick_dataclasses import dataclass
from picograd.targets import Target

VERSION = ".".join(map(str, llvm.llvm_version_info))
"""The version of LLVM."""

LEVEL = 1
"""Level 0 spills every value around every instruction; 1, 2 and 3 give the same code here."""

_LOCK = threading.RLock()
"""Held by who calls LLVM, and by who forks: llvmlite has a lock of its own around each call, and a
child of a process that another thread compiles in would wait for it for ever."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
    )

_MOST_LIBRARIES = 128
"""A linker remembers a few kilobytes of each library that it ever linked."""


@dataclass(frozen=True)
class Processor:
    """What code is generated for, in LLVM's words. `features` is `+avx2,-sse4a,…` or empty."""

    triple: str
    name: str
    features: str = ""

    @property
    def architecture(self) -> str:
        """The first part of the triple: "x86_64", "aarch64", …"""
        return self.triple.partition("-")[0]


@cache
def host() -> Processor:
    """The processor that this process runs on."""
    _initialize()
    return Processor(
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    )


def x86(name: str) -> Processor:
    """An x86-64 Linux processor by LLVM's name for it, such as "znver5" or "x86-64-v3"."""
    return Processor("x86_64-unknown-linux-gnu", name)


def processor_of(target: Target) -> Processor:
    """The processor that a target describes; the host for a target that names no architecture."""
    if not target.architecture:
        return host()
    return Processor(f"{target.architecture}-unknown-linux-gnu", target.name)


def object_code(
    text: str, processor: Processor | None = None, *, begun: Callable[[], None] | None = None
) -> bytes:
    """Object code for a module of LLVM IR text.

    `begun` is called when the text has been read: then LLVM works for long without Python. Raises
    CompileError when LLVM rejects the text or the processor.
    """
    processor = processor or host()
    machine = _target_machine(processor)
    with _LOCK:
        module = _parse(text, processor, machine)
        if begun is not None:
            begun()
        return machine.emit_object(module)


def assembly(text: str, processor: Processor | None = None) -> str:
    """Assembly for a module of LLVM IR text; the processor need not be the host's."""
    processor = processor or host()
    machine = _target_machine(processor)
    with _LOCK:
        return machine.emit_assembly(_parse(text, processor, machine))


class _Linker:
    """LLVM's linker; a new one takes over now and then, and the old ends with its last library."""

    def __init__(self) -> None:
        self._jit: llvm.LLJIT | None = None
        self._libraries = 0

    def next(self) -> tuple[llvm.LLJIT, str]:
        """The linker for another library, and a name for that."""
        if self._jit is None or self._libraries == _MOST_LIBRARIES:
            self._jit, self._libraries = llvm.create_lljit_compiler(_target_machine(host())), 0
        self._libraries += 1
        return self._jit, f"picograd.{self._libraries}"


_LINKER = _Linker()


class Library:
    """Linked machine code. The addresses are valid for as long as this object lives."""

    def __init__(
        self,
        code: bytes | Sequence[bytes],
        exports: Iterable[str],
        imports: Mapping[str, int] | None = None,
    ) -> None:
        """Link object code, all of it or its parts; `imports` gives addresses to undefined symbols.

        Other undefined symbols are looked up in the process (libm, libpthread).
        """
        names = tuple(exports)
        builder = llvm.JITLibraryBuilder().add_current_process()
        for part in [code] if isinstance(code, bytes) else code:
            builder.add_object_img(part)
        for name in names:
            builder.export_symbol(name)
        for name, address in (imports or {}).items():
            builder.import_symbol(name, address)
        try:
            with _LOCK:
                self._tracker = builder.link(*_LINKER.next())
        except RuntimeError as error:
            raise CompileError(
                "LLVM could not link the generated code",
                expected="symbols that are all defined",
                code="PG902",
                found=error,
                hint="report this with the .ll file of the dump",
            ) from error
        self.addresses: dict[str, int] = {name: self._tracker[name] for name in names}

    def __del__(self, lock: threading.RLock = _LOCK) -> None:  # globals may be gone at exit
        if hasattr(self, "_tracker"):
            with lock:
                del self._tracker


_SHORT = (
    *("GetGlobalContext", "DisposeString", "DisposeModule", "SetTarget", "SetDataLayout"),
    *("CreateTargetMachineData", "CopyStringRepOfTargetData", "DisposeTargetData"),
    *("GetBufferStart", "GetBufferSize", "DisposeMemoryBuffer"),
)
"""What `object_code` calls beside LLVM's parser and its code generator."""


def _keep_interpreter() -> None:
    """Let short calls keep Python's lock, which llvmlite has all calls give away.

    A thread that compiles while another runs Python gets it back five milliseconds later: once for
    each call, which adds up to more than the compiling. This looks into llvmlite: where another
    version of it is made differently, calls stay as they are.
    """
    with suppress(AttributeError):
        library = ctypes.PyDLL(ffi.lib._name, handle=ffi.lib._handle)
        for name in _SHORT:
            called = getattr(ffi.lib, f"LLVMPY_{name}")
            replaced = called._cfn
            function = library[f"LLVMPY_{name}"]
            function.argtypes, function.restype = replaced.argtypes, replaced.restype
            called._cfn = function


@cache
def _initialize() -> None:
    _keep_interpreter()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()


@cache
def _initialize_others() -> None:
    """What generates code for other architectures: 10 MiB that few processes need."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@cache
def _target_machine(processor: Processor) -> llvm.TargetMachine:
    if processor.architecture != host().architecture:
        _initialize_others()
    try:
        target = llvm.Target.from_triple(processor.triple)
    except RuntimeError as error:
        raise CompileError(
            f"this build of LLVM cannot generate code for {processor.triple!r}",
            code="PG902",
            expected="a processor that LLVM was built for",
            found=error,
            hint="run picograd on a machine that llvmlite supports, or use the reference device",
        ) from error
    return target.create_target_machine(
        cpu=processor.name,
        features=processor.features,
        opt=LEVEL,
        jit=True,
    )


def _parse(text: str, processor: Processor, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    try:
        module = llvm.parse_assembly(text)
    except RuntimeError as error:
        raise CompileError(
            "LLVM rejected the text that the emitter produced",
            code="PG902",
            expected="LLVM IR that verifies",
            found=str(error)[:2000],
            hint="an op was emitted with wrong types; report this with the module's loop level",
        ) from error
    module.triple = processor.triple
    module.data_layout = str(machine.target_data)
    return module
