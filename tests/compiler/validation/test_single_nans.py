"""A pass that loses NaN is found in deep modules too, where NaN among all inputs floods results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, cast

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

import picograd
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.validation.error import ValidationError
from picograd.compiler.validation.single_nans import MOST, sets_of_inputs
from picograd.compiler.validation.subject import Subject
from picograd.compiler.validation.twin import twin
from picograd.compiler.validation.validation import ValidationRun
from picograd.compiler.validation.validator import Validator
from picograd.dialects.dtypes import AnyTensor, dtype_of, is_float_array, type_of
from picograd.dialects.literals import splat
from picograd.dialects.tensor import CompareOp, ConstantOp, SelectOp, TensorOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.greedy import Build, rewrite_greedily
from picograd.semantics.evaluate import entry_of
from picograd.study.demos import convnet, digits
from picograd.study.demos.workload import Workload


@cache
def step_of(workload: Workload) -> ModuleOp:
    session = workload.begin("cpu", 0)
    step = picograd.compile(session.step, device="cpu")
    return step.trace(*map(picograd.tensor, next(session.batches(0)))).module


def positive_part(op: SelectOp, build: Build) -> SSAValue | None:
    """x <= c ? c : x -> x > c ? x : c, which is c where x is NaN."""
    test = op.condition.owner
    if not isinstance(test, CompareOp) or test.kind.data != "le":
        return None
    if (test.a, test.b) != (op.on_false, op.on_true):
        return None
    return build(SelectOp(build(CompareOp("gt", test.a, test.b)), test.a, test.b))


@dataclass(frozen=True)
class PositiveParts(Pass):
    """A relu that makes zeros of NaN."""

    name: ClassVar[str] = "positive_parts"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Any, op: ModuleOp) -> None:
        rewrite_greedily(op, {SelectOp: (positive_part,)})


@pytest.mark.parametrize("workload", [digits.WORKLOAD, convnet.WORKLOAD], ids=lambda w: w.name)
def test_a_relu_that_loses_nan_is_found_in_a_training_step(workload: Workload) -> None:
    check = ValidationRun(step_of(workload), Pipeline([PositiveParts()]))
    with pytest.raises(ValidationError) as caught:
        check.start()
        passes = [PositiveParts()]
        run_pipeline(step_of(workload).clone(), passes, instruments=check.instruments)
    excess = caught.value.excess
    assert excess is not None and np.isnan(excess.expected) and np.isfinite(excess.found)


@dataclass(frozen=True)
class Lose(PositiveParts):
    """One value becomes 0 where it is NaN."""

    name: ClassVar[str] = "lose"
    number: int = 0

    def apply(self, ctx: Any, op: ModuleOp) -> None:
        value = float_ops(op)[self.number].result
        type: Any = value.type
        zero = ConstantOp(splat(0, type.get_shape(), dtype_of(type)))
        same = CompareOp("eq", value, value)
        chosen = SelectOp(same.result, value, zero.result)
        new = (zero, same, chosen)
        block = value.owner.parent_block()
        assert block is not None
        block.insert_ops_after(new, value.owner)
        value.replace_uses_with_if(chosen.result, lambda use: use.operation not in new)


def float_ops(module: ModuleOp) -> list[TensorOp]:
    return [
        op
        for op in module.walk()
        if isinstance(op, TensorOp) and dtype_of(type_of(op.result)).is_float
    ]


def test_wherever_nan_is_lost_in_a_convnet_it_shows() -> None:
    """Most of what it computes is a step between a parameter and a result, if not all."""
    module = twin(step_of(convnet.WORKLOAD), Pipeline([Lose()])).module
    sets = sets_of_inputs(module, 0)
    subjects = [Subject(entry_of(module), s, Level.TENSOR, closely=False) for s in sets]

    def seen(number: int, among: Sequence[Subject]) -> bool:
        spoiled = module.clone()
        Lose(number).apply(None, spoiled)
        found = (s.judge(Lose(number), entry_of(spoiled), Level.TENSOR).finding for s in among)
        return any(finding is not None for finding in found)

    numbers = range(0, len(float_ops(module)), 9)
    before = np.mean([seen(number, subjects[:2]) for number in numbers])
    after = np.mean([seen(number, subjects) for number in numbers])
    assert before < 0.2 and after > 0.5


def test_all_but_the_first_are_followed_through_tensors_and_kernels_only() -> None:
    module = twin(step_of(convnet.WORKLOAD), Pipeline([Lose()])).module
    sets = sets_of_inputs(module, 0)
    assert len(sets) > 3
    results = entry_of(module).function_type.outputs
    elements = sum(int(np.prod(cast(AnyTensor, type).get_shape())) for type in results)
    watch = Validator(module)
    way = "canonicalize,outline_kernels,fuse,lower_kernels_to_buffers"
    run_pipeline(module.clone(), as_passes(way), instruments=[watch])
    judged = [check.elements for check in watch.checks]
    upper, buffers = (elements * (count + 1) for count in (len(sets), 3))
    assert judged == [upper, upper, upper, buffers]


def test_each_set_has_one_nan_and_sets_are_the_same_for_a_seed() -> None:
    module = twin(step_of(convnet.WORKLOAD), as_passes("canonicalize")).module
    ordinary, special, *singles = sets_of_inputs(module, 3)
    assert 1 <= len(singles) <= MOST
    for arrays in singles:
        assert sum(int(np.isnan(a).sum()) for a in arrays if is_float_array(a)) == 1
        for array, plain in zip(arrays, ordinary, strict=True):
            kept = ~np.isnan(array) if is_float_array(array) else np.ones(array.shape, bool)
            assert (array[kept] == plain[kept]).all()
    again = sets_of_inputs(module, 3)
    flat: Callable[[Any], list[bytes]] = lambda sets: [a.tobytes() for s in sets for a in s]
    assert flat(again) == flat([ordinary, special, *singles])


SMALL = """func.func @main(%x: tensor<3xf32>) -> tensor<f32> {
  %e = pico.unary exp %x : tensor<3xf32>
  %s = pico.reduce add %e axes [0] : tensor<3xf32> -> tensor<f32>
  func.return %s : tensor<f32>
}"""


def test_small_modules_have_sets_with_nan_already() -> None:
    sets = sets_of_inputs(parse_module(SMALL), 0)
    assert len(sets) == 3
