"""The control operations of the loop dialect: parallel, reduce, for and if."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import AffineMapAttr, StringAttr
from xdsl.ir import Attribute, Block, BlockArgument, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    opt_prop_def,
    opt_region_def,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import RecursiveMemoryEffect
from xdsl.utils.exceptions import VerifyException

from picograd.dialects.affine import INDEX, Linear, LinearLike, decode, encode
from picograd.dialects.affine_text import parse_linear, print_linear
from picograd.dialects.loop_base import LoopOp, YieldOp, encode_dims, verify_yield
from picograd.dialects.loop_combiners import ReduceKind, verify_kind
from picograd.dialects.loop_syntax import (
    Dim,
    loop_block,
    parse_body,
    parse_dims,
    parse_group,
    parse_notes,
    print_body,
    print_dims,
    print_notes,
    print_typed,
    print_value_group,
    verify_index_values,
    verify_map,
)

REPEAT = "repeat"
"""A note on a `loop.for`: how often to write its body out, one iteration behind another."""

MAPPINGS = ("threads", "lanes", "grid", "workgroup", "subgroup")


@irdl_op_definition
class ParallelOp(LoopOp):
    """A loop whose iterations are independent; `mapping` says what will run them."""

    name = "loop.parallel"
    mapping = opt_prop_def(StringAttr)
    traits = traits_def(RecursiveMemoryEffect())

    def __init__(self, dims: Sequence[Dim], mapping: str | None = None, body: Block | None = None):
        values, properties = encode_dims(dims)
        if mapping:
            properties["mapping"] = StringAttr(mapping)
        super().__init__(
            operands=[values],
            properties=properties,
            regions=[Region(body or loop_block([dim.name for dim in dims]))],
        )

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_dims(printer, self.dims)
        if self.mapping:
            printer.print_string(f" mapping {self.mapping.data}")
        print_notes(printer, self)
        print_body(printer, self.body)

    @classmethod
    def parse(cls, parser: Parser) -> ParallelOp:
        variables, dims = parse_dims(parser)
        mapping = None
        if parser.parse_optional_keyword("mapping"):
            mapping = parser.parse_keyword_in(MAPPINGS)
        notes = parse_notes(parser)
        op = cls(dims, mapping, parse_body(parser, variables, YieldOp))
        op.attributes |= notes
        return op

    def verify_(self) -> None:
        self.verify_loop([])
        self.verify_yield(self.body.block, [])
        if self.mapping and self.mapping.data not in MAPPINGS:
            raise VerifyException(
                f"loop.parallel: expected one of {', '.join(MAPPINGS)} as mapping, found "
                f"{self.mapping.data!r}"
            )


@irdl_op_definition
class ForOp(LoopOp):
    """A sequential loop over one dimension that hands carried values from step to step."""

    name = "loop.for"
    inits = var_operand_def()
    outputs = var_result_def()
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(RecursiveMemoryEffect())

    def __init__(self, dim: Dim, inits: Sequence[SSAValue] = (), body: Block | None = None):
        values, properties = encode_dims([dim])
        types = [value.type for value in inits]
        super().__init__(
            operands=[inits, values],
            properties=properties,
            result_types=[types],
            regions=[Region(body or loop_block([dim.name], types))],
        )

    @property
    def carried(self) -> tuple[BlockArgument, ...]:
        """The body's arguments for the carried values."""
        return tuple(self.body.block.args[1:])

    def print(self, printer: Printer) -> None:
        def carry(pair: tuple[SSAValue, SSAValue]) -> None:
            printer.print_ssa_value(pair[0])
            printer.print_string(" = ")
            printer.print_ssa_value(pair[1])
            printer.print_string(" : ")
            printer.print_attribute(pair[1].type)

        printer.print_string(" ")
        print_dims(printer, self.dims)
        if self.inits:
            printer.print_string(" carry (")
            printer.print_list(zip(self.carried, self.inits, strict=True), carry)
            printer.print_string(")")
        print_notes(printer, self)
        print_body(printer, self.body)

    @classmethod
    def parse(cls, parser: Parser) -> ForOp:
        def carry() -> tuple[Parser.Argument, SSAValue]:
            argument = parser.parse_argument(expect_type=False)
            parser.parse_punctuation("=")
            init = parser.parse_unresolved_operand()
            parser.parse_punctuation(":")
            type = parser.parse_type()
            return argument.resolve(type), parser.resolve_operand(init, type)

        position = parser.pos
        variables, dims = parse_dims(parser)
        if len(dims) != 1:
            parser.raise_error("loop.for has one dimension", position)
        carried: list[tuple[Parser.Argument, SSAValue]] = []
        if parser.parse_optional_keyword("carry"):
            carried = parser.parse_comma_separated_list(parser.Delimiter.PAREN, carry)
        notes = parse_notes(parser)
        arguments = [*variables, *(argument for argument, _ in carried)]
        body = parse_body(parser, arguments, YieldOp)
        op = cls(dims[0], [init for _, init in carried], body)
        op.attributes |= notes
        return op

    def verify_(self) -> None:
        types = [value.type for value in self.inits]
        if len(self.steps) != 1:
            raise VerifyException("loop.for: there must be one dimension")
        self.verify_loop(types)
        self.verify_yield(self.body.block, types)
        if [result.type for result in self.outputs] != types:
            raise VerifyException("loop.for: results must have the types of the initial values")


