"""Add the gradients of a function's arguments to its results.

Before:

```mlir
func.func @main(%x: tensor<4xf32>, %w: tensor<4xf32>) -> tensor<f32> {
  %y = pico.binary mul %x, %w : tensor<4xf32>
  %h = pico.unary tanh %y : tensor<4xf32>
  %loss = pico.reduce add %h axes [0] : tensor<4xf32> -> tensor<f32>
  func.return %loss : tensor<f32>
}
```

After:

```mlir
func.func @main(%x: tensor<4xf32>, %w: tensor<4xf32>) -> (tensor<f32>, tensor<4xf32>) {
  %y = pico.binary mul %x, %w : tensor<4xf32>
  %h = pico.unary tanh %y : tensor<4xf32>
  %loss = pico.reduce add %h axes [0] : tensor<4xf32> -> tensor<f32>
  %0 = pico.constant dense<1.0> : tensor<f32>
  %1 = pico.reshape %0 to [1] : tensor<f32> -> tensor<1xf32>
  %2 = pico.broadcast %1 to [4] : tensor<1xf32> -> tensor<4xf32>
  %3 = pico.constant dense<1.0> : tensor<4xf32>
  %4 = pico.binary mul %h, %h : tensor<4xf32>
  %5 = pico.binary sub %3, %4 : tensor<4xf32>
  %6 = pico.binary mul %2, %5 : tensor<4xf32>
  %w_grad = pico.binary mul %6, %x : tensor<4xf32>
  func.return %loss, %w_grad : tensor<f32>, tensor<4xf32>
}
```

Options: differentiate{wrt="w"}

Requires: nothing.

Does not: keep the signature, so no pipeline runs it and no random order holds it: it is run by
name, once for each derivative. It does not remove what the rules computed in vain (`dce` does), nor
simplify (`canonicalize` does).

Source: reverse accumulation (Linnainmaa, 1970; JAX's `grad`, Enzyme), with the rules of the tape.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeVar, cast

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, SSAValue

from picograd.dialects.dtypes import AnyTensor, dtype_of, type_of
from picograd.dialects.literals import literal
from picograd.dialects.tensor import ConstantOp, TensorOp
from picograd.errors import PassError
from picograd.passes.base import Level, Pass
from picograd.quick_dataclasses import dataclass
from picograd.semantics.builder import Array, Ops
from picograd.semantics.entry import entry_of
from picograd.semantics.gradients import GRADIENTS, NotDifferentiable

T = TypeVar("T", bound=SSAValue)


@dataclass(frozen=True)
class Differentiate(Pass):
    """Add the gradients of a function's arguments to its results."""

    name: ClassVar[str] = "differentiate"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR
    adds_results: ClassVar[bool] = True

    wrt: str = ""
    """The arguments that gradients are for, by names or positions; all of floats."""
    of: str = ""
    """The results that are differentiated, likewise."""
    cotangents: bool = False
    """Whether new arguments bring the gradients of the results, instead of ones."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        function = entry_of(op)
        block = function.body.block
        end = block.last_op
        assert isinstance(end, ReturnOp)
        arguments = chosen(self.wrt, function.args, "wrt", "argument")
        results = chosen(self.of, end.operands, "of", "result")
        builder = _Builder(block)
        # Of a value that is returned twice both gradients count.
        seeds = [(result, self._seed(function, builder, result)) for result in results]
        gradients = pull_back(builder, seeds, arguments)
        for argument, gradient in zip(arguments, gradients, strict=True):
            if gradient.name_hint is None:
                gradient.name_hint = f"{argument.name_hint or f'x{argument.index}'}_grad"
        block.insert_op_before(ReturnOp(*end.operands, *gradients), end)
        end.detach()
        end.erase()
        function.update_function_type()

    def _seed(self, function: FuncOp, builder: "_Builder", result: SSAValue) -> SSAValue:
        """The gradient that a result starts with."""
        type = type_of(result)
        if not self.cotangents:
            return builder.full(type.get_shape(), 1, dtype_of(type))
        block = function.body.block
        seed = block.insert_arg(type, len(block.args))
        seed.name_hint = f"{result.name_hint or 'result'}_grad"
        if function.arg_attrs is not None:
            note = DictionaryAttr({"pico.name": StringAttr(seed.name_hint)})
            function.arg_attrs = ArrayAttr([*function.arg_attrs, note])
        return seed


def chosen(text: str, values: Sequence[T], option: str, role: str) -> list[T]:
    """The arguments or results that an option lists; without a list all of floats.

    Raises PassError for one that does not exist or holds no floats.
    """
    floats = [value for value in values if dtype_of(type_of(value)).is_float]
    if not text.split():
        return floats
    known = {value.name_hint: value for value in values if value.name_hint is not None}
    known |= {str(position): value for position, value in enumerate(values)}
    picked: list[T] = []
    for word in text.split():
        value = known.get(word)
        if value is None or value not in floats:
            raise PassError(
                f"differentiate: {option} lists {word!r}, which is no {role} of floats",
                code="PG708",
                expected=", ".join(value.name_hint or str(values.index(value)) for value in floats)
                or f"a function with {role}s of floats",
                found="nothing of that name" if value is None else type_of(value),
                hint=f"list names or positions of {role}s, with blanks between",
            )
        picked.append(value)
    return picked


class _Builder(Ops[SSAValue]):
    """Appends ops to a block, before its end."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.at: Attribute | None = None

    def emit(
        self,
        op: type[TensorOp],
        operands: Sequence[SSAValue],
        properties: Mapping[str, Attribute] = {},
        name_hint: str | None = None,
    ) -> SSAValue:
        made = op.make(operands, properties, name_hint)
        if self.at is not None:
            made.attributes["at"] = self.at
        end = self.block.last_op
        assert end is not None
        self.block.insert_op_before(made, end)
        return made.result

    def constant(self, array: Array) -> SSAValue:
        return self.emit(ConstantOp, (), {"value": literal(array)})

    def type_of(self, value: SSAValue) -> AnyTensor:
        return type_of(value)


