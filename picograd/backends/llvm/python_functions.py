"""Functions that Python calls like its own built in ones, in machine code of ours."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from picograd.backends.llvm import codegen
from picograd.backends.locks import Lock

T = TypeVar("T")


def once(make: Callable[[], T]) -> Callable[[], T]:
    """What `make` gives, made once and kept, however many threads ask for it first.

    `functools.cache` may make it twice, and one of the two is gone at once. That is no good for
    what machine code knows by its address.
    """
    lock, made = Lock(), list[T]()

    def get() -> T:
        if not made:
            with lock:
                if not made:
                    made.append(make())
        return made[0]

    return get


def can_launch() -> bool:
    """Whether this Python has the C interface that such functions are made with."""
    return sys.implementation.name == "cpython" and sys.byteorder == "little"


def address_of(name: str) -> int:
    """Where a function of Python's C interface begins."""
    address = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
    assert address is not None
    return address


class PythonFunction:
    """A function in machine code, of which Python functions are made: each has bytes of its own,
    which tell it what to do, and is called with an array of arguments.
    """

    def __init__(self, name: str, library: Callable[[], codegen.Library]) -> None:
        """`library` gives the code, when a function is first made."""
        self._method = once(lambda: _Method(name, library()))

    def bound(self, plan: bytes, keeps: object) -> Any:
        """A function for Python with these bytes, which keeps another object alive as well."""
        method = self._method()
        return _new_function()(ctypes.addressof(method.definition), plan, (method, keeps))


class _Definition(ctypes.Structure):
    """Python's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_FASTCALL = 0x80


class _Method:
    """A definition and what it points to: all this must live as long as the functions."""

    def __init__(self, name: str, library: codegen.Library) -> None:
        self.library = library
        self.definition = _Definition(name.encode(), library.addresses[name], _FASTCALL, None)


@once
def _new_function() -> Callable[[int, object, object], Any]:
    prototype = ctypes.PYFUNCTYPE(
        ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.py_object
    )
    return prototype(address_of("PyCFunction_NewEx"))
