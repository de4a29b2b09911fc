"""Verifying a module over and over while passes change it.

Most ops stay as they are from pass to pass: what an op is and what it refers to is kept, and one
that is still the same, with all that is in it, is not asked again. And unrolled code repeats a few
ops thousands of times. What an op without a body must satisfy depends on little: its class, the
types of its operands and results, its properties, and where its indices come from. So ops that
agree in these are verified once.
"""

from collections.abc import Hashable

from xdsl.dialects.builtin import IndexType
from xdsl.ir import Block, Operation, SSAValue

_DIALECTS = frozenset({"pico", "buffer", "loop", "arith", "math"})
"""Those whose ops without a body ask for nothing else; ops of others are always verified."""

_WITH_BODIES = _DIALECTS | {"kernel"}
"""Those whose ops with a body ask for what stands in it and nothing else."""


class Verifier:
    """Checks the rules of ops, and remembers what it found right."""

    def __init__(self) -> None:
        self._right: set[Hashable] = set()
        # The op itself is kept too: its number would otherwise become another's.
        self._before: dict[int, tuple[Operation, tuple[object, ...]]] = {}
        self._seen: dict[int, tuple[Operation, tuple[object, ...]]] = {}

    def verify(self, op: Operation) -> None:
        """Check an op and all that is in it. Raises what `op.verify()` raises."""
        self._before, self._seen = self._seen, {}
        try:
            self._verify(op, None)
        except BaseException:
            self._seen.clear()  # what is around the wrong op was not reached
            raise

    def _verify(self, op: Operation, around: type[Operation] | None) -> bool:
        """Check an op and all that is in it; whether all of it is as it was."""
        same = True
        for region in op.regions:
            for block in region.blocks:
                if block.parent is not region:
                    region.verify()  # says so
                same &= self._verify_block(block)
        same &= self._is_as_it_was(op, around)
        if not same or op.name.partition(".")[0] not in _WITH_BODIES:
            op.verify(verify_nested_ops=False)
        return same

    def _verify_block(self, block: Block) -> bool:
        last = block.last_op
        if last is None:
            block.verify()  # knows whether it may be empty
        parent = block.parent_op()
        around = None if parent is None else type(parent)
        same = True
        for op in block.ops:
            if op.parent is not block:
                block.verify()  # says so
            # The last op may have to be a terminator, and terminators have to be last.
            ends = around if op is last else None
            if op.regions:
                same &= self._verify(op, around)
            elif op.name.partition(".")[0] not in _DIALECTS:
                same &= self._is_as_it_was(op, around)
                op.verify()
            elif not self._is_as_it_was(op, ends):
                same = False
                signature = (ends, _signature(op))
                if signature not in self._right:
                    op.verify()
                    self._right.add(signature)
        return same

    def _is_as_it_was(self, op: Operation, around: type[Operation] | None) -> bool:
        """Whether an op is what it was when the module was verified last, its body left aside."""
        state = (around, *_state(op))
        self._seen[id(op)] = (op, state)
        before = self._before.get(id(op))
        # Tuples of the same objects are compared without looking into them.
        return before is not None and before[1] == state


def _state(op: Operation) -> tuple[object, ...]:
    """What an op is and refers to, of its bodies the arguments and which ops they hold."""
    operands = tuple(op.operands)
    types = [operand.type for operand in operands]
    return (
        operands,
        types,
        [
            _maker(operand)
            for operand, kind in zip(operands, types, strict=True)
            if type(kind) is IndexType
        ],
        [result.type for result in op.results],
        op.properties.copy(),
        op.attributes.copy(),
        [
            (block, [argument.type for argument in block.args], list(block.ops))
            for region in op.regions
            for block in region.blocks
        ],
    )


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
