"""A hashable description of what an op does, equal for ops that differ only in names.

Name hints, discardable attributes and symbol names that callers list are left out; everything
that has a meaning is in: op names, types, properties, the flow of values, nested regions.
"""

from collections.abc import Hashable

from xdsl.ir import Attribute, Block, Operation, SSAValue

Key = tuple[Hashable, ...]
Kinds = tuple[type[Operation], ...]


def structural_key(
    op: Operation, *, without: frozenset[str] = frozenset(), skipped: Kinds = ()
) -> Key:
    """Equal for two ops, regions included, exactly when they mean the same.

    `without` names properties of `op` itself that count as names, such as `sym_name` or `label`;
    operations inside of a kind in `skipped` mean nothing to who asks, and give no results.
    Values defined outside are told apart by the order in which they are first used.
    """
    return _key_of(op, {}, without, skipped)


def _key_of(
    op: Operation, numbers: dict[SSAValue, int], without: frozenset[str], skipped: Kinds
) -> Key:
    operands = tuple(numbers.setdefault(value, len(numbers)) for value in op.operands)
    for result in op.results:
        numbers[result] = len(numbers)
    blocks = tuple(
        tuple(_key_of_block(block, numbers, skipped) for block in region.blocks)
        for region in op.regions
    )
    properties: tuple[tuple[str, Attribute], ...] = tuple(
        (name, op.properties[name]) for name in sorted(op.properties) if name not in without
    )
    return (op.name, operands, tuple(op.result_types), properties, blocks)


def _key_of_block(block: Block, numbers: dict[SSAValue, int], skipped: Kinds) -> Key:
    for argument in block.args:
        numbers[argument] = len(numbers)
    types = tuple(argument.type for argument in block.args)
    ops = (op for op in block.ops if type(op) not in skipped)
    return (types, *(_key_of(op, numbers, frozenset(), skipped) for op in ops))