class _Call:
    """An op as its gradient rule sees it."""

    def __init__(self, op: TensorOp, wanted: set[SSAValue]) -> None:
        self.properties = op.properties
        self.operand_types = [type_of(operand) for operand in op.operands]
        self.result_type = type_of(op.result)
        self._op = op
        self._wanted = wanted

    def operand(self, index: int) -> SSAValue:
        return self._op.operands[index]

    def result(self) -> SSAValue:
        return self._op.result

    def needs(self, index: int) -> bool:
        return self._op.operands[index] in self._wanted


def pull_back(
    builder: "_Builder",
    seeds: Sequence[tuple[SSAValue, SSAValue]],
    arguments: Sequence[BlockArgument],
) -> list[SSAValue]:
    """The gradients of the arguments, given gradients of values of the block: one sweep backwards.

    The sweep visits ops as the tape's backward pass visits nodes, and so adds in the same order.
    """
    block = builder.block
    ops = [op for op in block.ops if isinstance(op, TensorOp)]
    wanted = _depending_on(arguments, ops)
    gradients: dict[SSAValue, SSAValue] = {}

    def arrive(value: SSAValue, gradient: SSAValue) -> None:
        present = gradients.get(value)
        gradients[value] = gradient if present is None else builder.add(present, gradient)

    for value, seed in seeds:
        arrive(value, seed)
    for op in reversed(ops):
        gradient = gradients.pop(op.result, None) if op.result in wanted else None
        if gradient is None:
            continue
        rule = GRADIENTS[type(op)]
        assert not isinstance(rule, NotDifferentiable)
        builder.at = op.attributes.get("at")
        parts = cast(Sequence[SSAValue | None], rule(builder, _Call(op, wanted), gradient))
        for operand, part in zip(op.operands, parts, strict=True):
            if part is not None and operand in wanted:
                arrive(operand, part)
    builder.at = None
    return [
        gradients[argument] if argument in gradients else _zeros(builder, argument)
        for argument in arguments
    ]


def _depending_on(arguments: Sequence[BlockArgument], ops: Sequence[TensorOp]) -> set[SSAValue]:
    """The float values that a gradient may flow through on its way to the arguments."""
    wanted: set[SSAValue] = set(arguments)
    for op in ops:
        passes_on = not isinstance(GRADIENTS[type(op)], NotDifferentiable)
        if (
            passes_on
            and dtype_of(type_of(op.result)).is_float
            and not wanted.isdisjoint(op.operands)
        ):
            wanted.add(op.result)
    return wanted


def _zeros(builder: "_Builder", value: SSAValue) -> SSAValue:
    return builder.full(type_of(value).get_shape(), 0, dtype_of(type_of(value)))
