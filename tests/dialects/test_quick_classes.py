"""quick_classes: ops are walked over and asked for their operands as xDSL would."""

from xdsl.dialects import arith, test
from xdsl.dialects.builtin import ModuleOp, f32, i32
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from picograd.check.generation.programs import random_samples
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pipelines import pipeline
from picograd.dialects import loop, quick_classes


def below(op: Operation) -> list[Operation]:
    """An op and all in it, found by what links them."""
    found = [op]
    for region in op.regions:
        for block in region.blocks:
            inner = block.first_op
            while inner is not None:
                found += below(inner)
                inner = inner.next_op
    return found


def test_a_walk_meets_all_ops_in_order() -> None:
    for sample in random_samples(4, 7, fewest_ops=3, most_ops=9):
        run_pipeline(sample.module, pipeline("cpu"))
        ops = below(sample.module)
        assert list(sample.module.walk()) == ops
        assert list(sample.module.walk(reverse=True, region_first=True)) == ops[::-1]
        assert len(list(sample.module.walk(region_first=True))) == len(ops)
        assert list(sample.module.body.ops) == [op for op in ops if op.parent_op() is sample.module]


def test_a_walk_over_several_blocks_and_regions() -> None:
    second = Block([test.TestOp(regions=[Region(Block([test.TestOp()])), Region(Block())])])
    first = Block([test.TestOp(), test.TestTermOp(successors=[second])])
    outer = test.TestOp(regions=[Region([first, second]), Region(Block([test.TestOp()]))])
    assert list(outer.walk()) == below(outer)
    assert len(below(outer)) == 6


def test_what_is_walked_over_may_be_erased_replaced_and_put_before_others() -> None:
    ops = [test.TestOp(regions=[Region(Block([test.TestOp()]))]) for _ in range(4)]
    module = ModuleOp(list(ops))
    seen: list[Operation] = []
    for op in module.walk():
        seen.append(op)
        if op is ops[1]:
            op.detach()
        if op is ops[2]:
            new = [test.TestOp(), test.TestOp()]
            module.body.block.insert_op_before(new[0], op)
            module.body.block.insert_op_after(new[1], op)
    assert seen == [module, *(each for op in ops for each in below(op))]
    blocks = [op for op in module.body.block.ops if op.detach() is None]
    assert len(blocks) == 5 and module.body.block.is_empty


def test_operands_and_results_are_what_an_op_has() -> None:
    x, y = test.TestOp(result_types=[f32, f32]).results
    add = arith.AddfOp(x, y)
    assert (add.lhs, add.rhs, add.result) == (x, y, add.results[0])
    given = loop.YieldOp(x, y, x)
    assert list(given.values) == [x, y, x] and given.values.types == (f32, f32, f32)
    assert list(loop.YieldOp().values) == []
    pair = test.TestOp(result_types=[f32, i32, f32]).results
    assert pair[:0] == () and pair[-1].type == f32 and pair[1:].types == (i32, f32)


def test_what_belongs_to_a_class() -> None:
    x, y = test.TestOp(result_types=[f32, f32]).results
    add = arith.AddfOp(x, y)
    assert isinstance(add, Operation) and isinstance(add, arith.AddfOp | arith.MulfOp)
    assert not isinstance(add, arith.MulfOp) and not isinstance(add, SSAValue)
    assert isinstance(add.result, SSAValue) and isinstance(add.result.type, Attribute)
    assert not isinstance(None, Attribute) and not isinstance(f32, Operation)

    class Later(arith.MulfOp):
        """Declared after the classes were made quick."""

    assert type(Later) is type(Operation) and issubclass(Later, Operation)
    assert isinstance(Later(add.lhs, add.rhs), arith.MulfOp) and not isinstance(add, Later)


def test_it_can_be_done_twice() -> None:
    quick_classes.make_quick()
    assert list(ModuleOp([]).walk())
