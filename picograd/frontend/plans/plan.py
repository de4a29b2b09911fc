"""A plan: one operation on operands of given kinds, and the function that runs it.

The function is made for the plan, because it runs for every eager operation: what it needs lies in
its closure, and it does no more than take memory for the result, enter the program and wrap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from picograd.dialects.dtypes import tensor_type
from picograd.frontend.autodiff.tape import Node
from picograd.frontend.core import TensorCore
from picograd.frontend.fresh import fresh_tensors
from picograd.frontend.modes.mode import SETTINGS
from picograd.frontend.plans.node import Gradient, PlanNode, Saved
from picograd.frontend.plans.program import Given, PlanProgram
from picograd.frontend.plans.tracing import DEVICE, NumberInput, Recipe, through
from picograd.frontend.storage.cells import Cell
from picograd.frontend.storage.chains import layout_through
from picograd.frontend.storage.signature import Signature, signature_of_type

Call: TypeAlias = Callable[..., Any]
"""Runs a plan: takes the operands, gives the result."""

_MOST_VIEWS = 1024
"""Of one type, of which the gradient is kept."""


class Plan:
    """An operation on operands of given kinds."""

    def __init__(self, recipe: Recipe, program: PlanProgram) -> None:
        self.recipe = recipe
        self.program = program
        self.result = signature_of_type(program.results[0])
        self._gradients: dict[int, Gradient | None] = {}

    def gradient(self, mask: int) -> Gradient | None:
        """The gradient of the operands in a bit set; None where none flows."""
        if mask not in self._gradients:
            backward = self.recipe.backward(mask)
            self._gradients[mask] = None if backward is None else Gradient(self.recipe, backward)
        return self._gradients[mask]

    def record(
        self, operands: Sequence[Any], values: Sequence[Any], result: Any, cell: Cell
    ) -> Node | None:
        """The node of a call, when its result depends on a tensor that requires a gradient."""
        mask, bit = 0, 1
        edges: list[Node | None] = []
        saved: list[Saved | float] = []
        for operand, value in zip(operands, values, strict=True):
            if isinstance(operand, TensorCore):
                edge = edge_of(operand, value)
                if edge is not None:
                    mask |= bit
                edges.append(edge)
                held = operand.cell
                saved.append((value, operand.shift, operand.views, held, held.version))
            else:
                edges.append(None)
                saved.append(operand)
            bit <<= 1
        gradient = self._gradients[mask] if mask in self._gradients else self.gradient(mask)
        if gradient is None:
            return None
        kept = (result, 0, (), cell, 0) if gradient.needs_result else None
        return PlanNode(gradient, edges, saved, kept)

    # The functions that run it

    def caller(self) -> Call:
        """The fastest function for the operands, of which all tensors go through plans."""
        program, kinds = self.program, self.recipe.kinds
        order = [what.operand if isinstance(what, NumberInput) else what for what in program.inputs]
        tensors = [isinstance(kind, Signature) for kind in kinds]
        simple = program.launch is not None and order == list(range(len(kinds)))
        if self.recipe.in_place:
            if program.launch is not None and tensors == [True, True]:
                if order == [0, 1]:
                    return self._pair_in_place()
                if order == [1]:
                    return self._over_first()
            alone = program.launch is not None and tensors == [True] and order in ([], [0])
            return self._alone_in_place() if alone else self._in_place()
        if simple:
            if tensors == [True]:
                return self._of_one()
            if tensors == [True, True]:
                return self._of_two()
            if tensors == [True, False]:
                return self._of_one_and_number()
        return self._of_any()

    def _of_one(self) -> Call:
        program, make, launch = self.program, self.program.makers[0], self.program.launch
        assert launch is not None
        wrap, tracks, record = self._wrapper(), self.result.is_float, self.record

        def call(a: Any) -> Any:
            x, out = a.cell.value, make()
            failure = launch(x.address + a.shift, out.address)
            if failure:
                raise program.failed(failure)
            result = wrap(out)
            if tracks and a.history.node is not None and SETTINGS.recording:
                result.history.node = record((a,), (x,), out, result.cell)
            return result

        return call

    def _of_two(self) -> Call:
        program, make, launch = self.program, self.program.makers[0], self.program.launch
        assert launch is not None
        wrap, tracks, record = self._wrapper(), self.result.is_float, self.record

        def call(a: Any, b: Any) -> Any:
            x, y, out = a.cell.value, b.cell.value, make()
            failure = launch(x.address + a.shift, y.address + b.shift, out.address)
            if failure:
                raise program.failed(failure)
            result = wrap(out)
            if (
                tracks
                and (a.history.node is not None or b.history.node is not None)
                and SETTINGS.recording
            ):
                result.history.node = record((a, b), (x, y), out, result.cell)
            return result

        return call

    def _of_one_and_number(self) -> Call:
        program, make, launch = self.program, self.program.makers[0], self.program.launch
        assert launch is not None
        wrap, tracks, record = self._wrapper(), self.result.is_float, self.record

        def call(a: Any, number: Any) -> Any:
            x, out = a.cell.value, make()
            failure = launch(x.address + a.shift, number, out.address)
            if failure:
                raise program.failed(failure)
            result = wrap(out)
            if tracks and a.history.node is not None and SETTINGS.recording:
                result.history.node = record((a, number), (x, None), out, result.cell)
            return result

        return call

    def _of_any(self) -> Call:
        wrap, tracks, record = self._wrapper(), self.result.is_float, self.record

        def call(*operands: Any) -> Any:
            values = [x.cell.value if isinstance(x, TensorCore) else None for x in operands]
            (out,) = self._run(operands, values)
            result = wrap(out)
            if tracks and SETTINGS.recording and is_tracked(operands):
                result.history.node = record(operands, values, out, result.cell)
            return result

        return call

    def _alone_in_place(self) -> Call:
        """As `_in_place`, of one tensor, whose contents may not even count."""
        program, make, launch = self.program, self.program.makers[0], self.program.launch
        assert launch is not None
        reads = bool(program.inputs)

        def call(a: Any) -> Any:
            cell = a.cell
            x, out = cell.value, make()
            failure = launch(x.address + a.shift, out.address) if reads else launch(out.address)
            if failure:
                raise program.failed(failure)
            cell.value = out
            cell.version += 1
            return a

        return call

    def _pair_in_place(self) -> Call:
        """As `_in_place`, of two tensors."""
        program, make, launch = self.program, self.program.makers[0], self.program.launch
        assert launch is not None

        def call(a: Any, b: Any) -> Any:
            cell = a.cell
            x, y, out = cell.value, b.cell.value, make()
            failure = launch(x.address + a.shift, y.address + b.shift, out.address)
            if failure:
                raise program.failed(failure)
            cell.value = out
            cell.version += 1
            return a

        return call

    def _over_first(self) -> Call:
        """As `_in_place`, of two tensors, of which the first one's contents do not count."""
        program, make, launch = self.program, self.program.makers[0], self.program.launch
        assert launch is not None

        def call(a: Any, b: Any) -> Any:
            cell = a.cell
            y, out = b.cell.value, make()
            failure = launch(y.address + b.shift, out.address)
            if failure:
                raise program.failed(failure)
            cell.value = out
            cell.version += 1
            return a

        return call

    def _in_place(self) -> Call:
        """Puts the result into the storage of the first operand, which is not tracked."""

        def call(*operands: Any) -> Any:
            values = [x.cell.value if isinstance(x, TensorCore) else None for x in operands]
            (out,) = self._run(operands, values)
            cell = operands[0].cell
            cell.value = out
            cell.version += 1
            return operands[0]

        return call

    def _run(self, operands: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        given: list[Given] = []
        for what in self.program.inputs:
            if isinstance(what, NumberInput):
                given.append(operands[what.operand])
            else:
                given.append((values[what], operands[what].shift))
        return self.program.run(given)

    def _wrapper(self) -> Callable[[Any], Any]:
        """Makes a tensor of a result."""
        return fresh_tensors(self.result.type, DEVICE, signature=self.result)


def is_tracked(operands: Sequence[object]) -> bool:
    """Whether a tensor among the operands requires a gradient."""
    return any(
        operand.history.node is not None for operand in operands if isinstance(operand, TensorCore)
    )


def edge_of(tensor: TensorCore, base: Any) -> Node | None:
    """The node of the tensor's value, where its storage holds `base`; made for views, once."""
    node = tensor.history.node
    if node is None or tensor.tracked_from == len(tensor.views):
        return node
    known = tensor.known_node(base)
    if known is not None:
        return known
    untracked = tensor.views[: tensor.tracked_from]
    views = tensor.views[tensor.tracked_from :]
    root = signature_of_type(tensor.cell.type)
    if untracked:
        layout = layout_through(root.layout, untracked)
        root = signature_of_type(tensor_type(layout.shape, tensor.dtype))
    gradient = root.view_plans.get(views)
    if gradient is None:
        if len(root.view_plans) >= _MOST_VIEWS:
            root.view_plans.clear()
        recipe = through(views, root)
        backward = recipe.backward(1)
        assert backward is not None, "a view of floats passes gradients on"
        gradient = root.view_plans[views] = Gradient(recipe, backward)
    saved = (base, 0, tensor.views, tensor.cell, tensor.cell.version)
    made = PlanNode(cast(Gradient, gradient), (node,), (saved,), None)
    tensor.remember_node(base, made)
    return made
