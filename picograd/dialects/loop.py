"""The loop dialect: loops over affine bounds, affine loads and stores, and local buffers.

Element and tile arithmetic is upstream `arith` and `math`; `loop_tiles` holds what they lack.

Grammar (linear expressions and lanes: see `affine_text`; T is an element type or a register tile):

    kernel   ::= "loop.kernel" @name "(" (%arg ":" memref),* ")" "guarded"? attrs? "{" op* "}"
    launch   ::= "loop.launch" @name "(" %buffer,* ")" ":" memref,*
    parallel ::= "loop.parallel" dims ("mapping" mapping)? attrs? body
    reduce   ::= %r "=" "loop.reduce" kind dims ("init" %v)? ":" T attrs? body
               | %r,+ "=" "loop.reduce" "combine" dims "identity" values ("init" values)? ":" T,+
                 attrs? body "combiner" "(" (%left,)+ (%right),+ ")" body
    for      ::= (%r,+ "=")? "loop.for" dims ("carry" "(" (%c "=" %init ":" T),+ ")")? attrs? body
    if       ::= (%r,+ "=")? "loop.if" linear ">=" "0" (":" T,+)? attrs? body ("else" body)?
    dims     ::= ivs "=" lowers "to" uppers ("step" steps)?      one each, or several in parentheses
    iv       ::= %name ("as" name)?                     the handle, where it is not the printed name
    upper    ::= linear | "min" "(" linear,+ ")"
    mapping  ::= "threads" | "lanes" | "grid" | "workgroup" | "subgroup"
    kind     ::= "add" | "mul" | "max" | "min" | "and" | "or"
    yield    ::= "loop.yield" %v,+ ":" T,+               left out when there is nothing to yield
    load     ::= %v "=" "loop.load" %m "[" linear,* "]" "pad"? ":" memref ("to" T)?
    store    ::= "loop.store" %v "," %m "[" linear,* "]" "clip"? ":" T "," memref
    alloc    ::= %m "=" "loop.alloc" ":" memref      space "stack", "packed", "workgroup", "private"
    checked  ::= %i "=" "loop.checked_index" %v ":" T "below" N
    index    ::= %v "=" "loop.index" linear ":" T
    compare  ::= %c "=" "loop.compare" predicate %a "," %b ":" T
    select   ::= %v "=" "loop.select" %c "," %a "," %b ":" T
    convert  ::= %v "=" "loop.convert" conversion %a ":" tile "to" tile
    scale    ::= %v "=" "loop.scale" %a "," %n ":" T "," T
    spread   ::= %v "=" "loop.broadcast" %a "along" "[" axis,+ "]" ":" T "to" tile
    fold     ::= %v "=" "loop.fold" kind %a ":" tile "to" T
    shuffle  ::= %v "=" "loop.shuffle" %a "," %b "[" lane,+ "]" ":" tile "," tile "to" tile
    barrier  ::= "loop.barrier"
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    MemRefType,
    StringAttr,
    SymbolNameConstraint,
    SymbolRefAttr,
    UnitAttr,
)
from xdsl.ir import Block, Dialect, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import (
    IsolatedFromAbove,
    MemoryReadEffect,
    MemoryWriteEffect,
    NoTerminator,
    SymbolOpInterface,
)
from xdsl.utils.exceptions import VerifyException

from picograd.dialects.loop_base import LoopOp, YieldOp, encode_dims, yielded
from picograd.dialects.loop_combiners import ReduceKind, combine, combines, identity
from picograd.dialects.loop_memory import (
    FETCH_L1,
    FETCH_L2,
    SPACES,
    STREAM,
    AllocOp,
    BarrierOp,
    CheckedIndexOp,
    LoadOp,
    StoreOp,
)
from picograd.dialects.loop_nests import (
    MAPPINGS,
    ForOp,
    IfOp,
    ParallelOp,
    ReduceOp,
)
from picograd.dialects.loop_syntax import (
    Dim,
    constant_dim,
    element_type,
    loop_block,
    memref_type,
    parse_notes,
    print_notes,
    tile_rank,
    tile_shape,
    tile_type,
)
from picograd.dialects.loop_tiles import (
    CONVERSIONS,
    TILE_OPS,
    BroadcastOp,
    CompareOp,
    ComparePredicate,
    ConvertOp,
    FoldOp,
    IndexOp,
    ScaleOp,
    SelectOp,
    ShuffleOp,
)


@irdl_op_definition
class KernelOp(IRDLOperation):
    """A function over buffers that do not overlap, made of loops; launched by name."""

    name = "loop.kernel"
    sym_name = prop_def(SymbolNameConstraint())
    guarded = opt_prop_def(UnitAttr)
    body = region_def("single_block")
    traits = traits_def(IsolatedFromAbove(), NoTerminator(), SymbolOpInterface())

    def __init__(self, name: str, body: Block, *, guarded: bool = False):
        """A `guarded` kernel does nothing once an index read from a tensor was out of range."""
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "guarded": UnitAttr() if guarded else None,
            },
            regions=[Region(body)],
        )

    @property
    def written(self) -> set[SSAValue]:
        """The arguments to which the kernel stores."""
        return {
            argument
            for argument in self.body.block.args
            if any(isinstance(use.operation, StoreOp) and use.index == 1 for use in argument.uses)
        }

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        printer.print_string("(")
        printer.print_list(self.body.block.args, printer.print_block_argument)
        printer.print_string(")" if self.guarded is None else ") guarded")
        print_notes(printer, self)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False, print_empty_block=False)

    @classmethod
    def parse(cls, parser: Parser) -> KernelOp:
        name = parser.parse_symbol_name()
        arguments = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_argument)
        guarded = parser.parse_optional_keyword("guarded") is not None
        notes = parse_notes(parser)
        op = cls(name.data, parser.parse_region(arguments).detach_block(0), guarded=guarded)
        op.attributes |= notes
        return op

    def verify_(self) -> None:
        for argument in self.body.block.args:
            if not isinstance(argument.type, MemRefType):
                raise VerifyException(
                    f"loop.kernel: arguments must be memrefs, found {argument.type}"
                )


@irdl_op_definition
class LaunchOp(IRDLOperation):
    """Runs a kernel of the same module on the given buffers.

    A kernel may look at a buffer with other axes than it has here: the elements are the same ones,
    in the same order.
    """

    name = "loop.launch"
    kernel = prop_def(SymbolRefAttr)
    buffers = var_operand_def(MemRefType)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())
    assembly_format = "$kernel `(` $buffers `)` attr-dict (`:` type($buffers)^)?"

    def __init__(self, kernel: str, buffers: Sequence[SSAValue]):
        super().__init__(operands=[buffers], properties={"kernel": SymbolRefAttr(kernel)})


Loop: Dialect = Dialect(
    "loop",
    [
        KernelOp,
        LaunchOp,
        ParallelOp,
        ReduceOp,
        ForOp,
        IfOp,
        YieldOp,
        LoadOp,
        StoreOp,
        AllocOp,
        CheckedIndexOp,
        BarrierOp,
        *TILE_OPS,
    ],
    [],
)

__all__ = [
    "CONVERSIONS",
    "FETCH_L1",
    "FETCH_L2",
    "MAPPINGS",
    "SPACES",
    "STREAM",
    "AllocOp",
    "BarrierOp",
    "BroadcastOp",
    "CheckedIndexOp",
    "CompareOp",
    "ComparePredicate",
    "ConvertOp",
    "Dim",
    "FoldOp",
    "ForOp",
    "IfOp",
    "IndexOp",
    "KernelOp",
    "LaunchOp",
    "LoadOp",
    "Loop",
    "LoopOp",
    "ParallelOp",
    "ReduceKind",
    "ReduceOp",
    "ScaleOp",
    "SelectOp",
    "ShuffleOp",
    "StoreOp",
    "YieldOp",
    "combine",
    "combines",
    "constant_dim",
    "element_type",
    "encode_dims",
    "identity",
    "loop_block",
    "memref_type",
    "tile_rank",
    "tile_shape",
    "tile_type",
    "yielded",
]
