"""The kernel level: which tensor ops run together. Values between kernels are still tensors.

Grammar:

    %r, … = kernel.fused "label" (%a = %x : T, …) -> (T, …) absorbs ["name", …] {
      pico ops on %a, …
      kernel.yield %v, … : T, …
    }

A `kernel.fused` is one kernel: a pure region, isolated from above, that sees its operands under the
names on the left of `=`. `absorbs` (optional) lists names of values that are computed inside and
had a name of their own before fusion. At this level `@main` holds kernels and `func.return` only,
and every returned value is a kernel's result of its own:

    func.func @main(%x: tensor<4x3xf32> {pico.name = "x"}, %w: tensor<3x2xf32> {pico.name = "w"})
        -> tensor<4x2xf32> {
      %y = kernel.fused "matmul_tanh" (%a = %x : tensor<4x3xf32>, %b = %w : tensor<3x2xf32>)
          -> (tensor<4x2xf32>) absorbs ["h"] {
        %h = pico.matmul %a, %b : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
        %t = pico.unary tanh %h : tensor<4x2xf32>
        kernel.yield %t : tensor<4x2xf32>
      }
      func.return %y : tensor<4x2xf32>
    }
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.ir import Attribute, Block, Dialect, Operation, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    lazy_traits_def,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import HasParent, IsolatedFromAbove, IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from picograd.dialects.bindings import (
    absorbed_attr,
    absorbed_names,
    check_types,
    parse_absorbed,
    parse_bindings,
    print_absorbed,
    print_bindings,
)
from picograd.dialects.tensor_base import ANY_TENSOR, TensorOp, tensor_operands


@irdl_op_definition
class YieldOp(IRDLOperation):
    """The results of the enclosing `kernel.fused`."""

    name = "kernel.yield"
    values = tensor_operands()
    traits = lazy_traits_def(lambda: (IsTerminator(), Pure(), HasParent(FusedOp)))
    assembly_format = "$values attr-dict `:` type($values)"

    def __init__(self, values: Sequence[SSAValue]):
        Operation.__init__(self, operands=values)


@irdl_op_definition
class FusedOp(IRDLOperation):
    """One kernel: tensor ops that run together and leave no value between them in memory.

    `inputs` correspond to the arguments of `block`, `outputs` to the operands of its
    `kernel.yield`.
    """

    name = "kernel.fused"
    inputs = tensor_operands()
    outputs = var_result_def(ANY_TENSOR)
    label = prop_def(StringAttr)
    absorbed = opt_prop_def(ArrayAttr[StringAttr])
    body = region_def("single_block")
    traits = traits_def(Pure(), IsolatedFromAbove())

    def __init__(
        self,
        label: str | StringAttr,
        inputs: Sequence[SSAValue],
        body: Region,
        absorbed: Sequence[str] = (),
    ):
        """Result types are those of the body's `kernel.yield`, which must be there already."""
        terminator = body.block.last_op
        assert isinstance(terminator, YieldOp), "the body of kernel.fused ends in kernel.yield"
        properties: dict[str, Attribute] = {
            "label": StringAttr(label) if isinstance(label, str) else label
        }
        names = absorbed_attr(absorbed)
        if names is not None:
            properties["absorbed"] = names
        # There is one kernel for each op at first: what IRDL's constructor asks takes long.
        Operation.__init__(
            self,
            operands=inputs,
            result_types=terminator.operand_types,
            properties=properties,
            regions=[body],
        )

    @property
    def block(self) -> Block:
        """The one block of the body."""
        return self.body.block

    @property
    def yield_op(self) -> YieldOp:
        """The terminator of the body."""
        terminator = self.body.block.last_op
        assert isinstance(terminator, YieldOp)
        return terminator

    @property
    def absorbed_names(self) -> tuple[str, ...]:
        """Names of values that are computed inside."""
        return absorbed_names(self.absorbed)

    def verify_(self) -> None:
        block = self.body.block
        terminator = block.last_op
        if not isinstance(terminator, YieldOp):
            raise VerifyException('kernel.fused: the body ends in "kernel.yield"')
        for op in block.ops:
            if op is not terminator and not isinstance(op, TensorOp):
                raise VerifyException(
                    f"kernel.fused: the body holds tensor ops (pico.*) only\n  found:    {op.name}"
                )
        if not self.outputs:
            raise VerifyException("kernel.fused: a kernel has at least one result")
        check_types(
            "kernel.fused: the arguments of the body have the operands' types",
            self.inputs.types,
            block.arg_types,
            "bind each operand to an argument of its own type",
        )
        check_types(
            "kernel.fused: the yielded values have the results' types",
            self.outputs.types,
            terminator.values.types,
            "yield one value for each result",
        )

    @classmethod
    def parse(cls, parser: Parser) -> FusedOp:
        label = StringAttr(parser.parse_str_literal())
        bindings = parse_bindings(parser)
        parser.parse_punctuation("->")
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        absorbed = parse_absorbed(parser)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        body = parser.parse_region(bindings.arguments)
        return cls.create(
            operands=bindings.operands,
            result_types=types,
            properties={"label": label} | ({"absorbed": absorbed} if absorbed else {}),
            attributes=attributes.data if attributes else {},
            regions=[body],
        )

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_string_literal(self.label.data)
        printer.print_string(" ")
        print_bindings(printer, self.body.block.args, self.inputs)
        printer.print_string(" -> ")
        with printer.in_parens():
            printer.print_list(self.outputs.types, printer.print_attribute)
        print_absorbed(printer, self.absorbed_names)
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False)


Kernel = Dialect("kernel", [FusedOp, YieldOp], [])
