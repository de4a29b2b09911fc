"""What a gradient rule sees of the op that it differentiates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from picograd.dialects.dtypes import AnyTensor
from picograd.dialects.tensor_base import Properties
from picograd.quick_dataclasses import dataclass
from picograd.semantics.builder import Ops

V_co = TypeVar("V_co", covariant=True)


class Call(Protocol[V_co]):
    """One execution of an op, as its rule sees it.

    Values are asked for one by one: what a rule does not ask for need not be kept, and may have
    been changed in place since.
    """

    @property
    def properties(self) -> Properties: ...

    @property
    def operand_types(self) -> Sequence[AnyTensor]: ...

    @property
    def result_type(self) -> AnyTensor: ...

    def operand(self, index: int) -> V_co:
        """The operand's value when the op ran. Raises GradientError if it was overwritten since."""
        ...

    def result(self) -> V_co:
        """The op's result. Raises GradientError if it was overwritten since."""
        ...

    def needs(self, index: int) -> bool:
        """Whether anybody wants this operand's gradient."""
        ...


Rule: TypeAlias = Callable[[Ops[Any], Call[Any], Any], Sequence[Any]]


@dataclass(frozen=True)
class NotDifferentiable:
    """Why an op has no gradient rule."""

    reason: str
