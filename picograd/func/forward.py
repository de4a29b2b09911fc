"""Forward mode: `jvp`, the derivative along one direction.

Each value carries a tangent, how it changes along the direction. An op computes its result, and the
result's tangent by its row in `semantics.tangents`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from xdsl.ir import Attribute

from picograd.dialects.dtypes import AnyTensor, dtype_of
from picograd.dialects.tensor import TensorOp
from picograd.dialects.tensor_base import Properties
from picograd.errors import GradientError, OptionError
from picograd.frontend.autodiff.levels import Level
from picograd.frontend.autodiff.tape import Var
from picograd.frontend.methods.gradient_methods import check_like
from picograd.frontend.modes.eager import current
from picograd.frontend.problems import located
from picograd.frontend.storage.cells import Lifted, Value
from picograd.frontend.tensor import Tensor
from picograd.func import trees
from picograd.func.reverse import check_differentiable
from picograd.func.transformed import Function, check_tensors, device_of, left, split_aux
from picograd.semantics.gradient_call import NotDifferentiable
from picograd.semantics.tangents import TANGENTS


@dataclass(frozen=True, slots=True, eq=False)
class Dual(Lifted):
    """A value and its tangent; None for one that does not change."""

    primal: Var
    tangent: Var | None
    primal_type: AnyTensor

    @property
    def type(self) -> AnyTensor:
        return self.primal_type


class _Call:
    """An op that has run, as its tangent rule sees it."""

    def __init__(
        self, properties: Properties, operands: Sequence[Dual], result: Var, type: AnyTensor
    ) -> None:
        self.properties = properties
        self.operand_types = [operand.type for operand in operands]
        self.result_type = type
        self._operands = operands
        self._result = result

    def operand(self, index: int) -> Var:
        return self._operands[index].primal

    def result(self) -> Var:
        return self._result

    def needs(self, index: int) -> bool:
        return self._operands[index].tangent is not None


class TangentLevel(Level):
    """Values with tangents."""

    what: ClassVar[str] = "jvp"

    def lifted(self, outer: Var) -> Dual:
        return Dual(outer, None, self.parent.type_of(outer))

    def lowered(self, value: Value) -> Var:
        assert isinstance(value, Dual)
        return value.primal

    def apply(
        self,
        op: type[TensorOp],
        operands: Sequence[Value],
        properties: Mapping[str, Attribute],
        name_hint: str | None,
    ) -> Dual:
        duals = [operand for operand in operands if isinstance(operand, Dual)]
        result = self.parent.emit(op, [dual.primal for dual in duals], properties, name_hint)
        type = self.parent.type_of(result)
        tangents = [dual.tangent for dual in duals]
        rule = TANGENTS[op]
        moves = any(tangent is not None for tangent in tangents) and dtype_of(type).is_float
        if not moves or isinstance(rule, NotDifferentiable):
            return Dual(result, None, type)
        call = _Call(properties, duals, result, type)
        return Dual(result, rule(self.parent, call, tangents), type)


def jvp(
    func: Function,
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> tuple[Any, ...]:
    """The output of `func(*primals)`, and how it changes when the primals change by `tangents`.

    With `has_aux`, `func` returns a pair, whose second part is returned third. An output that
    depends on no argument has a tangent of zeros; with `strict` that is an error.
    """
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise located(
                OptionError(
                    f"jvp takes its {name} as a tuple",
                    code="PG510",
                    expected="a tuple with one entry for each argument of the function",
                    found=type(given).__name__,
                    hint="write jvp(f, (x,), (t,)) for a function of one argument",
                )
            )
    trees.check_same_structure(tangents, primals, "the tangents given to jvp")
    moved = list(zip(trees.leaves(primals), trees.leaves(tangents), strict=True))
    for primal, tangent in moved:
        check_differentiable(primal, "a primal", "jvp")
        check_like(tangent, primal, "a tangent given to jvp does not fit its primal")
    level = TangentLevel(device_of(primals))
    pairs = [(primal.read(), tangent.read()) for primal, tangent in moved]
    with level.running():
        inside = [
            Tensor(level.argument_cell(Dual(primal, tangent, level.parent.type_of(primal))))
            for primal, tangent in pairs
        ]
        result = func(*trees.rebuilt(primals, inside))
        output, aux = split_aux(result, "jvp") if has_aux else (result, None)
        ends = check_tensors(output, "jvp")
        slopes = [_tangent(end) for end in ends]
    found = [_moved_by(end, slope, strict=strict) for end, slope in zip(ends, slopes, strict=True)]
    answer = left(level, output), trees.rebuilt(output, found)
    return (*answer, left(level, aux)) if has_aux else answer


def _tangent(end: Tensor) -> Var | None:
    value = end.read().value
    assert isinstance(value, Dual)
    return value.tangent


def _moved_by(end: Tensor, tangent: Var | None, *, strict: bool) -> Tensor:
    """The tangent of an output as a tensor of the mode around."""
    if tangent is None:
        if strict:
            raise located(
                GradientError(
                    "jvp with strict=True: an output depends on no argument",
                    code="PG409",
                    expected="outputs that all depend on the primals",
                    found=f"an output of shape {list(end.shape)} that does not",
                    hint="leave strict out to get a tangent of zeros",
                )
            )
        tangent = Var(current(end.device).full(end.shape, 0, end.dtype))
    return end.wrap(tangent)
