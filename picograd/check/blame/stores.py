"""The first store of a kernel that a device gets wrong: every store is repeated into a buffer of
its own, a *shadow*, which the device and the evaluator fill and which are then compared.

A shadow has a place for each iteration of the loops around the store, so it keeps what a local
buffer, or a running value that is stored again and again, shows only for a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, ModuleOp, UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, SSAValue

from picograd.backends.runtime import device as find_device
from picograd.check.blame.expected import expected
from picograd.check.blame.parts import Part
from picograd.compiler.driver import run_pipeline
from picograd.compiler.executable import compile_module
from picograd.compiler.validation.signature import signature_of
from picograd.dialects.affine import Lane, Linear, floordiv
from picograd.dialects.buffer import DONATED, OUTPUT, STORED_IN, outputs_of
from picograd.dialects.dtypes import from_ir, memref_type
from picograd.dialects.literals import Array
from picograd.dialects.loop import (
    BarrierOp,
    Dim,
    KernelOp,
    LaunchOp,
    LoopOp,
    StoreOp,
    element_type,
    tile_shape,
)
from picograd.dialects.tensor import int_attr
from picograd.passes.insert_barriers import InsertBarriers
from picograd.passes.loops.facts import LoopFacts
from picograd.quick_dataclasses import dataclass
from picograd.semantics.bounds import Excess, judge
from picograd.semantics.evaluate import entry_of
from picograd.targets import lookup

MOST_ELEMENTS = 1 << 22
"""Of one shadow; a store in larger loops is passed over."""

_SENTINEL = 77
"""What a shadow holds where nothing is stored."""


@dataclass(frozen=True)
class WrongStore:
    """A store that a device gets wrong; `number` is its place among the stores of the kernel."""

    op: StoreOp
    number: int
    loops: tuple[str, ...]
    """The names of the loops around it: what the index in `excess` counts, before the lanes."""
    excess: Excess


@dataclass(frozen=True)
class _Shadow:
    """Where a store is repeated: a place for each iteration of the loops around it."""

    number: int
    dims: tuple[Dim, ...]
    trips: tuple[int, ...]
    tile: tuple[int, ...]
    element: Attribute

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.trips, *self.tile)


def first_wrong_store(part: Part, device: str) -> WrongStore | None:
    """The first store, in the order of the text, at which a device differs from the evaluator.

    None where the stores are right, or where repeating them puts an end to the failure. Raises what
    compiling and running on the device raises.
    """
    (kernel,) = (op for op in part.module.ops if isinstance(op, KernelOp))
    numbered = enumerate(stores_of(kernel))
    shadows = [s for n, op in numbered if (s := _shadow_of(op, n)) is not None]
    spare = _spare_buffers(kernel, device)
    for first in range(0, len(shadows), spare) if spare else ():
        found = _first_wrong(part, shadows[first : first + spare], device)
        if found is not None:
            return found
    return None


def stores_of(kernel: KernelOp) -> list[StoreOp]:
    """The stores of a kernel, in the order of the text."""
    return [op for op in kernel.walk() if isinstance(op, StoreOp)]


def _spare_buffers(kernel: KernelOp, device: str) -> int:
    """How many more buffers a kernel may bind."""
    limit = lookup(device).storage_buffers
    return max(0, limit - len(kernel.body.block.args)) if limit else 64


def _shadow_of(store: StoreOp, number: int) -> _Shadow | None:
    """The shadow of a store; None where the loops around it have too many iterations, or no one
    knows how many."""
    facts, dims = LoopFacts(), _dims_around(store)
    trips = [facts.trips(dim) for dim in dims]
    known = [count for count in trips if count is not None]
    tile = tuple(tile_shape(store.value.type))
    if len(known) < len(trips) or prod(known) * prod(tile) > MOST_ELEMENTS:
        return None
    return _Shadow(number, tuple(dims), tuple(known), tile, element_type(store.value.type))


def _first_wrong(part: Part, shadows: Sequence[_Shadow], device: str) -> WrongStore | None:
    module = part.module.clone()
    inputs = [*_add_shadows(module, shadows), *(array.copy() for array in part.inputs)]
    function = entry_of(module)
    bounds = expected(module, inputs, device)
    place = find_device(device)
    executable = compile_module(module, device, passes=(), cached=False)
    outputs = executable.run([place.upload(array) for array in inputs])
    types = signature_of(function).results
    for number, shadow in enumerate(shadows):
        found = place.download(outputs[number])
        report = judge([bounds[number]], [types[number]], [found])
        if report.first is not None:
            (kernel,) = (op for op in part.module.ops if isinstance(op, KernelOp))
            op = stores_of(kernel)[shadow.number]
            names = tuple(dim.name for dim in shadow.dims)
            return WrongStore(op, shadow.number, names, report.first)
    return None


def _add_shadows(module: ModuleOp, shadows: Sequence[_Shadow]) -> list[Array]:
    """Repeat stores of the kernel into shadows, which become the first inputs and results.

    They are inputs too, that the kernel updates: so what is not stored is known as well.
    """
    (kernel,) = (op for op in module.ops if isinstance(op, KernelOp))
    stores = stores_of(kernel)
    types = [memref_type(shadow.shape, shadow.element) for shadow in shadows]
    for shadow, type in zip(shadows, types, strict=True):
        store = stores[shadow.number]
        memref = kernel.body.block.insert_arg(type, len(kernel.body.block.args))
        memref.name_hint = f"shadow_{shadow.number}"
        _repeat(store, memref, _dims_around(store))
    _extend_main(entry_of(module), types)
    if any(isinstance(op, BarrierOp) for op in kernel.walk()):
        run_pipeline(module, [InsertBarriers()], facts=None)
    return [np.full(shadow.shape, _SENTINEL, from_ir(shadow.element).numpy) for shadow in shadows]


def _dims_around(store: StoreOp) -> list[Dim]:
    dims: list[Dim] = []
    parent: Operation | None = store.parent_op()
    while parent is not None and not isinstance(parent, KernelOp):
        if isinstance(parent, LoopOp):
            dims = [*parent.dims, *dims]
        parent = parent.parent_op()
    return dims


def _repeat(store: StoreOp, memref: SSAValue, dims: Sequence[Dim]) -> None:
    """Store the same value at the place that the iteration has in a shadow."""
    steps = [floordiv(Linear.of(dim.variable) - dim.lower, dim.step) for dim in dims]
    lanes = [Linear.of(Lane(axis)) for axis in range(len(tile_shape(store.value.type)))]
    block = store.parent_block()
    assert block is not None
    block.insert_op_after(StoreOp(store.value, memref, [*steps, *lanes]), store)


def _extend_main(function: FuncOp, types: Sequence[Attribute]) -> None:
    """Give `@main` the shadows as its first inputs, in which its first results are stored."""
    block = function.body.block
    count = len(types)
    inputs = len(function.args) - len(outputs_of(function))
    notes = list(function.arg_attrs or [DictionaryAttr({}) for _ in function.args])
    moved: list[DictionaryAttr] = []
    for note in notes:
        data = dict(note.data)
        for key in (DONATED, STORED_IN):
            # Results and inputs alike now begin with the shadows.
            if key in data:
                data[key] = int_attr(cast(IntegerAttr, data[key]).value.data + count)
        moved.append(DictionaryAttr(data))
    arguments = [block.insert_arg(type, number) for number, type in enumerate(types)]
    for number, type in enumerate(types):
        block.insert_arg(type, count + inputs + number)
    donated = [DictionaryAttr({DONATED: int_attr(number)}) for number in range(count)]
    stored = [
        DictionaryAttr({OUTPUT: UnitAttr(), STORED_IN: int_attr(number)}) for number in range(count)
    ]
    function.arg_attrs = ArrayAttr([*donated, *moved[:inputs], *stored, *moved[inputs:]])
    for op in block.ops:
        if isinstance(op, LaunchOp):
            op.operands = [*op.operands, *arguments]
    function.update_function_type()