@irdl_op_definition
class ReduceOp(LoopOp):
    """Combines what the iterations yield, in any order and grouping, starting from `init`.

    With a named `kind` one value is reduced, and without `init` the result starts from the kind's
    identity. Otherwise n values are reduced together by the `combiner`: a body that takes n values
    and n more and yields n, associative and commutative, with `identities` that change nothing.
    """

    name = "loop.reduce"
    identities = var_operand_def()
    inits = var_operand_def()
    kind = opt_prop_def(StringAttr)
    outputs = var_result_def()
    body = region_def("single_block")
    combiner = opt_region_def("single_block")
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(RecursiveMemoryEffect())

    def __init__(
        self,
        kind: str | None,
        dims: Sequence[Dim],
        types: Sequence[Attribute],
        inits: Sequence[SSAValue] = (),
        body: Block | None = None,
        *,
        identities: Sequence[SSAValue] = (),
        combiner: Block | None = None,
    ):
        values, properties = encode_dims(dims)
        if kind is not None:
            properties["kind"] = StringAttr(kind)
        super().__init__(
            operands=[identities, inits, values],
            properties=properties,
            result_types=[types],
            regions=[
                Region(body or loop_block([dim.name for dim in dims])),
                [Region(combiner)] if combiner is not None else [],
            ],
        )

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.kind.data if self.kind else 'combine'} ")
        print_dims(printer, self.dims)
        print_value_group(printer, "identity", self.identities)
        print_value_group(printer, "init", self.inits)
        print_typed(printer, self.outputs)
        print_notes(printer, self)
        print_body(printer, self.body)
        if self.combiner is not None:
            printer.print_string(" combiner (")
            printer.print_list(self.combiner.block.args, printer.print_ssa_value)
            printer.print_string(")")
            print_body(printer, self.combiner)

    @classmethod
    def parse(cls, parser: Parser) -> ReduceOp:
        word = parser.parse_keyword_in([*ReduceKind, "combine"])
        kind = None if word == "combine" else word
        variables, dims = parse_dims(parser)
        position = parser.pos
        groups = {
            keyword: parse_group(parser, parser.parse_unresolved_operand)
            for keyword in ("identity", "init")
            if parser.parse_optional_keyword(keyword)
        }
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_type)
        identities = parser.resolve_operands(
            groups.get("identity", []), types if "identity" in groups else [], position
        )
        inits = parser.resolve_operands(
            groups.get("init", []), types if "init" in groups else [], position
        )
        notes = parse_notes(parser)
        body = parse_body(parser, variables, YieldOp)
        combiner = None
        if kind is None:
            parser.parse_keyword("combiner")
            arguments = parser.parse_comma_separated_list(
                parser.Delimiter.PAREN, lambda: parser.parse_argument(expect_type=False)
            )
            if len(arguments) != 2 * len(types):
                parser.raise_error(f"expected {2 * len(types)} arguments of the combiner")
            typed = [a.resolve(t) for a, t in zip(arguments, [*types, *types], strict=True)]
            combiner = parse_body(parser, typed, YieldOp)
        op = cls(kind, dims, types, inits, body, identities=identities, combiner=combiner)
        op.attributes |= notes
        return op

    def verify_(self) -> None:
        types = [result.type for result in self.outputs]
        self.verify_loop([])
        self.verify_yield(self.body.block, types)
        for values in (self.identities, self.inits):
            if values and [value.type for value in values] != types:
                raise VerifyException(
                    "loop.reduce: initial values and identities must have the types of the results"
                )
        if self.kind is not None:
            if len(types) != 1 or self.combiner is not None or self.identities:
                raise VerifyException(
                    "loop.reduce: a named combiner reduces one value, without combiner or identity"
                )
            verify_kind(self.name, self.kind.data, types[0])
            return
        if self.combiner is None or not types or len(self.identities) != len(types):
            raise VerifyException(
                "loop.reduce: without a named combiner there must be a combiner and an identity "
                "for each result"
            )
        if [argument.type for argument in self.combiner.block.args] != [*types, *types]:
            raise VerifyException("loop.reduce: the combiner must take each type twice over")
        self.verify_yield(self.combiner.block, types)


