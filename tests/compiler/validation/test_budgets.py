"""Budgets bite: any op's result times 1 + 1e-4 is rejected; and they never reject what is right."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp

import picograd
from picograd.check.generation.orders import Walk
from picograd.check.generation.strategy import Sample, samples
from picograd.check.meaning import WAY_TO
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.error import ValidationError
from picograd.compiler.validation.fault import Fault
from picograd.compiler.validation.inputs import draw_inputs
from picograd.compiler.validation.twin import twin
from picograd.compiler.validation.validator import Validator
from picograd.dialects.dtypes import bool_, float32, float64, int32, int64, is_float_array
from picograd.dialects.literals import Array
from picograd.dialects.tensor import TensorOp
from picograd.errors import IndexOutOfRange, PicogradError
from picograd.passes import Level, Pass
from picograd.semantics.evaluate import entry_of, evaluate
from picograd.semantics.samples import SAMPLES
from picograd.semantics.samples import Sample as OpSample
from picograd.study.demos.digits import Trainer
from tests.compiler.validation.spoiling import (
    Spoil,
    SpoilKernels,
    SpoilLoops,
    loop_ops,
    spoil,
    spoil_loops,
    tensor_ops,
)

DTYPES = (float32, int32, bool_, int64, float64)
# A difference of this share is an effect; below, the module hardly depends on the op.
EFFECT = 1e-7


def rejected(module: ModuleOp, inputs: list[Array], step: Pass) -> bool:
    """Whether the step is caught, as one that changes values and nothing else."""
    module = module.clone()
    watch = Validator(module, [inputs])
    try:
        run_pipeline(module, [step], instruments=[watch], facts=None)
    except ValidationError as error:
        assert error.fault == Fault.VALUES, error
        assert error.step == str(step)
        assert error.excess is not None
        return True
    return False


def shows(before: list[Array], after: list[Array]) -> bool:
    """Whether results differ by what nobody would call rounding."""
    for old, new in zip(before, after, strict=True):
        if not is_float_array(old):
            if (old != new).any():
                return True
            continue
        with np.errstate(all="ignore"):
            far = np.abs(old - new) > EFFECT * np.abs(old)
        if (far & np.isfinite(old)).any():
            return True
    return False


def return_everything(module: ModuleOp) -> None:
    """Let the function return what each op computes."""
    function = entry_of(module)
    end = function.body.block.last_op
    assert isinstance(end, ReturnOp)
    end.operands = [op.result for op in tensor_ops(module)]
    function.update_function_type()


@pytest.mark.parametrize("op", SAMPLES, ids=lambda op: op.name)
def test_a_little_is_too_much_for_every_op_and_kind(op: type[TensorOp]) -> None:
    caught: dict[str, int] = {}
    for sample in SAMPLES[op]:
        module, inputs = sample.module(), list(sample.inputs)
        kind = str(getattr(sample.properties.get("kind"), "data", ""))
        caught.setdefault(kind, 0)
        spoiled = module.clone()
        spoil(spoiled, 0)
        wide = [evaluate(each, inputs, precision="float64") for each in (module, spoiled)]
        found = rejected(module, inputs, Spoil())
        assert found or not shows(*wide), sample
        caught[kind] += found
    assert all(caught.values()), f"nothing shows that these are judged: {caught}"


def op_samples(every: int) -> list[OpSample]:
    return [sample for group in SAMPLES.values() for sample in group[::every]]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_right_passes_keep_every_op_within_its_budget(device: str) -> None:
    for sample in op_samples(every=9):
        module = sample.module()
        watch = Validator(module, [list(sample.inputs)])
        try:
            run_pipeline(module, pipeline(device), instruments=[watch])
        except ValidationError as error:
            raise AssertionError(f"{sample}\n{error}") from error
        except PicogradError:
            assert device == "gpu", sample  # what it has no types for


@given(samples(fewest_ops=4, dtypes=DTYPES), st.randoms(use_true_random=False))
def test_a_little_is_too_much_for_any_op_of_a_random_module(sample: Sample, rng: Random) -> None:
    module = sample.module.clone()
    return_everything(module)
    number = rng.randrange(len(tensor_ops(module)))
    spoiled = module.clone()
    spoil(spoiled, number)
    inputs = sample.inputs
    try:
        wide = [evaluate(each, inputs, precision="float64") for each in (module, spoiled)]
    except IndexOutOfRange:
        return
    assert rejected(module, inputs, Spoil(number)) or not shows(*wide)


@pytest.mark.parametrize("level", [Level.KERNEL, Level.LOOP])
def test_below_the_tensors_as_well(level: Level) -> None:
    caught = 0

    @given(samples(fewest_ops=4, dtypes=(float32, float64, bool_, int32)), st.integers(0, 1000))
    def run(sample: Sample, number: int) -> None:
        nonlocal caught
        root, inputs = sample.module.clone(), sample.inputs
        return_everything(root)
        lowered = root.clone()
        way = as_passes(WAY_TO[level])
        run_pipeline(lowered, way)
        ops = loop_ops(lowered) if level == Level.LOOP else tensor_ops(lowered)
        if not ops:
            return
        number %= len(ops)
        spoiled = lowered.clone()
        step: Pass
        if level == Level.LOOP:
            spoil_loops(spoiled, number)
            step = SpoilLoops(number)
        else:
            spoil(spoiled, number)
            step = SpoilKernels(number)
        try:
            wide = [evaluate(each, inputs, precision="float64") for each in (lowered, spoiled)]
        except IndexOutOfRange:
            return
        module = root.clone()
        watch = Validator(module, [inputs])
        try:
            run_pipeline(module, [*way, step], instruments=[watch])
        except ValidationError as error:
            assert error.step == str(step)
            caught += 1
        else:
            assert not shows(*wide)

    run()
    # Which examples are drawn depends on what is imported; most hang on the op that is spoiled.
    assert caught >= 10


@given(samples(fewest_ops=4, dtypes=DTYPES), st.randoms(use_true_random=False))
def test_random_legal_orders_are_right(sample: Sample, rng: Random) -> None:
    walk = Walk(sample.module.clone(), "cpu:vector_bits=128,l1_bytes=512,cores=3", rng)
    walk.descend(rng.choice(list(Level)))
    module = sample.module.clone()
    run_pipeline(module, walk.passes, instruments=[Validator(module, [sample.inputs])])


def training_step() -> ModuleOp:
    """A training step of the digits: forward, backward and optimizer."""
    trainer = Trainer("cpu", seed=0)
    images, labels = picograd.zeros(64, 64), picograd.zeros(64, dtype=picograd.int64)
    return picograd.compile(trainer.step, device="cpu").trace(images, labels).module


def test_a_deep_module_is_judged_as_closely() -> None:
    module = twin(training_step(), ()).module
    inputs = draw_inputs(module, seed=0)[0]
    expected = evaluate(module, inputs, precision="float64")
    ops = tensor_ops(module)
    caught = hidden = 0
    for number in range(0, len(ops), 7):
        spoiled = module.clone()
        spoil(spoiled, number)
        try:
            effect = shows(expected, evaluate(spoiled, inputs, precision="float64"))
        except IndexOutOfRange:
            continue
        found = rejected(module, inputs, Spoil(number))
        assert found or not effect, ops[number]
        caught, hidden = caught + found, hidden + (not found)
    assert caught >= 5 * hidden, (caught, hidden)
