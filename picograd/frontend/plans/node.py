"""A planned call in the history of gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

from picograd.dialects.dtypes import AnyTensor
from picograd.frontend.autodiff.backward import pull_back
from picograd.frontend.autodiff.tape import (
    AliasNode,
    Node,
    PlannedNode,
    Stamp,
    Var,
    changed_since,
    next_order,
    second_pass,
)
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.mode import SETTINGS, op_by_op, set_recording
from picograd.frontend.plans.program import Given, PlanProgram
from picograd.frontend.plans.tracing import DEVICE, GRAD, RESULT, Backward, NumberInput, Recipe
from picograd.frontend.shown import History
from picograd.frontend.storage.cells import Cell
from picograd.frontend.storage.views import View

Saved: TypeAlias = "tuple[Any, int, tuple[View, ...], Cell, int]"
"""A tensor as a call saw it: what its storage held, how many bytes behind that what the program
reads begins, the views, the storage and its version. A plain tuple: one is made for each operand of
each call that is recorded.
"""


class Gradient:
    """The gradient of an operation with respect to some of its operands; compiled when needed."""

    def __init__(self, recipe: Recipe, backward: Backward) -> None:
        self.recipe = recipe
        self.places = backward.places
        self.uses = tuple(sorted(backward.uses))
        self.needs_result = RESULT in backward.uses
        self.name = f"{recipe.name.capitalize()}Backward"
        self._traced = backward.traced
        self.program: PlanProgram | None = None
        """What computes it, once that has been asked for."""

    def run(self, operands: Sequence[Saved | float], result: Saved | None, grad: Any) -> list[Any]:
        """The gradients that are computed; `places` tells which are."""
        program = self.program or self._made()
        if program is None:
            return []
        given: list[Given] = []
        for what in program.inputs:
            if what.__class__ is not int:
                given.append(cast(float, operands[cast(NumberInput, what).operand]))
            elif what == GRAD:
                given.append((grad, 0))
            else:
                saved = cast(Saved, result if what == RESULT else operands[cast(int, what)])
                given.append((saved[0], saved[1]))
        return program.run(given)

    def _made(self) -> PlanProgram | None:
        """The program, compiled now; None where the gradient of the result is all there is."""
        traced = self._traced
        if traced is not None:
            self.program = PlanProgram(traced)
            self._traced = None  # a module is large, and nobody needs it any more
        return self.program


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
        self.order = next_order()
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
            saved = self._result if number == RESULT else operands[number]
            if isinstance(saved, tuple) and saved[3].version != saved[4]:
                raise changed_since(saved[3].type, Stamp(saved[3], saved[4]), self.name)
        if records or not SETTINGS.planned:
            return self._replayed(operands, grad, records)
        value = grad.value
        results = gradient.run(operands, self._result, value)
        parts: list[tuple[Node, Var]] = []
        for edge, place in zip(self.edges, gradient.places, strict=True):
            if edge is not None and place is not None:
                parts.append((edge, Var(value if place < 0 else results[place])))
        return parts

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
                    _restored(saved, alias, recipe) if isinstance(saved, tuple) else saved
                    for saved, alias in zip(operands, aliases, strict=True)
                ]
                root = recipe.method(*tensors).read().node
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
    """The operand as the call saw it; its gradient goes to the alias."""
    value, _, views, _, _ = saved
    tracked = 0
    if recipe.through_views:
        (kind,) = recipe.kinds
        assert not isinstance(kind, type)
        tracked = len(kind.views)
    cell = Cell(value, value.type, DEVICE)
    return TensorCore.result_class(cell, views, History(alias), len(views) - tracked)
