"""What a plan of memory promises to the code: buffers that are in use at once are apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from xdsl.dialects.builtin import MemRefType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, SSAValue

from picograd.dialects.buffer import NAME, PlaceOp, stored_in
from picograd.dialects.loop import KernelOp, LaunchOp, memref_type
from picograd.errors import SanitizerError
from picograd.semantics.access import buffer_name

Sizes = Callable[[MemRefType[Any]], int]
"""Bytes that a buffer takes on a device."""


def kernels_of(module: ModuleOp) -> dict[str, KernelOp]:
    """The kernels of a module, by name."""
    return {op.sym_name.data: op for op in module.ops if isinstance(op, KernelOp)}


def argument_name(main: FuncOp, argument: BlockArgument) -> str:
    """What the user calls an argument of `@main`, else the IR."""
    attributes = main.arg_attrs
    given = attributes.data[argument.index].data.get(NAME) if attributes else None
    if isinstance(given, StringAttr):
        return given.data
    return argument.name_hint or f"argument{argument.index}"


def launches_of(main: FuncOp) -> list[LaunchOp]:
    """The launches of a program, in order."""
    return [op for op in main.body.block.ops if isinstance(op, LaunchOp)]


def lifetimes(main: FuncOp) -> dict[PlaceOp, tuple[int, int]]:
    """For each placed buffer the numbers of the first and last launch that is given it."""
    lives: dict[PlaceOp, tuple[int, int]] = {}
    for number, launch in enumerate(launches_of(main)):
        for value in launch.buffers:
            if isinstance(value.owner, PlaceOp):
                first, _ = lives.get(value.owner, (number, number))
                lives[value.owner] = first, number
    return lives


def dead_after(main: FuncOp) -> dict[LaunchOp, list[PlaceOp]]:
    """The placed buffers that nobody uses any more after a launch."""
    launches = launches_of(main)
    dead: dict[LaunchOp, list[PlaceOp]] = {launch: [] for launch in launches}
    for place, (_, last) in lifetimes(main).items():
        dead[launches[last]].append(place)
    return dead


def check_places(main: FuncOp, kernels: Mapping[str, KernelOp], nbytes: Sizes) -> None:
    """Raise SanitizerError for buffers that overlap although both are in use.

    A kernel's operands must not overlap, because code is made under that assumption; a buffer that
    is only read may be given twice.
    """
    lives = lifetimes(main)
    spans = {place: _span(place, nbytes) for place in lives}
    for place, (_, end) in spans.items():
        (size,) = memref_type(place.arena).get_shape()
        if end > size:
            raise SanitizerError(
                f"the place of %{buffer_name(place.result)} ends behind the arena",
                code="PG607",
                expected=f"at most byte {size}",
                found=f"byte {end}",
                hint="the plan counts fewer bytes for a buffer than the device stores",
                where=str(place).strip(),
            )
    places = list(lives)
    for position, one in enumerate(places):
        for other in places[:position]:
            shared = min(spans[one][1], spans[other][1]) - max(spans[one][0], spans[other][0])
            (a, b), (c, d) = lives[one], lives[other]
            if one.arena is other.arena and shared > 0 and a <= d and c <= b:
                raise _overlap(other, one, spans, max(a, c))
    holders = stored_in(main)
    for launch in launches_of(main):
        kernel = kernels.get(launch.kernel.root_reference.data)
        if kernel is not None:
            _check_operands(launch, kernel, holders)


def _span(place: PlaceOp, nbytes: Sizes) -> tuple[int, int]:
    start = place.offset.value.data
    return start, start + nbytes(memref_type(place.result))


def _overlap(
    one: PlaceOp, other: PlaceOp, spans: Mapping[PlaceOp, tuple[int, int]], launch: int
) -> SanitizerError:
    names = f"%{buffer_name(one.result)} and %{buffer_name(other.result)}"
    (a, b), (c, d) = spans[one], spans[other]
    return SanitizerError(
        f"{names} overlap in the arena while both are in use",
        code="PG611",
        expected="buffers that live at the same time in bytes of their own",
        found=f"bytes {a} to {b} and {c} to {d}, both in use in launch {launch}",
        hint="the pass that planned memory took one of them for dead too early",
        where=str(other).strip(),
    )


def _check_operands(launch: LaunchOp, kernel: KernelOp, holders: Mapping[int, int]) -> None:
    """No buffer that a kernel writes is given to it a second time."""
    seen: dict[object, bool] = {}
    for value, argument in zip(launch.buffers, kernel.body.block.args, strict=True):
        memory = _memory(value, holders)
        writes = argument in kernel.written
        if memory in seen and (writes or seen[memory]):
            raise SanitizerError(
                f"kernel @{kernel.sym_name.data} writes memory that it is given twice",
                code="PG611",
                expected="operands that do not overlap where one of them is written",
                found=f"%{buffer_name(value)} a second time, as %{buffer_name(argument)}",
                hint="list a buffer that is updated in place once",
                where=str(launch).strip(),
            )
        seen[memory] = writes or seen.get(memory, False)


def _memory(value: SSAValue, holders: Mapping[int, int]) -> object:
    """What stands for the memory behind an operand: results may lie in an argument's."""
    if isinstance(value, BlockArgument):
        return holders.get(value.index, value.index)
    return value
