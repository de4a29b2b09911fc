"""What a module costs, in numbers that no clock is needed for.

The counts follow from shapes alone, so they are the same on every machine and in every run: the
gain of a pass can be told exactly, before there is a device that runs it.

    before = count(module)                at tensor, kernel or buffer level
    before.operations, before.bytes_moved, before.peak_bytes, before.launches
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any, TypeAlias

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from picograd.dialects import buffer
from picograd.dialects.dtypes import nbytes_of, type_of
from picograd.dialects.kernel import FusedOp
from picograd.dialects.tensor import (
    ArgReduceOp,
    ArgSortOp,
    BinaryOp,
    CastOp,
    CompareOp,
    ConstantOp,
    ConvolutionOp,
    IotaOp,
    MatmulOp,
    RandomBitsOp,
    ReduceOp,
    ScanOp,
    ScatterKind,
    ScatterOp,
    SelectOp,
    TensorOp,
    UnaryOp,
    int_value,
    is_view,
)
from picograd.errors import VerificationError
from picograd.quick_dataclasses import dataclass
from picograd.semantics.evaluate import entry_of


@dataclass(frozen=True)
class Counters:
    """What one run of the entry function costs.

    `operations` are scalar operations; `bytes_moved` is what kernels read and write, each operand
    of a kernel once; `peak_bytes` is memory for intermediates, arguments and results left out;
    `launches` are kernels. At tensor level each op that computes counts as a kernel of its own.
    """

    operations: int = 0
    bytes_moved: int = 0
    peak_bytes: int = 0
    launches: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(
            self.operations + other.operations,
            self.bytes_moved + other.bytes_moved,
            self.peak_bytes + other.peak_bytes,
            self.launches + other.launches,
        )


def count(module: ModuleOp | FuncOp) -> Counters:
    """The counters of the entry function.

    At tensor and kernel level `peak_bytes` is the most that is alive at once; at buffer level it is
    what the function asks for: its arena, and each `buffer.alloc`. Raises VerificationError for a
    module of loop level, where costs depend on values that only a run knows.
    """
    function = entry_of(module)
    found = [launch for _, launch in _launches(function)]
    return Counters(
        operations=sum(launch.operations for launch in found),
        bytes_moved=sum(launch.bytes_moved for launch in found),
        peak_bytes=_memory(function) or _most_alive(function, found),
        launches=len(found),
    )


def count_each(module: ModuleOp | FuncOp) -> list[tuple[Operation, Counters]]:
    """The kernels of the entry function in order, and what each costs beside memory.

    Raises VerificationError for a module of loop level, as `count` does.
    """
    return [
        (op, Counters(launch.operations, launch.bytes_moved, launches=1))
        for op, launch in _launches(entry_of(module))
    ]


def operations_of(op: Operation) -> int:
    """The scalar operations of one tensor op; 0 for those that only move elements."""
    rule = OPERATIONS.get(type(op))
    return rule(op) if rule is not None else 0


# Tensor ops


def _results(op: Any) -> int:
    """One operation for each element of the result."""
    return prod(type_of(op.result).get_shape())


def _operands(op: Any) -> int:
    """One operation for each element of the operand."""
    return prod(type_of(op.operands[0]).get_shape())


def _matmul(op: MatmulOp) -> int:
    """A multiplication and an addition for each element and step along the inner axis."""
    return 2 * _results(op) * type_of(op.a).get_shape()[-1]


def _convolution(op: ConvolutionOp) -> int:
    """A multiplication and an addition for each element and weight that it is made of."""
    return 2 * _results(op) * prod(type_of(op.operands[1]).get_shape()[1:])


def _argsort(op: ArgSortOp) -> int:
    """About log2(n) comparisons for each of n elements along the axis."""
    size = type_of(op.operands[0]).get_shape()[int_value(op.axis)]
    return _operands(op) * max(size - 1, 0).bit_length()


def _scatter(op: ScatterOp) -> int:
    return prod(type_of(op.updates).get_shape()) if op.kind.data == ScatterKind.ADD else 0


Rule: TypeAlias = Callable[[Any], int]

OPERATIONS: dict[type[Operation], Rule] = {
    UnaryOp: _results,
    BinaryOp: _results,
    CompareOp: _results,
    SelectOp: _results,
    CastOp: _results,
    RandomBitsOp: _results,
    ReduceOp: _operands,
    ArgReduceOp: _operands,
    ScanOp: _operands,
    ArgSortOp: _argsort,
    MatmulOp: _matmul,
    ConvolutionOp: _convolution,
    ScatterOp: _scatter,
}
"""The scalar operations of the ops that compute; what is not listed moves elements."""


# Launches


def _launches(function: FuncOp) -> list[tuple[Operation, _Launch]]:
    """The ops of a function that are kernels."""
    found = [(op, _launch(op)) for op in function.body.block.ops]
    return [(op, launch) for op, launch in found if launch is not None]


@dataclass(frozen=True)
class _Launch:
    """One kernel: what it reads and writes. In memory that is updated in place it does both."""

    reads: Sequence[SSAValue]
    writes: Sequence[SSAValue]
    operations: int

    @property
    def bytes_moved(self) -> int:
        return sum(_nbytes(value) for value in (*self.reads, *self.writes))


def _nbytes(value: SSAValue) -> int:
    type: Any = value.type
    return nbytes_of(type)


def _launch(op: Operation) -> _Launch | None:
    if isinstance(op, TensorOp):
        if is_free(op):
            return None
        reads = [_root(operand) for operand in op.operands]
        return _Launch(_stored(reads), [op.result], operations_of(op))
    if isinstance(op, FusedOp):
        arguments = zip(op.block.args, op.inputs, strict=True)
        reads = [outside for inside, outside in arguments if inside.first_use is not None]
        return _Launch(_stored(reads), op.outputs, _operations_in(op.block.ops))
    if isinstance(op, buffer.KernelOp):
        read = {inner.source for inner in op.block.ops if isinstance(inner, buffer.ReadOp)}
        bound = zip(op.block.args, op.operands, strict=True)
        reads = [outside for inside, outside in bound if inside in read]
        return _Launch(_stored(reads), (*op.updates, *op.writes), _operations_in(op.block.ops))
    if op.name.startswith("loop."):
        raise VerificationError(
            "costs are not counted at loop level",
            code="PG605",
            expected="a module of tensor, kernel or buffer level",
            found=op.name,
            hint="count before the pass lower_buffers_to_loops",
        )
    return None


def _operations_in(ops: Iterable[Operation]) -> int:
    return sum(operations_of(op) for op in ops)


def is_free(op: Operation) -> bool:
    """Whether an op is no kernel: views, constants and iota are computed where they are read."""
    return is_view(op) or isinstance(op, ConstantOp | IotaOp)


def _root(value: SSAValue) -> SSAValue:
    """The value whose memory a view shows."""
    while isinstance(value.owner, Operation) and is_view(value.owner):
        value = value.owner.operands[0]
    return value


def _stored(values: Iterable[SSAValue]) -> list[SSAValue]:
    """Those of the values that lie in memory, each once."""
    return [v for v in dict.fromkeys(values) if not isinstance(v.owner, ConstantOp | IotaOp)]


# Memory


def _memory(function: FuncOp) -> int:
    """What a function at buffer level asks for."""
    ops = function.body.block.ops
    allocs = sum(_nbytes(op.result) for op in ops if isinstance(op, buffer.AllocOp))
    return allocs + sum(op.nbytes for op in ops if isinstance(op, buffer.ArenaOp))


def _most_alive(function: FuncOp, launches: Sequence[_Launch]) -> int:
    """The most bytes of intermediates that are needed at one time, at tensor and kernel level.

    While a kernel runs, both what it reads and what it writes are needed.
    """
    terminator = function.body.block.last_op
    returned = terminator.operands if isinstance(terminator, ReturnOp) else ()
    kept = {*function.args, *map(_root, returned)}
    last: dict[SSAValue, int] = {}
    for number, launch in enumerate(launches):
        last.update(dict.fromkeys((*launch.reads, *launch.writes), number))
    alive: set[SSAValue] = set()
    most = 0
    for number, launch in enumerate(launches):
        alive |= {value for value in launch.writes if isinstance(value.owner, TensorOp | FusedOp)}
        most = max(most, sum(_nbytes(value) for value in alive - kept))
        alive -= {value for value in alive if last[value] <= number}
    return most
