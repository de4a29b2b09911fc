"""Where a compiled graph's time goes: the launches one by one, with what each moves and computes.

Bytes and operations follow from the shapes (`picograd.semantics.counters`), seconds from a clock
between the launches. Their quotients say how far a kernel is from what the machine can do: one that
moves memory as fast as a copy, or multiplies as fast as the units allow, has nothing left to win.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from math import prod
from typing import Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from picograd.compiler.kernel_descriptions import lines_of, name_ops
from picograd.dialects import buffer
from picograd.dialects.dtypes import nbytes_of, type_of
from picograd.dialects.loop import memref_type
from picograd.passes.loops.launch_numbers import launch_numbers
from picograd.quick_dataclasses import dataclass
from picograd.semantics.counters import Counters, count_each


@dataclass(frozen=True)
class LaunchTimes:
    """A launch, or all launches of one kernel."""

    kernel: str
    """The kernel's symbol."""
    launches: int
    seconds: float
    """The median over the runs, of all these launches together."""
    low: float
    """A quarter of the runs took less than this."""
    high: float
    """A quarter of the runs took more than this."""
    share: float
    """Of the time of all launches."""
    operations: int | None
    """Scalar operations: two for a multiplication with an addition, one for an exponential."""
    bytes_moved: int | None
    """What the launches read and write, each operand once."""
    ops: str
    """The tensor ops that the kernel holds."""
    lines: tuple[str, ...]
    """The lines of the user's program that they come from."""

    @property
    def gigabytes_a_second(self) -> float | None:
        """Bytes moved over the time; None where they are not known."""
        return _rate(self.bytes_moved, self.seconds)

    @property
    def gigaops_a_second(self) -> float | None:
        """Operations over the time; None where they are not known."""
        return _rate(self.operations, self.seconds)


@dataclass(frozen=True)
class Profile:
    """The launches of a compiled graph in order, and what each took."""

    device: str
    runs: int
    launches: tuple[LaunchTimes, ...]

    @property
    def seconds(self) -> float:
        """Of all launches together."""
        return sum(launch.seconds for launch in self.launches)

    def by_kernel(self) -> tuple[LaunchTimes, ...]:
        """One entry a kernel, however often it is launched: the slowest first."""
        groups: dict[str, list[LaunchTimes]] = {}
        for launch in self.launches:
            groups.setdefault(launch.kernel, []).append(launch)
        joined = [_joined(group) for group in groups.values()]
        return tuple(sorted(joined, key=lambda entry: -entry.seconds))

    def as_data(self) -> dict[str, Any]:
        """Everything in it as JSON has it."""
        return {
            "device": self.device,
            "runs": self.runs,
            "seconds": self.seconds,
            "launches": [_as_data(launch) for launch in self.launches],
            "kernels": [_as_data(kernel) for kernel in self.by_kernel()],
        }


@dataclass(frozen=True)
class _Contents:
    """What the IR tells of a launch."""

    cost: Counters | None = None
    ops: str = ""
    lines: tuple[str, ...] = ()


def profile_of(
    device: str,
    kernels: Sequence[str],
    times: Sequence[Sequence[float]],
    module: ModuleOp | None,
    launched: ModuleOp | None = None,
) -> Profile:
    """A profile from the kernels in order and the times of all runs.

    `module` is the graph at buffer level, for what the kernels hold; it may be None. `launched` is
    what ran, where passes may have merged launches since.
    """
    contents = _contents(module)
    if launched is not None and len(contents) != len(kernels):
        contents = _merged(contents, launched)
    if len(contents) != len(kernels):
        contents = [_Contents()] * len(kernels)  # a pass has split or added launches since
    columns = [sorted(run[number] for run in times) for number in range(len(kernels))]
    medians = [statistics.median(column) for column in columns]
    total = sum(medians)
    launches = [
        LaunchTimes(
            kernel=kernel,
            launches=1,
            seconds=median,
            low=column[len(column) // 4],
            high=column[-1 - len(column) // 4],
            share=median / total if total else 0.0,
            operations=None if held.cost is None else held.cost.operations,
            bytes_moved=None if held.cost is None else held.cost.bytes_moved,
            ops=held.ops,
            lines=held.lines,
        )
        for kernel, held, column, median in zip(kernels, contents, columns, medians, strict=True)
    ]
    return Profile(device, len(times), tuple(launches))


def _contents(module: ModuleOp | None) -> list[_Contents]:
    """What each launch holds, as far as the buffer level tells: kernels and launches pair up."""
    pairs = [] if module is None else count_each(module)
    found: list[_Contents] = []
    for op, cost in pairs:
        if isinstance(op, buffer.KernelOp) and _writes(op):
            inner: tuple[Operation, ...] = tuple(op.block.ops)
            found.append(_Contents(cost, name_ops(inner), lines_of(inner)))
    return found


def _merged(contents: Sequence[_Contents], launched: ModuleOp) -> list[_Contents]:
    """The same once some launches stand for several of them: these move their operands only."""
    main = next(op for op in launched.ops if isinstance(op, FuncOp))
    numbers = launch_numbers(main)
    if sum(map(len, numbers.values())) != len(contents):
        return []
    found: list[_Contents] = []
    for launch, stands_for in numbers.items():
        parts = [contents[number] for number in stands_for]
        if len(parts) == 1:
            found += parts
            continue
        operations = sum(part.cost.operations for part in parts if part.cost is not None)
        moved = sum(nbytes_of(memref_type(value)) for value in launch.buffers)
        lines = dict.fromkeys(line for part in parts for line in part.lines)
        ops = "; ".join(part.ops for part in parts)
        found.append(_Contents(Counters(operations, moved, launches=1), ops, tuple(lines)))
    return found


def _writes(kernel: buffer.KernelOp) -> bool:
    """Whether a kernel writes anything: those that do not are never launched."""
    return any(prod(type_of(value).get_shape()) for value in (*kernel.updates, *kernel.writes))


def _joined(group: Sequence[LaunchTimes]) -> LaunchTimes:
    first = group[0]
    lines = dict.fromkeys(line for launch in group for line in launch.lines)
    operations = [launch.operations for launch in group]
    moved = [launch.bytes_moved for launch in group]
    return LaunchTimes(
        kernel=first.kernel,
        launches=len(group),
        seconds=sum(launch.seconds for launch in group),
        low=sum(launch.low for launch in group),
        high=sum(launch.high for launch in group),
        share=sum(launch.share for launch in group),
        operations=_sum(operations),
        bytes_moved=_sum(moved),
        ops=first.ops,
        lines=tuple(lines),
    )


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _rate(amount: int | None, seconds: float) -> float | None:
    return None if amount is None or not seconds else amount / seconds / 1e9


def _as_data(launch: LaunchTimes) -> dict[str, Any]:
    rates = {
        "gigabytes_a_second": launch.gigabytes_a_second,
        "gigaops_a_second": launch.gigaops_a_second,
    }
    return asdict(launch) | rates
