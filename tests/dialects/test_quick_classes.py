"""quick_classes: ops are walked over and asked for their operands as xDSL would."""

# pyright: reportPrivateUsage=false

import pickle

import numpy as np
import pytest
from xdsl.dialects import arith, cf, func, memref, scf, test
from xdsl.dialects.builtin import (
    DenseArrayBase,
    FloatAttr,
    IndexType,
    IntegerType,
    MemRefType,
    ModuleOp,
    Signedness,
    TensorType,
    VectorType,
    f32,
    i1,
    i32,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.irdl import IRDLOperation

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


def test_ops_are_built_as_xdsl_builds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, i = test.TestOp(result_types=[f32, f32, IndexType()]).results
    buffer = test.TestOp(result_types=[MemRefType(f32, [4, 6])]).results[0]

    def built() -> list[Operation]:
        return [
            arith.AddfOp(x, y),
            arith.ConstantOp(FloatAttr(1.0, f32)),
            memref.LoadOp.get(buffer, [i, i]),
            memref.AllocOp([i], [], MemRefType(f32, [-1])),
            memref.AllocOp([], [i, i], MemRefType(f32, [2])),
            scf.IfOp(i, [f32], [scf.YieldOp(x)], [scf.YieldOp(y)]),
            scf.ForOp(i, i, i, [x, y], Block([scf.YieldOp(y, x)], arg_types=[i.type, f32, f32])),
            func.CallOp("f", [x, y], [f32, i32]),
            test.TestOp([x, y], [f32], {"one": i32}, {"two": f32}, regions=[Region(Block())]),
            cf.BranchOp(Block(), x),
            loop.SelectOp(test.TestOp(result_types=[i1]).results[0], x, y),
        ]

    ours = built()
    monkeypatch.setattr(IRDLOperation, "__init__", quick_classes._slow_build)
    for own, other in zip(ours, built(), strict=True):
        assert type(own) is type(other)
        assert own.properties == other.properties and own.attributes == other.attributes
        assert own.results.types == other.results.types
        assert len(own.regions) == len(other.regions) and len(own.successors) == len(
            other.successors
        )
        if not isinstance(own, loop.SelectOp):
            assert list(own.operands) == list(other.operands)
    for value in (x, y, i, buffer):
        users = [use.operation for use in value.uses]
        assert all(value is use.operation.operands[use.index] for use in value.uses)
        assert len(users) == sum(operand is value for op in set(users) for operand in op.operands)


def test_what_does_not_fit_a_definition_is_told_of() -> None:
    (x,) = test.TestOp(result_types=[f32]).results
    for operands, types, words in (
        ([x], [f32], "Expected 2 operand, but got 1"),
        ([x, x], [], "Expected 1 result, but got 0"),
        ([x, [x, x]], [f32], "passed Sequence to non-variadic"),
        ([x, x], [None], "passed None to a non-optional"),
    ):
        with pytest.raises(ValueError, match=words):
            IRDLOperation.__init__(
                arith.AddfOp.__new__(arith.AddfOp), operands=operands, result_types=types
            )


def test_lists_of_integers_are_what_was_given(rng: np.random.Generator) -> None:
    for type in (i32, i64, IntegerType(8, Signedness.UNSIGNED)):
        for count in (0, 1, 3, 16, 17, 40):
            numbers = rng.integers(0, 100, count).tolist()
            made = DenseArrayBase.from_list(type, numbers)
            assert made == DenseArrayBase.from_list(type, list(numbers))
            assert made.elt_type == type and len(made) == count
            assert made.get_values() == made.get_values() == tuple(numbers)
    assert DenseArrayBase.from_list(i32, [1, 2]) != DenseArrayBase.from_list(i64, [1, 2])
    assert DenseArrayBase.from_list(f32, [1, 2]).get_values() == (1.0, 2.0)
    with pytest.raises(ValueError, match="range"):
        DenseArrayBase.from_list(i32, [1 << 40])


def test_shapes_are_those_of_the_type() -> None:
    for kind in (MemRefType, TensorType, VectorType):
        first, second = kind(f32, [4, 6]), kind(f32, [4, 6])
        assert first.get_shape() == (4, 6) == first.get_shape()
        assert first == second and hash(first) == hash(second), "one has been asked, one not"
        assert pickle.loads(pickle.dumps(first)) == second
        assert kind(f32, [6, 4]).get_shape() == (6, 4)


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
