"""A hashable description of what an op does, equal for ops that differ only in names.

Name hints, discardable attributes and symbol names that callers list are left out; everything
that has a meaning is in: op names, types, properties, the flow of values, nested regions.
"""

from collections.abc import Hashable

from xdsl.ir import Attribute, Block, Operation, SSAValue

Key = tuple[Hashable, ...]


def structural_key(op: Operation, *, without: frozenset[str] = frozenset()) -> Key:
    """Equal for two ops, regions included, exactly when they mean the same.

    `without` names properties of `op` itself that count as names, such as `sym_name` or `label`.
    Values defined outside are told apart by the order in which they are first used.
    """
    return _key_of(op, {}, without)


def _key_of(op: Operation, numbers: dict[SSAValue, int], without: frozenset[str]) -> Key:
    operands = tuple(numbers.setdefault(value, len(numbers)) for value in op.operands)
    for result in op.results:
        numbers[result] = len(numbers)
    blocks = tuple(
        tuple(_key_of_block(block, numbers) for block in region.blocks) for region in op.regions
    )
    properties: tuple[tuple[str, Attribute], ...] = tuple(
        (name, op.properties[name]) for name in sorted(op.properties) if name not in without
    )
    return (op.name, operands, tuple(op.result_types), properties, blocks)


def _key_of_block(block: Block, numbers: dict[SSAValue, int]) -> Key:
    for argument in block.args:
        numbers[argument] = len(numbers)
    types = tuple(argument.type for argument in block.args)
    return (types, *(_key_of(op, numbers, frozenset()) for op in block.ops))
