"""The kinds of errors, by what one would catch; the codes tell situations apart.

Each kind also derives from the exception that PyTorch raises in the same place, so that code
written for PyTorch catches it.
"""

from __future__ import annotations

from typing import Self

from picograd.errors.base import PicogradError


class ShapeError(PicogradError, RuntimeError, ValueError):
    """Shapes that do not fit the operation; PyTorch raises either, losses a ValueError."""


class DTypeError(PicogradError, RuntimeError):
    """An element type that the operation does not take."""


class OperandError(DTypeError, TypeError):
    """Something else where a tensor, or a number, is needed, or a dtype without the operation."""


class DeviceError(PicogradError, RuntimeError):
    """A device that is absent, or values on devices that differ."""


class AxisError(PicogradError, IndexError, RuntimeError):
    """An axis outside the rank of the tensor, named twice, or without elements where some are
    needed; PyTorch raises either.
    """


class IndexOutOfRange(PicogradError, IndexError, RuntimeError):
    """An index value outside the axis that it indexes; PyTorch raises either."""

    @classmethod
    def in_data(cls, index: int, size: int, *, place: str = "", where: object = "") -> Self:
        """An index that was read from a tensor, for an axis of `size`; `place` is where it stood.

        Every device and evaluator says it with these words.
        """
        return cls(
            f"index {index} read from a tensor is out of range for an axis of size {size}",
            code="PG121",
            expected=f"0 <= index < {size}",
            found=f"{index} {place}".rstrip(),
            hint="check the labels or indices that gather, scatter or embedding are given",
            where=where,
        )


class GradientError(PicogradError, RuntimeError):
    """A backward pass that cannot be taken."""


class StateError(PicogradError, RuntimeError):
    """A saved state that does not fit the module or optimizer, or cannot be read."""


class TraceError(PicogradError, RuntimeError):
    """Code that cannot be traced, such as a Python branch on a traced value."""


class MissingName(PicogradError, AttributeError):
    """A name of PyTorch's that picograd does not have."""


class PassError(PicogradError):
    """A pass that failed, or left IR behind that does not verify."""


class RuleError(PicogradError):
    """A rule of an operation that somebody registered: it raised."""


class PipelineError(PicogradError):
    """Passes in an order that their levels or requirements forbid."""


class OptionError(PicogradError, ValueError, RuntimeError):
    """An unknown option, or an option value that does not parse; PyTorch raises either."""


class ParseFailure(PicogradError):
    """Malformed IR text; `where` holds line and column."""


class VerificationError(PicogradError):
    """IR that breaks a rule of its dialect."""


class SanitizerError(VerificationError):
    """Compiled code that checked execution caught: it left its memory, read what nobody wrote,
    changed an input, or raced.
    """


class LimitError(PicogradError):
    """A kernel that exceeds a limit of its device."""


class CompileError(PicogradError):
    """A failure of code generation."""
