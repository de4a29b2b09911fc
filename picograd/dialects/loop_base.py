"""What loops share: bounds and steps, a body, and the yield that ends it."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, DenseArrayBase, StringAttr, i64
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from picograd.dialects.affine import (
    INDEX,
    decode,
    encode,
)
from picograd.dialects.loop_syntax import (
    Dim,
    verify_index_values,
    verify_map,
)
from picograd.dialects.quick import remembered


@irdl_op_definition
class YieldOp(IRDLOperation):
    """Ends a body: the values of one iteration of a reduction, or the next carried values."""

    name = "loop.yield"
    values = var_operand_def()
    traits = traits_def(IsTerminator(), Pure())
    assembly_format = "attr-dict ($values^ `:` type($values))?"

    def __init__(self, *values: SSAValue):
        Operation.__init__(self, operands=values)


def yielded(block: Block) -> tuple[SSAValue, ...]:
    """The values that a body yields."""
    terminator = block.last_op
    assert isinstance(terminator, YieldOp)
    return tuple(terminator.values)


def encode_dims(dims: Sequence[Dim]) -> tuple[list[SSAValue], dict[str, Attribute]]:
    """The operands and properties that describe the dimensions of a loop."""
    values, bounds = encode(bound for dim in dims for bound in (dim.lower, *dim.uppers))
    return values, {
        "bounds": bounds,
        "upper_counts": DenseArrayBase.from_list(i64, [len(dim.uppers) for dim in dims]),
        "steps": DenseArrayBase.from_list(i64, [dim.step for dim in dims]),
        "names": ArrayAttr([StringAttr(dim.name) for dim in dims]),
    }


class LoopOp(IRDLOperation):
    """What parallel, reduce and for share: dimensions with affine bounds, and a body.

    The body's first arguments are the induction variables.
    """

    index_values = var_operand_def(INDEX)
    bounds = prop_def(AffineMapAttr)
    upper_counts = prop_def(DenseArrayBase.constr(i64))
    steps = prop_def(DenseArrayBase.constr(i64))
    names = prop_def(ArrayAttr[StringAttr])
    body = region_def("single_block")

    @property
    def dims(self) -> list[Dim]:
        variables = self.body.block.args
        given = (self.bounds, self.upper_counts, self.steps, self.names, variables)
        return list(remembered(self, given, self._dims))

    def _dims(self) -> list[Dim]:
        expressions = iter(decode(self.index_values, self.bounds))
        return [
            Dim(
                next(expressions),
                tuple(next(expressions) for _ in range(count)),
                step,
                name.data,
                iv,
            )
            for count, step, name, iv in zip(
                self.upper_counts.get_values(),
                self.steps.get_values(),
                self.names.data,
                self.body.block.args,
                strict=False,
            )
        ]

    @property
    def induction_variables(self) -> tuple[BlockArgument, ...]:
        return tuple(self.body.block.args[: len(self.steps)])

    def verify_loop(self, carried: Sequence[Attribute]) -> None:
        """Check dimensions and body; `carried` are the body's arguments after the variables."""
        count = len(self.steps)
        counts = self.upper_counts.get_values()
        if count == 0 or len(counts) != count or len(self.names) != count:
            raise VerifyException(
                f"{self.name}: each dimension needs a step, a name and a number of upper bounds; "
                f"found {count}, {len(self.names)} and {len(counts)}"
            )
        names = [name.data for name in self.names]
        if len(set(names)) != count:
            raise VerifyException(
                f"{self.name}: dimensions are told apart by their names; found {', '.join(names)}"
            )
        if any(step < 1 for step in self.steps.get_values()):
            raise VerifyException(f"{self.name}: steps must be positive")
        if any(uppers < 1 for uppers in counts):
            raise VerifyException(f"{self.name}: each dimension needs an upper bound")
        verify_map(self, self.bounds, len(self.index_values), count + sum(counts), 0)
        verify_index_values(self, self.index_values)
        arguments = [argument.type for argument in self.body.block.args]
        if arguments != [*([INDEX] * count), *carried]:
            raise VerifyException(
                f"{self.name}: the body must take {count} indices and "
                f"{[str(type) for type in carried]}, found {[str(type) for type in arguments]}"
            )

    def verify_yield(self, block: Block, types: Sequence[Attribute]) -> None:
        verify_yield(self, block, types)


def verify_yield(op: Operation, block: Block, types: Sequence[Attribute]) -> None:
    """Check that a body ends by yielding values of the given types."""
    if not isinstance(block.last_op, YieldOp):
        raise VerifyException(f"{op.name}: each body must end in loop.yield")
    found = [value.type for value in block.last_op.values]
    if found != list(types):
        raise VerifyException(
            f"{op.name}: the body must yield {[str(type) for type in types]}, found "
            f"{[str(type) for type in found]}"
        )
