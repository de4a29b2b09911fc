"""The generator draws valid modules of all op classes, dtypes and sizes, and they shrink."""

from collections import Counter

import numpy as np
from hypothesis import HealthCheck, find, given, settings
from xdsl.dialects.builtin import ModuleOp

from picograd.check.generation.makers import MAKERS
from picograd.check.generation.sketch import MOST_ELEMENTS
from picograd.check.generation.strategy import Sample, modules, samples
from picograd.compiler.diagnostics import verify_module
from picograd.dialects.dtypes import DType, dtype_of, float32, int32, type_of
from picograd.dialects.tensor import OPS, MatmulOp, TensorOp
from picograd.semantics.evaluate import evaluate

QUIET = settings(
    max_examples=150,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)


def tensor_ops(module: ModuleOp) -> list[TensorOp]:
    return [op for op in module.walk() if isinstance(op, TensorOp)]


def test_modules_are_valid_and_cover_everything() -> None:
    classes: Counter[type[TensorOp]] = Counter()
    dtypes: Counter[str] = Counter()
    ranks: Counter[int] = Counter()
    sizes: Counter[int] = Counter()

    @QUIET
    @given(samples(fewest_ops=3))
    def run(sample: Sample) -> None:
        verify_module(sample.module)
        for op in tensor_ops(sample.module):
            classes[type(op)] += 1
            shape = op.result.type.get_shape()
            dtypes[dtype_of(op.result.type).name] += 1
            ranks[len(shape)] += 1
            sizes.update(shape)
        assert all(
            np.prod(o.shape) <= 4 * MOST_ELEMENTS for o in evaluate(sample.module, sample.inputs)
        )

    run()
    assert set(classes) == set(OPS)
    assert set(dtypes) == {"float32", "float64", "int32", "int64", "bool"}
    assert set(ranks) >= {0, 1, 2, 3, 4}
    assert set(sizes) >= {0, 1, 2, 3, 5, 7}


def test_values_have_several_readers_and_functions_several_results() -> None:
    readers: Counter[int] = Counter()
    results: Counter[int] = Counter()

    @QUIET
    @given(samples(fewest_ops=3))
    def run(sample: Sample) -> None:
        for op in sample.module.walk():
            readers.update(len(list(result.uses)) for result in op.results)
            if op.name == "func.return":
                results[len(op.operands)] += 1

    run()
    assert readers[0] and readers[1] and sum(n for count, n in readers.items() if count > 1) > 50
    assert set(results) == {1, 2, 3}


def test_kinds_and_dtypes_can_be_chosen() -> None:
    @QUIET
    @given(modules(makers=("binary",), dtypes=(float32, int32)))
    def run(module: ModuleOp) -> None:
        found: set[DType] = {dtype_of(type_of(op.result)) for op in tensor_ops(module)}
        assert {dtype.name for dtype in found} <= {"float32", "int32", "bool"}

    run()
    assert "matmul" in MAKERS


def test_failures_shrink_to_little() -> None:
    """The smallest module with a matmul: a few ops on few elements, whatever was drawn first."""
    smallest = find(
        samples(fewest_ops=1),
        lambda sample: any(isinstance(op, MatmulOp) for op in tensor_ops(sample.module)),
        settings=settings(QUIET, max_examples=500),
    )
    assert len(tensor_ops(smallest.module)) <= 4


def test_inputs_are_the_same_at_each_call_and_differ_between_seeds() -> None:
    sample = find(
        samples(),
        lambda s: any(a.dtype == np.float32 and a.size > 3 for a in s.inputs),
        settings=settings(QUIET, max_examples=500),
    )
    first, second = sample.inputs, sample.inputs
    assert all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip(first, second, strict=True)
    )
    other = Sample(sample.module, sample.seed + 1).inputs
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_failing_samples_are_printed_as_ir() -> None:
    sample = find(samples(), lambda s: True, settings=QUIET)
    assert "func.func @main" in repr(sample) and "seed" in repr(sample)
