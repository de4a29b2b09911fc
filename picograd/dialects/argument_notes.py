"""What is noted at the arguments of `@main`, for every level, and at what depends on them."""

from collections.abc import Mapping

from xdsl.dialects.builtin import UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, BlockArgument

from picograd.errors import VerificationError

DONATED = "pico.donated"
"""The attribute of an argument that may be overwritten, at any level: the number of the result that
may be stored in it."""

KEPT = "pico.kept"
"""The unit attribute of an argument that seldom changes between calls, at any level: a weight, say.
What depends on such arguments alone may be computed once and kept, as long as the caller looks
whether they have changed. It is a hint for speed, and changes no result."""

LAID_OUT = "pico.laid_out"
"""The unit attribute of an op whose result is worth memory of its own, in the order in which it
shows its elements: the kept layout of what depends on kept arguments alone."""

MOST_KEPT = 3
"""What is kept takes at most so many times the bytes of the arguments that decide it: halves become
floats of twice their size, and panels are filled up."""

NAME = "pico.name"
"""The attribute of an argument that holds the user's name for it."""


def kept_arguments(function: FuncOp) -> tuple[BlockArgument, ...]:
    """The arguments of a function that are marked `pico.kept`, in order."""
    notes = function.arg_attrs
    if notes is None:
        return ()
    pairs = zip(function.args, notes, strict=True)
    return tuple(argument for argument, note in pairs if KEPT in note.data)


def check_notes(function: FuncOp) -> None:
    """Raise VerificationError for a note that contradicts another, or is none."""
    for number, note in enumerate(function.arg_attrs or ()):
        if KEPT in note.data:
            _check_kept(function, number, note.data)


def _check_kept(function: FuncOp, number: int, note: Mapping[str, Attribute]) -> None:
    where = f"argument {number} of @{function.sym_name.data}"
    if not isinstance(note[KEPT], UnitAttr):
        raise VerificationError(
            f"{KEPT} has a value",
            code="PG602",
            expected=f"the note {KEPT} by itself",
            found=str(note[KEPT]),
            hint="it only says that the argument seldom changes between calls",
            where=where,
        )
    for other in (DONATED, "buffer.output"):
        if other in note:
            raise VerificationError(
                f"an argument is marked {KEPT} and {other}",
                code="PG602",
                expected="one of them: a call that writes an argument changes it every time",
                found="both",
                hint=f"leave {KEPT} out",
                where=where,
            )
