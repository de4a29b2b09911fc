"""quick: what it makes and copies is what xDSL makes and copies."""

from collections.abc import Iterator

from xdsl.dialects import arith, test
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.ir import Block, Operation, Region, SSAValue

from picograd.check.generation.programs import random_samples
from picograd.compiler.driver import count_ops, run_pipeline
from picograd.compiler.pipelines import pipeline
from picograd.dialects.quick import (
    clone,
    clone_block,
    create,
    put_before,
    put_in_order,
    put_last,
    remember,
    remembered,
    take_all,
    values_in,
)


def modules() -> Iterator[ModuleOp]:
    """Modules of all levels."""
    for sample in random_samples(6, 3, fewest_ops=3, most_ops=9):
        steps = pipeline("cpu")
        yield sample.module.clone()
        for end in (5, 8, 10, 14, len(steps)):
            module = sample.module.clone()
            run_pipeline(module, steps[:end])
            yield module


def uses(module: ModuleOp) -> list[list[tuple[int, int]]]:
    """Of each result and argument which ops use it, and as which operand, in the order kept."""
    ops = list(module.walk())
    number = {op: place for place, op in enumerate(ops)}
    values = [value for op in ops for value in op.results]
    values += [a for op in ops for region in op.regions for b in region.blocks for a in b.args]
    return [[(number[use.operation], use.index) for use in value.uses] for value in values]


def test_a_copy_is_equal_and_shares_nothing() -> None:
    for module in modules():
        before = str(module)
        copy = clone(module)
        assert str(copy) == before == str(module.clone())
        assert copy.is_structurally_equivalent(module)
        copy.verify()
        assert [sorted(found) for found in uses(copy)] == [sorted(found) for found in uses(module)]
        assert not {id(op) for op in copy.walk()} & {id(op) for op in module.walk()}
        for op in list(copy.walk())[1:]:
            op.drop_all_references()
        assert str(module) == before
        module.verify()


def test_values_from_outside_are_replaced_where_that_is_asked_for() -> None:
    x, y = test.TestOp(result_types=[f32, f32]).results
    add = arith.AddfOp(x, y)
    add.attributes["note"] = f32
    values: dict[SSAValue, SSAValue] = {y: x}
    copy = clone(add, values)
    assert values == {y: x, add.result: copy.result}
    assert list(copy.operands) == [x, x]
    assert copy.properties == add.properties and copy.properties is not add.properties
    assert copy.attributes == add.attributes and copy.attributes is not add.attributes
    assert [use.operation for use in y.uses] == [add]
    assert {(use.operation, use.index) for use in x.uses} == {(add, 0), (copy, 0), (copy, 1)}


def test_what_is_used_before_its_definition_is_copied_too() -> None:
    late = test.TestOp(result_types=[f32])
    early = test.TestOp(operands=[late.results[0]])
    copy = clone_block(Block([early, late]))
    first, second = copy.ops
    assert list(first.operands) == [second.results[0]]
    assert [use.operation for use in late.results[0].uses] == [early]


def test_ops_are_put_in_another_order_taken_out_and_put_at_the_end() -> None:
    ops = [test.TestOp() for _ in range(6)]
    block = Block(list(ops))
    for first, last in ((0, 6), (1, 4), (0, 2), (3, 6), (2, 3)):
        stretch = ops[first:last]
        order = [*stretch[1::2], *stretch[::2]]
        put_in_order(stretch, order)
        ops[first:last] = order
        assert list(block.ops) == ops and block.first_op is ops[0] and block.last_op is ops[-1]
        assert [op.prev_op for op in ops] == [None, *ops[:-1]]
        assert [op.next_op for op in ops] == [*ops[1:], None]
    assert take_all(block) == ops and block.is_empty and block.last_op is None
    assert all(op.parent is None and op.prev_op is op.next_op is None for op in ops)
    other = Block()
    for part in (ops[:0], ops[:2], ops[2:], ops[:0]):
        put_last(other, part)
    assert list(other.ops) == ops and other.last_op is ops[-1]
    assert all(op.parent is other for op in ops) and ops[-1].next_op is None
    other.add_op(late := test.TestOp())
    assert late.prev_op is ops[-1] and ops[-1].next_op is late


def test_what_an_op_is_known_to_give_is_found_until_it_changes() -> None:
    x, y = test.TestOp(result_types=[f32, f32]).results
    add = arith.AddfOp(x, y)
    given = (object(),)
    remember(add, given, "known")
    assert remembered(add, given, lambda: "made") == "known"
    add.operands[0] = y
    assert remembered(add, given, lambda: "made") == "made" == remembered(add, given, str)
    assert remembered(add, (object(),), lambda: "anew") == "anew"


def test_blocks_that_jump_to_each_other() -> None:
    second = Block()
    first = Block([test.TestTermOp(successors=[second])])
    second.add_op(test.TestTermOp(successors=[first]))
    copy = clone(test.TestOp(regions=[Region([first, second])]))
    one, other = copy.regions[0].blocks
    assert [op.successors[0] for op in (one.last_op, other.last_op) if op] == [other, one]


def test_a_made_op_is_like_one_of_xdsl() -> None:
    module = max((module for module in modules() if "loop.load" in str(module)), key=count_ops)
    plain = [op for op in module.walk() if not op.regions and op.results]
    assert len(plain) > 20
    for op in plain:
        types = [result.type for result in op.results]
        made = create(type(op), op.operands, types, dict(op.properties), op.attributes)
        slow: Operation = type(op).create(
            operands=tuple(op.operands),
            result_types=types,
            properties=op.properties,
            attributes=op.attributes,
        )
        assert vars(made).keys() == vars(slow).keys()
        assert made.is_structurally_equivalent(slow)
        made.verify()
        made.erase()
        slow.erase()
    module.verify()


def test_values_that_ops_use_and_define_are_those_of_a_walk() -> None:
    for module in modules():
        roots = [module, *(op for op in module.walk() if op.regions)]
        for root in roots:
            used, defined = values_in(root)
            ops = list(root.walk())
            assert list(used) == list(dict.fromkeys(v for op in ops for v in op.operands))
            results = {v for op in ops for v in op.results}
            arguments = {a for op in ops for r in op.regions for b in r.blocks for a in b.args}
            assert defined == results | arguments


def test_ops_are_put_before_the_first_and_before_another() -> None:
    def op() -> Operation:
        return test.TestOp()

    first, last = op(), op()
    block = Block([first, last])
    new = [op() for _ in range(4)]
    put_before(first, new[:2])
    put_before(last, new[2:])
    put_before(last, [])
    order = [*new[:2], first, *new[2:], last]
    assert list(block.ops) == order
    assert block.first_op is new[0] and block.last_op is last
    backwards, at = list[Operation](), block.last_op
    while at is not None:
        backwards.append(at)
        at = at.prev_op
    assert backwards == order[::-1]
    assert all(each.parent is block for each in order)
    ModuleOp(Region(block)).verify()