@irdl_op_definition
class IfOp(IRDLOperation):
    """Takes the first branch when an affine expression is not negative, else the second.

    The expression holds no lanes: all elements of a tile go the same way.
    """

    name = "loop.if"
    index_values = var_operand_def(INDEX)
    map = prop_def(AffineMapAttr)
    outputs = var_result_def()
    then = region_def("single_block")
    otherwise = region_def("single_block")
    traits = traits_def(RecursiveMemoryEffect())

    def __init__(
        self,
        condition: LinearLike,
        types: Sequence[Attribute] = (),
        then: Block | None = None,
        otherwise: Block | None = None,
    ):
        values, affine_map = encode([Linear.of(condition)])
        super().__init__(
            operands=[values],
            properties={"map": affine_map},
            result_types=[types],
            regions=[Region(then or Block()), Region(otherwise or Block([YieldOp()]))],
        )

    @property
    def condition(self) -> Linear:
        """The expression that is compared with zero."""
        return decode(self.index_values, self.map)[0]

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_linear(printer, self.condition)
        printer.print_string(" >= 0")
        if self.outputs:
            print_typed(printer, self.outputs)
        print_notes(printer, self)
        print_body(printer, self.then)
        if self.outputs or len(self.otherwise.block.ops) > 1:
            printer.print_string(" else")
            print_body(printer, self.otherwise)

    @classmethod
    def parse(cls, parser: Parser) -> IfOp:
        condition = parse_linear(parser)
        parser.parse_punctuation(">")
        parser.parse_punctuation("=")
        if parser.parse_integer(allow_boolean=False) != 0:
            parser.raise_error("expected 0: loop.if compares with zero")
        types: list[Attribute] = []
        if parser.parse_optional_punctuation(":"):
            parsed = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_type)
            types = list(parsed)
        notes = parse_notes(parser)
        then = parse_body(parser, [], YieldOp)
        otherwise = None
        if parser.parse_optional_keyword("else"):
            otherwise = parse_body(parser, [], YieldOp)
        op = cls(condition, types, then, otherwise)
        op.attributes |= notes
        return op

    def verify_(self) -> None:
        verify_map(self, self.map, len(self.index_values), 1, 0)
        verify_index_values(self, self.index_values)
        types = [result.type for result in self.outputs]
        for region in (self.then, self.otherwise):
            verify_yield(self, region.block, types)
