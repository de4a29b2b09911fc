"""Copies of tensors by `copy.deepcopy` and `pickle`, and of the modules that hold them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

from numpy.typing import NDArray

from picograd.errors import GradientError
from picograd.frontend.core import TensorCore
from picograd.frontend.methods.conversions import Conversions
from picograd.frontend.modes.eager import current, eager
from picograd.frontend.problems import located
from picograd.frontend.storage.cells import Cell
from picograd.frontend.storage.views import View

T = TypeVar("T", bound=TensorCore)


class Copying(Conversions):
    """Leaves are copied with their gradient; results of recorded operations are not."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Storage of its own; tensors that share storage and are copied together share it again."""
        self._check_leaf("deepcopy()")
        cell: Cell | None = memo.get(id(self.cell))
        if cell is None:
            mode = current(self.device)
            cell = memo[id(self.cell)] = mode.new_cell(mode.read(self.cell))
        copy = _leaf(type(self), cell, self.views, self.requires_grad)
        memo[id(self)] = copy
        if self.grad is not None:
            copy.grad = self.grad.__deepcopy__(memo)
        return copy

    def __reduce_ex__(self, protocol: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """What pickle keeps: the elements, the device, and whether a gradient is required."""
        self._check_leaf("pickle")
        array = self.detach().download("pickle")
        parts = (type(self), array, str(self.device), self.requires_grad)
        return _restored, parts

    def _check_leaf(self, what: str) -> None:
        if not self.is_leaf:
            raise located(
                GradientError(
                    f"{what} of a tensor that recorded operations computed",
                    code="PG406",
                    expected="a leaf: a parameter, or a tensor that the user made",
                    found=f"the result of {self.grad_fn.name if self.grad_fn else 'a view'}",
                    hint="copy x.detach(); x.clone() keeps the gradient",
                )
            )


def _leaf(kind: type[T], cell: Cell, views: tuple[View, ...], tracked: bool) -> T:
    """A leaf of the class, which may be that of parameters."""
    leaf = kind.__new__(kind)
    TensorCore.__init__(leaf, cell, views, tracked_from=len(views))
    return leaf.requires_grad_() if tracked else leaf


def _restored(kind: type[Any], array: NDArray[Any], device: str, tracked: bool) -> Any:
    mode = eager(device)
    value = mode.constant(array)
    return _leaf(kind, Cell(value, mode.type_of(value), device), (), tracked)
