"""What a program on the GPU consists of: kernels, launches, and what each of these is bound to.

A plan is made of a module (`planner`), or of bytes that were kept on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
from xdsl.dialects.builtin import TensorType

from picograd.backends.runtime import Array, Image
from picograd.backends.wgsl.code import DispatchCode, KernelCode
from picograd.dialects.dtypes import DTYPES, dtype_of, tensor_type
from picograd.quick_dataclasses import dataclass

_DTYPES = {dtype.name: dtype for dtype in DTYPES}


@dataclass(frozen=True)
class Argument:
    """Input or output number `position` of the call, in the order of `@main`'s arguments."""

    position: int
    nbytes: int


@dataclass(frozen=True)
class Leased:
    """A range of memory number `number` that each call leases from the pool."""

    number: int
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Constant:
    """Constant number `number`, which lies in memory for the life of the program."""

    number: int


@dataclass(frozen=True)
class Status:
    """The device's status word, where kernels report an index out of range."""


Source: TypeAlias = Argument | Leased | Constant | Status
"""What a kernel's operand is bound to."""


@dataclass(frozen=True)
class PlannedLaunch:
    """One dispatch, and what its bindings are bound to, in order."""

    code: DispatchCode
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Plan:
    """A program, without anything that only one process has."""

    kernels: tuple[KernelCode, ...]
    launches: tuple[PlannedLaunch, ...]
    leases: tuple[int, ...]
    """Bytes of each range of memory that a call leases."""
    constants: tuple[tuple[str, Array], ...]
    """Each with its name, as it is stored: elements of 32 bits."""
    arguments: tuple[TensorType[Any], ...]
    """`@main`'s, outputs last."""

    @property
    def text(self) -> str:
        """All of its WGSL."""
        return "\n".join(kernel.text for kernel in self.kernels)

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the local buffers that kernels keep in global memory."""
        return sum(sum(kernel.scratch_bytes) for kernel in self.kernels)


def image_of(plan: Plan) -> Image:
    """The plan as it is kept."""
    places = {
        id(dispatch): (number, place)
        for number, kernel in enumerate(plan.kernels)
        for place, dispatch in enumerate(kernel.dispatches)
    }
    facts = {
        "kernels": [asdict(kernel) for kernel in plan.kernels],
        "launches": [
            [*places[id(launch.code)], [_spelled(source) for source in launch.sources]]
            for launch in plan.launches
        ],
        "leases": list(plan.leases),
        "constants": [name for name, _ in plan.constants],
        "arguments": [(list(one.get_shape()), dtype_of(one).name) for one in plan.arguments],
    }
    return Image(facts, tuple(stored.tobytes() for _, stored in plan.constants))


def plan_of(image: Image) -> Plan:
    """What `image_of` was given; constants are words."""
    facts = image.facts
    kernels = tuple(_kernel(**kernel) for kernel in facts["kernels"])
    return Plan(
        kernels=kernels,
        launches=tuple(_launch(kernels, *launch) for launch in facts["launches"]),
        leases=tuple(facts["leases"]),
        constants=tuple(
            (name, np.frombuffer(blob, np.uint32))
            for name, blob in zip(facts["constants"], image.blobs, strict=True)
        ),
        arguments=tuple(tensor_type(shape, _DTYPES[name]) for shape, name in facts["arguments"]),
    )


def _launch(
    kernels: Sequence[KernelCode], number: int, place: int, sources: Sequence[Any]
) -> PlannedLaunch:
    bound = tuple(_source(*source) for source in sources)
    return PlannedLaunch(kernels[number].dispatches[place], bound)


_KINDS = {kind.__name__: kind for kind in (Argument, Leased, Constant, Status)}


def _spelled(source: Source) -> list[str | int]:
    return [type(source).__name__, *asdict(source).values()]


def _source(kind: str, *numbers: int) -> Source:
    return _KINDS[kind](*numbers)


def _kernel(
    name: str, dispatches: Sequence[dict[str, Any]], scratch_bytes: Sequence[int]
) -> KernelCode:
    return KernelCode(name, tuple(_dispatch(**one) for one in dispatches), tuple(scratch_bytes))


def _dispatch(workgroups: Sequence[int], buffers: Sequence[int], **others: Any) -> DispatchCode:
    x, y, z = workgroups
    return DispatchCode(workgroups=(x, y, z), buffers=tuple(buffers), **others)
