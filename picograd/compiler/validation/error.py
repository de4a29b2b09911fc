"""The one error that a validated compilation raises, with all that is needed to look further."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.func import FuncOp

from picograd.compiler.validation.fault import Fault
from picograd.dialects.buffer import inputs_of
from picograd.dialects.literals import Array
from picograd.errors import PassError
from picograd.semantics.bounds import Excess

_WIDTH = 24
"""Of an array with more elements than this, the first and last few are shown."""


class ValidationError(PassError):
    """A pass that changed what a function does.

    `step` is the pass as the command line spells it; `excess` the first value that differs, where
    `fault` is one of values; `inputs` are those of the function, and `used` the largest share of
    its budget that a value took.
    """

    def __init__(
        self,
        message: str,
        *,
        step: str,
        function: str,
        fault: Fault,
        inputs: Sequence[Array] = (),
        excess: Excess | None = None,
        used: float = 0.0,
        expected: object = "",
        found: object = "",
        hint: str = "",
        where: object = "",
    ) -> None:
        super().__init__(
            message, code="PG713", expected=expected, found=found, hint=hint, where=where
        )
        self.step = step
        self.function = function
        self.fault = fault
        self.inputs = tuple(inputs)
        self.excess = excess
        self.used = used


def inputs_in_lines(function: FuncOp, inputs: Sequence[Array]) -> list[str]:
    """The inputs of a function, each in a line that begins with its name in the IR."""
    return [
        f"%{argument.name_hint or argument.index} = {in_one_line(array)}"
        for argument, array in zip(inputs_of(function), inputs, strict=True)
    ]


def in_one_line(array: Array) -> str:
    """An array's values, shortened where there are many."""
    with np.printoptions(precision=6, threshold=_WIDTH, edgeitems=3, linewidth=10**6):
        text = np.array2string(np.asarray(array), separator=", ")
    return " ".join(text.split())
