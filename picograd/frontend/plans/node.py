"""A planned call in the history of gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from picograd.dialects.dtypes import AnyTensor
from picograd.frontend.autodiff.backward import pull_back
from picograd.frontend.autodiff.tape import (
    AliasNode,
    Node,
    PlannedNode,
    Stamp,
    Var,
    changed_since,
    second_pass,
)
from picograd.frontend.core import History, TensorCore
from picograd.frontend.modes.mode import SETTINGS, op_by_op, set_recording
from picograd.frontend.plans.program import Given, PlanProgram
from picograd.frontend.plans.tracing import DEVICE, GRAD, RESULT, Backward, NumberInput, Recipe
from picograd.frontend.storage.cells import Cell, Value
from picograd.frontend.storage.views import View


class Saved(NamedTuple):
    """A tensor as a call saw it."""

    value: Any
    """The storage's contents."""
    shift: int
    """How many bytes behind them what the program reads begins."""
    views: tuple[View, ...]
    cell: Cell
    version: int


class Gradient:
    """The gradient of an operation with respect to some of its operands; compiled when needed."""

    def __init__(self, recipe: Recipe, backward: Backward) -> None:
        self.recipe = recipe
        self.places = backward.places
        self.uses = tuple(sorted(backward.uses))
        self.needs_result = RESULT in backward.uses
        self.name = f"{recipe.name.capitalize()}Backward"
        self._traced = backward.traced
        self._program: PlanProgram | None = None

    @property
    def program(self) -> PlanProgram | None:
        """What computes it; None where the gradient of the result is all there is."""
        if self._program is None and self._traced is not None:
            self._program = PlanProgram(self._traced)
        return self._program


class PlanNode(PlannedNode):
    """One planned call: its operands, its result, and where gradients go on to."""

    trace = None
    device = DEVICE

    def __init__(
        self,
        gradient: Gradient,
        edges: Sequence[Node | None],
        operands: Sequence[Saved | float],
        result: Saved | None,
    ) -> None:
        super().__init__()
        self.name = gradient.name
        self.edges = edges
        self.gradient = gradient
        self._operands: Sequence[Saved | float] | None = operands
        # Without the tensor, whose history is this node: the two would keep each other alive.
        self._result = result

    def sources(self) -> Sequence[Node]:
        return [edge for edge in self.edges if edge is not None]

    @property
    def operand_types(self) -> list[AnyTensor]:
        """The types of the tensors among the operands."""
        kinds = self.gradient.recipe.kinds
        return [kind.shown for kind in kinds if not isinstance(kind, type)]

    def release(self) -> None:
        self._operands = self._result = None

    def pull(self, grad: Var, records: bool) -> Sequence[tuple[Node, Var]]:
        operands = self._operands
        if operands is None:
            raise second_pass(self.name)
        gradient = self.gradient
        for number in gradient.uses:
            self._check(self._result if number == RESULT else operands[number])
        if records or not SETTINGS.planned:
            return self._replayed(operands, grad, records)
        program, value = gradient.program, grad.value
        results: list[Any] = []
        if program is not None:
            given = [self._given(what, operands, value) for what in program.inputs]
            results = program.run(given)
        parts: list[tuple[Node, Var]] = []
        for edge, place in zip(self.edges, gradient.places, strict=True):
            if edge is not None and place is not None:
                parts.append((edge, Var(value if place < 0 else results[place])))
        return parts

    def _check(self, saved: Saved | float | None) -> None:
        """Raise GradientError if a value that is needed was changed in place."""
        if isinstance(saved, Saved) and saved.cell.version != saved.version:
            stamp = Stamp(saved.cell, saved.version)
            raise changed_since(saved.cell.type, stamp, self.name)

    def _given(
        self, what: int | NumberInput, operands: Sequence[Saved | float], grad: Value
    ) -> Given:
        if isinstance(what, NumberInput):
            number = operands[what.operand]
            assert not isinstance(number, Saved)
            return number
        if what == GRAD:
            return grad, 0
        saved = self._result if what == RESULT else operands[what]
        assert isinstance(saved, Saved)
        return saved.value, saved.shift

    def _replayed(
        self, operands: Sequence[Saved | float], grad: Var, records: bool
    ) -> Sequence[tuple[Node, Var]]:
        """The call once more, op by op, and a backward pass over that.

        So the gradient is recorded, or computed in the way of a lower mode.
        """
        recipe = self.gradient.recipe
        aliases = [
            None if edge is None else AliasNode(None, DEVICE, SETTINGS.trace) for edge in self.edges
        ]
        with op_by_op():
            with set_recording(True):
                tensors = [
                    _restored(saved, alias, recipe) if isinstance(saved, Saved) else saved
                    for saved, alias in zip(operands, aliases, strict=True)
                ]
                root = recipe.call(tensors).read().node
            wanted = [alias for alias in aliases if alias is not None]
            found = pull_back([(root, grad)], wanted, retain_graph=records, create_graph=records)
        parts: list[tuple[Node, Var]] = []
        gradients = iter(found)
        for edge, alias in zip(self.edges, aliases, strict=True):
            if edge is None or alias is None:
                continue
            alias.source = edge  # what was recorded goes on from here
            part = next(gradients)
            if part is not None:
                parts.append((edge, part))
        return parts


def _restored(saved: Saved, alias: AliasNode | None, recipe: Recipe) -> TensorCore:
    cell = Cell(saved.value, saved.value.type, DEVICE)
    tracked = 0
    if recipe.through_views:
        (kind,) = recipe.kinds
        assert not isinstance(kind, type)
        tracked = len(kind.views)
    untracked = len(saved.views) - tracked
    return TensorCore.result_class(cell, saved.views, History(alias), untracked)
