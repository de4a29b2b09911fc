"""The machine code of the functions that are the same for all programs.

LLVM takes more than 30 milliseconds for it, which many a program has to wait for in vain. So it is
kept on disk as programs are, under a key that tells all it is made of; and where it is not there
yet, threads make it while Python goes on, until somebody needs it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from threading import Thread

from picograd.backends.disk.settings import shared_store
from picograd.backends.llvm import background, codegen
from picograd.backends.llvm.python_functions import address_of
from picograd.backends.llvm.standing import copy, held, launch, make, pool
from picograd.backends.llvm.standing.text import Text, joined, module
from picograd.backends.locks import Lock
from picograd.errors import CompileError

_PYTHONS = re.compile(r"@(Py\w+)")
"""What is called of Python's own functions; the system's linker knows all others."""


class StandingCode:
    """A module that is made once on a machine, and linked once in a process that needs it."""

    def __init__(self, text: Callable[[], Text]) -> None:
        self._text = text
        self._lock = Lock()
        self._library: codegen.Library | None = None
        self._thread: Thread | None = None
        self._code: bytes | None = None

    def begin(self) -> None:
        """Let a thread make the code if it is not on disk; `library` then takes less time."""
        with self._lock:
            if self._library is None and self._code is None and self._thread is None:
                self._code = self._kept()
                if self._code is None:
                    self._thread = background.begin(self._make, "standing code", daemon=False)

    def library(self) -> codegen.Library:
        """The linked code. Raises CompileError where LLVM makes none."""
        if self._library is None:
            with self._lock:
                if self._library is None:
                    self._library = self._linked()
        return self._library

    def _linked(self) -> codegen.Library:
        if self._thread is not None:
            self._thread.join()  # at once in a forked child, where this thread is not
        code = self._code or self._kept() or self._made()
        self._thread = self._code = None
        text = self._text()
        called = _PYTHONS.findall(" ".join(text.declarations))
        return codegen.Library(code, text.exports, {name: address_of(name) for name in called})

    def _make(self) -> None:
        with suppress(CompileError):  # who needs the code tries once more, and is told
            self._code = self._made()

    def _made(self) -> bytes:
        code, store = codegen.object_code(self._ir()), shared_store()
        if store is not None:
            store.put(self._key(), code)
        return code

    def _ir(self) -> str:
        return module(self._text())

    def _key(self) -> str:
        facts = (codegen.VERSION, codegen.LEVEL, str(codegen.host()), self._ir())
        return blake2b(json.dumps(facts).encode(), digest_size=32).hexdigest()

    def _kept(self) -> bytes | None:
        store = shared_store()
        return None if store is None else store.get(self._key())


ENTRY_CODE = StandingCode(lambda: joined([launch.text(), make.text(), held.text(), copy.text()]))
"""What Python calls, and a program that copies."""

POOL_CODE = StandingCode(lambda: pool.text(codegen.host()))
"""What parallel loops need."""
