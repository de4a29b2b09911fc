"""What a caller of a function relies on, in a form that all levels share."""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp

from picograd.compiler.validation.inputs import input_types
from picograd.dialects.buffer import DONATED, outputs_of, stored_in
from picograd.dialects.dtypes import AnyMemRef, AnyTensor, tensor_type
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class Signature:
    """The inputs and the results of a function, as tensor types, whatever its level."""

    name: str
    inputs: tuple[AnyTensor, ...]
    results: tuple[AnyTensor, ...]

    def __str__(self) -> str:
        return f"@{self.name}: {_listed(self.inputs)} -> {_listed(self.results)}"

    @property
    def shapes(self) -> tuple[object, ...]:
        """The signature but for its element types, which legalization changes."""
        return (
            self.name,
            tuple(type.get_shape() for type in self.inputs),
            tuple(type.get_shape() for type in self.results),
        )

    def extends(self, other: Signature) -> bool:
        """Whether it is the other one, with more inputs or results after those."""
        return (
            self.name == other.name
            and self.inputs[: len(other.inputs)] == other.inputs
            and self.results[: len(other.results)] == other.results
        )


def _listed(types: tuple[AnyTensor, ...]) -> str:
    return f"({', '.join(map(str, types))})"


def signature_of(function: FuncOp) -> Signature:
    """The signature of a function of any level."""
    returned = [cast(AnyTensor, type) for type in function.function_type.outputs]
    marked = [cast(AnyMemRef, argument.type) for argument in outputs_of(function)]
    return Signature(
        function.sym_name.data,
        tuple(map(_tensor, input_types(function))),
        tuple(map(_tensor, [*returned, *marked])),
    )


def result_names(function: FuncOp) -> list[str]:
    """The names of a function's results, in order; no text where one has none."""
    end = function.body.block.last_op
    returned = end.operands if isinstance(end, ReturnOp) else ()
    return [value.name_hint or "" for value in (*returned, *outputs_of(function))]


def _tensor(type: AnyTensor | AnyMemRef) -> AnyTensor:
    return tensor_type(type.get_shape(), type.element_type)


def functions_of(module: ModuleOp) -> dict[str, FuncOp]:
    """The functions with a body, by name."""
    return {
        op.sym_name.data: op
        for op in module.ops
        if isinstance(op, FuncOp) and not op.is_declaration
    }


def undeclared_donation(function: FuncOp) -> str:
    """A result that is stored in an input which nobody donated, in words; "" when there is none."""
    attributes = tuple(function.arg_attrs or ())
    for result, place in stored_in(function).items():
        if DONATED not in attributes[place].data:
            return f"argument {result}, a result, is stored in argument {place}"
    return ""
