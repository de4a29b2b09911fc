"""Verifying a module over and over while passes change it.

Most ops stay as they are from pass to pass, and unrolled code repeats a few ops thousands of times.
What an op without a body must satisfy depends on little: its class, the types of its operands and
results, its properties, and where its indices come from. So ops that agree in these are verified
once; looking that up takes a quarter of the time.
"""

from collections.abc import Hashable

from xdsl.dialects.builtin import IndexType
from xdsl.ir import Block, Operation, SSAValue

_DIALECTS = frozenset({"pico", "buffer", "loop", "arith", "math"})
"""Those whose ops without a body ask for nothing else; ops of others are always verified."""


class Verifier:
    """Checks the rules of ops, and remembers what it found right."""

    def __init__(self) -> None:
        self._right: set[Hashable] = set()

    def verify(self, op: Operation) -> None:
        """Check an op and all that is in it. Raises what `op.verify()` raises."""
        for region in op.regions:
            for block in region.blocks:
                if block.parent is not region:
                    region.verify()  # says so
                self._verify_block(block)
        op.verify(verify_nested_ops=False)

    def _verify_block(self, block: Block) -> None:
        last = block.last_op
        if last is None:
            block.verify()  # knows whether it may be empty
        for op in block.ops:
            if op.parent is not block:
                block.verify()  # says so
            if op.regions or op.name.partition(".")[0] not in _DIALECTS:
                self.verify(op)
                continue
            # The last op may have to be a terminator, and terminators have to be last.
            ends = type(block.parent_op()) if op is last else None
            signature = (ends, _signature(op))
            if signature not in self._right:
                op.verify()
                self._right.add(signature)


def _signature(op: Operation) -> Hashable:
    operands = op.operands
    return (
        type(op),
        tuple([operand.type for operand in operands]),
        tuple([_maker(operand) for operand in operands if isinstance(operand.type, IndexType)]),
        tuple([result.type for result in op.results]),
        tuple(op.properties.items()),
        tuple(op.attributes.items()),
    )


def _maker(index: SSAValue) -> str:
    """The name of the op that makes an index."""
    maker = index.owner.parent_op() if isinstance(index.owner, Block) else index.owner
    return "" if maker is None else maker.name
