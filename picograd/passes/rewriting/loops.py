"""What the passes over the loop level share: walking kernels, replacing loops, reading options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

from xdsl.dialects.builtin import DenseArrayBase, ModuleOp, i32
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.traits import Pure, is_side_effect_free

from picograd.dialects.affine import INDEX, Leaf, Linear, LinearLike, encode
from picograd.dialects.loop import (
    Dim,
    ForOp,
    IfOp,
    IndexOp,
    KernelOp,
    LoadOp,
    LoopOp,
    ReduceOp,
    StoreOp,
    encode_dims,
    tile_rank,
)
from picograd.dialects.quick import clone_block, named_alike, take_all
from picograd.errors import OptionError

OpT = TypeVar("OpT", bound=Operation)


_TOTAL = frozenset({"arith.extsi", "arith.divsi", "arith.divui", "arith.ceildivui", "arith.remui"})
"""Upstream says nothing of these. Here a division by zero gives 0 and does nothing else."""


def is_pure(op: Operation) -> bool:
    """Whether an operation does nothing but compute its results."""
    return _is_pure(type(op)) or is_side_effect_free(op) or op.name in _TOTAL


@lru_cache(maxsize=512)
def _is_pure(kind: type[Operation]) -> bool:
    """Whether all operations of a kind are pure, which takes longer to find out for each."""
    return kind.has_trait(Pure)


def kernels(module: ModuleOp) -> list[KernelOp]:
    """The kernels of a module."""
    return [op for op in module.body.block.ops if isinstance(op, KernelOp)]


def inner_first(root: Operation, kind: type[OpT]) -> list[OpT]:
    """The operations of a kind inside another, inner loops before those around them."""
    found: list[OpT] = []

    def visit(op: Operation) -> None:
        for region in op.regions:
            for block in region.blocks:
                for inner in block.ops:
                    visit(inner)
                    if isinstance(inner, kind):
                        found.append(inner)

    visit(root)
    return found


def clone_body(op: LoopOp) -> Block:
    """A copy of a loop's body, for another loop."""
    return clone_block(op.body.block)


def take_ops(block: Block) -> list[Operation]:
    """Remove and return all operations of a block."""
    return take_all(block)


def replace_op(op: Operation, new: Sequence[Operation], results: Sequence[SSAValue]) -> None:
    """Put new operations in the place of one, and their values in the place of its results."""
    for old, value in zip(op.results, results, strict=True):
        if value.name_hint is None:
            value.name_hint = old.name_hint
    Rewriter.replace_op(op, list(new), list(results), safe_erase=True)


def insert_before(op: Operation, new: Sequence[Operation]) -> None:
    """Put new operations in front of one."""
    if new:
        Rewriter.insert_op(list(new), InsertPoint.before(op))


def copy_hint(value: SSAValue, old: SSAValue) -> SSAValue:
    """The value, called like an older one."""
    return named_alike(value, old)


def substitute_indices(block: Block, replacements: Mapping[Leaf, LinearLike]) -> None:
    """Replace index values by expressions in every operation of a body, nested ones included."""
    for op in list(block.walk()):
        if any(operand in replacements for operand in op.operands):
            _substitute_in(op, replacements)


def _substitute_in(op: Operation, replacements: Mapping[Leaf, LinearLike]) -> None:
    if isinstance(op, LoopOp):
        set_dims(op, dims_with(op.dims, replacements))
        return
    if isinstance(op, LoadOp | StoreOp):
        expressions = op.indices
    elif isinstance(op, IfOp):
        expressions = [op.condition]
    else:
        assert isinstance(op, IndexOp), f"{op.name} has no index expressions"
        expressions = [op.expression]
    set_expressions(op, [expression.substitute(replacements) for expression in expressions])


def set_expressions(op: Operation, expressions: Sequence[Linear]) -> None:
    """Change the place of a load or store, the condition of a branch, or the value of an index."""
    assert isinstance(op, LoadOp | StoreOp | IfOp | IndexOp), f"{op.name} has no index expressions"
    lanes = tile_rank(op.value.type if isinstance(op, StoreOp) else _result_type(op))
    values, affine_map = encode(expressions, lanes)
    kept = [operand for operand in op.operands if operand not in op.index_values]
    op.operands = [*kept, *values]
    op.properties["map"] = affine_map


def _result_type(op: LoadOp | IfOp | IndexOp) -> Attribute:
    """The type whose axes the lanes of an operation's indices count; no tile for a condition."""
    return INDEX if isinstance(op, IfOp) else op.result.type


def set_dims(op: LoopOp, dims: Sequence[Dim]) -> None:
    """Change bounds, steps and names of a loop in place; its induction variables stay."""
    values, properties = encode_dims(dims)
    others = [operand for operand in op.operands if operand not in op.index_values]
    op.operands = [*others, *values]
    op.properties |= properties
    if isinstance(op, ForOp):
        sizes = [len(others), len(values)]
    elif isinstance(op, ReduceOp):
        sizes = [len(op.identities), len(op.inits), len(values)]
    else:
        return
    op.properties["operandSegmentSizes"] = DenseArrayBase.from_list(i32, sizes)


def dims_with(dims: Sequence[Dim], replacements: Mapping[Leaf, LinearLike]) -> list[Dim]:
    """Loop dimensions with index values replaced in their bounds."""
    return [
        replace(
            dim,
            lower=dim.lower.substitute(replacements),
            uppers=tuple(upper.substitute(replacements) for upper in dim.uppers),
        )
        for dim in dims
    ]


def parse_sizes(option: str, text: str) -> dict[str, int]:
    """The sizes in an option such as "j=48 i=8", in their order.

    Raises OptionError for anything that is no name with a positive number.
    """
    sizes: dict[str, int] = {}
    for item in text.replace(",", " ").split():
        matched = re.fullmatch(r"([\w.$-]+)=(\d+)", item)
        if matched is None or int(matched[2]) < 1 or matched[1] in sizes:
            raise OptionError(
                f"{option} cannot be read",
                code="PG703",
                expected="loop names with positive sizes, each once, such as 'j=48 i=8'",
                found=repr(text),
                hint="write name=size pairs separated by spaces",
            )
        sizes[matched[1]] = int(matched[2])
    return sizes


def check_names(option: str, wanted: Iterable[str], module: ModuleOp) -> None:
    """Refuse names that no loop of the module has."""
    known = {
        name.data
        for kernel in kernels(module)
        for loop in inner_first(kernel, LoopOp)
        for name in loop.names.data
    }
    for name in wanted:
        if name not in known:
            raise OptionError(
                f"{option} names a loop that is not there",
                code="PG708",
                expected="one of " + (", ".join(sorted(known)) or "no loops at all"),
                found=repr(name),
                hint="the IR before this pass shows the names of its loops",
            )
