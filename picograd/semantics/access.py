"""What every device and evaluator says about an access that leaves its memory."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from picograd.dialects.loop import KernelOp, LoadOp, StoreOp, memref_type
from picograd.errors import SanitizerError
from picograd.quick_dataclasses import dataclass

WHOLE = -1
"""In place of an axis: the indices were right, and the address made of them was not."""


@dataclass(frozen=True)
class Site:
    """One load or store of a kernel, as an error names it."""

    kernel: str
    op: str
    buffer: str
    shape: tuple[int, ...]
    text: str

    def violation(self, axis: int, index: int, *, where: str = "") -> SanitizerError:
        """The error for an index outside the buffer along an axis.

        With WHOLE for an axis, `index` is the distance in bytes from the start of the buffer.
        `where` says what the kernel ran on.
        """
        shape = "x".join(map(str, self.shape)) or "one element"
        place = f"kernel @{self.kernel}{where}: {self.text}"
        if axis == WHOLE:
            return SanitizerError(
                f"the address that was computed for {self.op} lies outside of %{self.buffer}",
                code="PG607",
                expected=f"a place in the buffer of {shape}",
                found=f"byte {index}, counted from the buffer's start",
                hint="the indices are right, so the back end made a wrong address of them",
                where=place,
            )
        return SanitizerError(
            f"{self.op} accesses %{self.buffer} out of bounds on axis {axis}",
            code="PG607",
            expected=f"0 to {self.shape[axis] - 1}, for a buffer of {shape}"
            if self.shape[axis]
            else f"no access, for a buffer of {shape}",
            found=str(index),
            hint="the pass before this point computed a wrong bound or index",
            where=place,
        )


def site_of(op: LoadOp | StoreOp) -> Site:
    """How errors name a load or store."""
    return Site(
        kernel_name(op),
        op.name,
        buffer_name(op.memref),
        tuple(memref_type(op.memref).get_shape()),
        str(op).strip(),
    )


def is_guarded(op: LoadOp | StoreOp) -> bool:
    """Whether an access outside of its memory reads zero or is dropped, and so is no fault."""
    return (op.pad if isinstance(op, LoadOp) else op.clip) is not None


def buffer_name(memref: SSAValue) -> str:
    """The name of a buffer in the text of its module, as far as it has one."""
    if memref.name_hint:
        return memref.name_hint
    index = getattr(memref, "index", None)
    return "?" if index is None else f"buffer{index}"


def kernel_name(op: Operation) -> str:
    """The name of the kernel that an op stands in."""
    parent: Operation | None = op
    while parent is not None and not isinstance(parent, KernelOp):
        parent = parent.parent_op()
    return parent.sym_name.data if parent is not None else "?"
