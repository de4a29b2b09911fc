"""A program's code in parts: LLVM compiles some kernels while Python writes the text of others.

Each kernel's text is written once. When enough of it has gathered, it goes to LLVM as a module of
its own, in a thread that lives as long as the compiling; kernels are called across the parts, and
the linker puts them together. How the text is cut depends on the program alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from picograd.backends.llvm import codegen, emit
from picograd.backends.llvm.background import begin
from picograd.backends.llvm.emitted import Emitted
from picograd.backends.llvm.image import image_of
from picograd.backends.llvm.standing.code import POOL_CODE
from picograd.backends.runtime import Compiling, Image
from picograd.dialects.loop import KernelOp

_ENOUGH = 600
"""Lines of text that are worth a module. LLVM takes ten times as long for them as for an empty one,
and its thread waits twice for each until the one that runs passes lets it go on."""


class CompilingInParts(Compiling):
    """Kernels come one by one, and `@main` comes last."""

    def __init__(self, vector_bits: int, comment: str) -> None:
        """As for `emit`."""
        POOL_CODE.begin()  # LLVM has nothing else to do yet
        self._vector_bits, self._comment = vector_bits, comment
        self._part = emit.Part(comment, visible=True)
        self._kernels: set[str] = set()
        self._scratch = self._thread_scratch = 0
        self._parallel = False
        self._llvm = _Background()
        self._writing = 0.0

    def kernel(self, op: Operation) -> None:
        assert isinstance(op, KernelOp)
        start = time.perf_counter()
        self._part.kernel(op)
        self._kernels.add(op.sym_name.data)
        if len(self._part.lines) >= _ENOUGH:
            self._llvm.give(self._text())
            self._part = emit.Part(self._comment, visible=True)
        self._writing += time.perf_counter() - start

    def _text(self) -> str:
        part = self._part
        self._scratch = max(self._scratch, part.scratch)
        self._thread_scratch = max(self._thread_scratch, part.thread_scratch)
        self._parallel = self._parallel or part.parallel
        return part.text(self._vector_bits)

    def finish(self, module: ModuleOp, meanwhile: Callable[[], None] | None = None) -> Image:
        start = time.perf_counter()
        entry = self._part.main(module, self._kernels)
        last = self._text()
        written = time.perf_counter()
        codes = self._llvm.finish(last, meanwhile)
        seconds = {
            "emission": self._writing + written - start,
            "waiting for machine code": time.perf_counter() - written,
        }
        emitted = Emitted(
            "",
            tuple(entry.constants),
            entry.arena_bytes,
            self._scratch,
            self._thread_scratch,
            entry.launches,
            self._parallel,
            tuple(entry.names),
            codes=codes,
        )
        return image_of(emitted, emit.sizes(module), seconds)

    def stop(self) -> None:
        self._llvm.stop()


class _Background:
    """LLVM in a thread of its own, which begins with the first text that it is given."""

    def __init__(self) -> None:
        self._texts: SimpleQueue[str | None] = SimpleQueue()
        self._codes: list[bytes] = []
        self._failure: Exception | None = None
        self._thread: Thread | None = None
        self._generates = Event()
        """Whether LLVM makes code of a text that it has read, or there is nothing left to do."""

    def give(self, text: str) -> None:
        """Compile the text when those given before are done."""
        if self._thread is None:
            # Nobody ends this thread where a daemon's work is broken off: it is one as well.
            self._thread = begin(self._work, "LLVM", daemon=True)
        if self._thread is None:
            self._codes.append(codegen.object_code(text))
        else:
            self._texts.put(text)

    def _work(self) -> None:
        try:
            while (text := self._texts.get()) is not None:
                code = codegen.object_code(text, begun=self._generates.set)
                self._generates.clear()
                self._codes.append(code)
        except Exception as failure:  # noqa: BLE001 - raised again by `finish`
            self._failure = failure
        finally:
            self._generates.set()

    def finish(self, last: str, meanwhile: Callable[[], None] | None) -> tuple[bytes, ...]:
        """The code of all texts, this one the last. Raises what LLVM's rejection raises.

        What is to be done `meanwhile` begins when the thread needs Python least: while it reads a
        text it asks for Python's lock again after a millisecond.
        """
        if self._thread is None:
            return (*self._codes, codegen.object_code(last))
        self._texts.put(last)
        self._texts.put(None)
        if meanwhile is not None:
            self._generates.wait()
            meanwhile()
        self._join(self._thread)
        if self._failure is not None:
            raise self._failure
        return tuple(self._codes)

    def stop(self) -> None:
        """Let the thread end after what it is at, if there is one, and wait for it."""
        if self._thread is None:
            return
        with suppress(Empty):
            while True:
                self._texts.get_nowait()
        self._join(self._thread)

    def _join(self, thread: Thread) -> None:
        self._texts.put(None)
        thread.join()
        self._thread = None
