"""A graph that was traced for a plan, compiled, and the ways to enter it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from picograd.backends.runtime import Buffer, Device
from picograd.backends.runtime import device as find_device
from picograd.compiler.executable import Executable, compile_module, sanitized
from picograd.dialects.dtypes import AnyTensor, nbytes_of
from picograd.errors import IndexOutOfRange, PicogradError
from picograd.frontend.modes.eager import eager
from picograd.frontend.plans.tracing import DEVICE, NumberInput, Traced
from picograd.frontend.problems import located
from picograd.frontend.promotion import wrapped

Given: TypeAlias = "tuple[Any, int] | bool | int | float"
"""What goes in: a buffer and how many bytes behind its start the input lies; or a number."""


Launch: TypeAlias = Callable[..., "int | tuple[int, int]"]
"""Enters machine code: see `Program.launch`."""


class Window:
    """A part of a buffer as a buffer of its own, for programs that look at more than addresses."""

    __slots__ = ("address", "device", "nbytes", "owner", "type")

    def __init__(self, owner: Any, shift: int, type: AnyTensor) -> None:
        self.owner = owner  # which keeps the memory
        self.type = type
        self.nbytes = nbytes_of(type)
        self.address: int = owner.address + shift
        self.device: Device = owner.device


class PlanProgram:
    """A compiled graph; or one that only copies, for which nothing is compiled."""

    def __init__(self, traced: Traced) -> None:
        self.inputs = traced.inputs
        self.results = traced.results
        self._executable: Executable | None = None
        device = find_device(DEVICE)
        self.makers: list[Callable[[], Any]] = [device.maker(type) for type in traced.results]
        """One function for each result, which takes memory for it."""
        self.launch: Launch | None = None
        if traced.is_copy and not sanitized():
            self.launch = device.copier(nbytes_of(traced.results[0]))
        if self.launch is None:
            self._executable = compile_module(traced.module, DEVICE)
            self.launch = _entry(self._executable, traced)

    def run(self, given: Sequence[Given]) -> list[Any]:
        """The results, for the inputs in order."""
        if self.launch is None:
            return self._run_watched(given)
        outputs = [make() for make in self.makers]
        words = [one[0].address + one[1] if type(one) is tuple else one for one in given]
        failure = self.launch(*words, *[output.address for output in outputs])
        if failure:
            raise self.failed(failure)
        return outputs

    def _run_watched(self, given: Sequence[Given]) -> list[Any]:
        """The same where every call is checked, or where numbers cannot be passed."""
        executable = self._executable
        assert executable is not None, "what copies is entered"
        buffers: list[Buffer] = []
        for one, what, type in zip(given, self.inputs, executable.inputs, strict=True):
            if isinstance(one, tuple):
                buffers.append(Window(*one, type))
            else:
                assert isinstance(what, NumberInput)
                buffers.append(_uploaded(one, what))
        try:
            return executable.run(buffers)
        except PicogradError as error:
            located(error)
            raise

    @staticmethod
    def failed(failure: object) -> IndexOutOfRange:
        """The error for what entering gave, if that was not 0."""
        return located(IndexOutOfRange.in_data(*cast("tuple[int, int]", failure)))


def _entry(executable: Executable, traced: Traced) -> Launch | None:
    """The way into a program whose numbers are Python's."""
    program = executable.program
    dtypes = [what.dtype if isinstance(what, NumberInput) else None for what in traced.inputs]
    if not any(dtypes):
        return program.launch
    return program.launch_with([*dtypes, *(None for _ in traced.results)])


def _uploaded(number: float, what: NumberInput) -> Buffer:
    dtype = what.dtype
    if dtype.is_int and dtype.is_narrow:
        number = wrapped(number, dtype)
    with np.errstate(over="ignore"):
        return cast(Buffer, eager(DEVICE).constant(np.full((), number, dtype.numpy)))
