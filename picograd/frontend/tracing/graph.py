"""A call as a graph: the function runs on stand-ins for its arguments, and the ops that it asks for
are kept.

The stand-ins are tensors and numbers without values. All else reaches the function as it is, and
what it depends on there is watched (see `watch`).
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, cast

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp
from xdsl.dialects.func import FuncOp

from picograd.dialects.argument_notes import KEPT
from picograd.errors import DeviceError
from picograd.frontend.autodiff.tape import BarrierNode
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.devices import default_device
from picograd.frontend.modes.mode import SETTINGS, set_trace
from picograd.frontend.problems import located
from picograd.frontend.shown import History
from picograd.frontend.storage.cells import Cell
from picograd.frontend.tensor import Tensor
from picograd.frontend.tracing.arguments import Call, is_number, is_parameter, map_leaves
from picograd.frontend.tracing.numbers import live_number
from picograd.frontend.tracing.results import Effects
from picograd.frontend.tracing.sources import FromCell, Source
from picograd.frontend.tracing.trace import Trace
from picograd.frontend.tracing.watch import Watcher
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class Graph:
    """What tracing a call gave: the module, and what replays its effects on Python's objects."""

    module: ModuleOp
    trace: Trace
    effects: Effects
    watcher: Watcher


def graph_of(
    function: Callable[..., object], device: str | None, call: Call, bound: inspect.BoundArguments
) -> Graph:
    """Run the function on stand-ins for the call's arguments, `bound` to its parameters.

    Without a `device` it is the first tensor's.
    """
    watcher = watcher_of(function, bound.arguments)
    for tensor in watcher.tensors:
        if tensor.cell.name is None:
            tensor.cell.name = _readable(watcher.labels[id(tensor)], function)
    trace = Trace(device or device_of(call, watcher), watcher.labels, inspect.currentframe())
    effects = Effects(trace)
    try:
        with set_trace(trace):
            arguments = _stand_ins(trace, call, bound.arguments)
            positional, named = _as_passed(bound, arguments)
            result = function(*positional, **named)
        effects.collect(result, trace.device)
        trace.apply_names()
        trace.check_histories()
    finally:
        trace.restore()
    module = trace.module(effects.outputs, effects.donations(), _kept(trace, watcher))
    effects.release()
    return Graph(module, trace, effects, watcher)


def _kept(trace: Trace, watcher: Watcher) -> set[Source]:
    """The inputs that seldom change between calls: storage that the function reaches by itself and
    does not write, such as the weights of a model.

    Where gradients are recorded, those with one are about to be trained, and change with every
    step. What shares its memory with arrays may change unseen.
    """
    cells = [source.cell for source in trace.sources if isinstance(source, FromCell)]
    kept = {cell for cell in cells if cell not in trace.mutated and type(cell) is Cell}
    if SETTINGS.recording:
        kept &= {tensor.cell for tensor in watcher.tensors}
        kept -= {tensor.cell for tensor in watcher.tensors if tensor.requires_grad}
    return {FromCell(cell) for cell in kept}


def without_kept(module: ModuleOp) -> ModuleOp:
    """A copy of a traced module in which no argument is said to stay as it is between calls."""
    module = module.clone()
    function = next(op for op in module.ops if isinstance(op, FuncOp))
    notes = [dict(note.data) for note in function.arg_attrs or ()]
    for note in notes:
        note.pop(KEPT, None)
    function.arg_attrs = ArrayAttr([DictionaryAttr(note) for note in notes])
    return module


def watcher_of(function: object, arguments: Mapping[str, object]) -> Watcher:
    """What a function depends on beside the tensors and numbers among its arguments."""
    watcher = Watcher()
    watcher.function(function)
    for name, argument in arguments.items():
        map_leaves(argument, lambda leaf, path, name=name: _watch(watcher, name + path, leaf))
    return watcher


def device_of(call: Call, watcher: Watcher) -> str:
    """The device of the first tensor that a call depends on, or else the default one."""
    tensors = [*call.tensors, *watcher.tensors]
    return tensors[0].device if tensors else default_device()


def check_device(device: str, name: str, leaf: object, path: str = "") -> object:
    """Raise DeviceError for a tensor among the arguments that is elsewhere."""
    if isinstance(leaf, TensorCore) and not is_parameter(leaf) and leaf.device != device:
        raise located(
            DeviceError(
                "an argument is on another device than the compiled function",
                code="PG302",
                expected=f"tensors on {device!r}",
                found=f"`{name}{path}` on {leaf.device!r}",
                hint=f"move it with .to({device!r})",
            )
        )
    return leaf


def _watch(watcher: Watcher, label: str, leaf: object) -> object:
    """Name an argument's tensors and guard a module's numbers."""
    is_input = is_number(leaf) or (isinstance(leaf, TensorCore) and not is_parameter(leaf))
    if not is_input:
        watcher.value(label, leaf, None)
    return leaf


def _readable(label: str, function: object) -> str:
    """A label that begins with no digit: parts of a compiled Sequential get its class's name."""
    return f"{type(function).__name__.lower()}.{label}" if label[:1].isdigit() else label


def _stand_ins(trace: Trace, call: Call, arguments: Mapping[str, object]) -> dict[str, object]:
    """The arguments as the traced function sees them: tensors and numbers without values."""
    cells: dict[Cell, Cell] = {}
    tensors = iter(range(len(call.tensors)))
    numbers = iter(range(len(call.numbers)))

    def stand_in(leaf: object, path: str) -> object:
        if isinstance(leaf, TensorCore) and not is_parameter(leaf):
            index = next(tensors)
            check_device(trace.device, path, leaf)
            if leaf.cell not in cells:
                cells[leaf.cell] = trace.argument(index, leaf.cell.type, path)
            history = History(_outside_node(leaf, path) if leaf.requires_grad else None)
            return Tensor(cells[leaf.cell], leaf.views, history, leaf.tracked_from)
        if is_number(leaf):
            index = next(numbers)
            return live_number(path, cast(float, leaf), lambda given: given[index], index)
        return leaf

    return {
        name: map_leaves(value, lambda leaf, path, name=name: stand_in(leaf, name + path))
        for name, value in arguments.items()
    }


def _outside_node(leaf: TensorCore, path: str) -> BarrierNode:
    return BarrierNode(
        "backward() inside a compiled function reaches ops that ran outside of it",
        f"compute `{path}` inside the compiled function, or detach() it",
        leaf.device,
    )


def _as_passed(
    bound: inspect.BoundArguments, arguments: Mapping[str, object]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The stand-ins, split into positional and keyword arguments as the function takes them."""
    copy = inspect.BoundArguments(bound.signature, OrderedDict(arguments))
    return copy.args, copy.kwargs
