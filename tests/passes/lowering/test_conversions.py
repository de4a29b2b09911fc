"""Floats become integers: cut off towards zero, at the ends of the integer, and NaN becomes 0."""

import math
from fractions import Fraction

import numpy as np
import pytest

from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.inputs import fitted
from picograd.dialects.dtypes import (
    DType,
    bfloat16,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from picograd.dialects.limits import finfo, iinfo
from picograd.dialects.literals import Array
from picograd.dialects.tensor import CastOp
from picograd.semantics.evaluate import entry_of, evaluate
from picograd.semantics.samples.sample import Sample

PLAIN = "outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops"
"""Halves are computed with as they are: nothing widens them before."""


def numbers(source: DType, target: DType, rng: np.random.Generator) -> Array:
    """What lies around the ends of both types, everything that is not finite, and a few others."""
    limits = iinfo(target)
    ends = [limits.min - 1, limits.min, limits.max, limits.max + 1, finfo(source).max]
    values = [sign * end * share for end in ends for share in (0.5, 0.99, 1.0, 1.01)
              for sign in (1, -1)]  # fmt: skip
    values += [math.nan, math.inf, -math.inf, 0.0, -0.0, 0.9, -0.9, *rng.normal(size=9) * 100]
    with np.errstate(over="ignore"):
        return np.array(values, np.float64).astype(source.numpy)


def expected(value: float, target: DType) -> int:
    """What the tensor level says of a number, in Python's own integers."""
    limits = iinfo(target)
    if math.isnan(value):
        return 0
    if math.isinf(value):
        return limits.max if value > 0 else limits.min
    return min(max(math.trunc(Fraction(value)), limits.min), limits.max)


@pytest.mark.parametrize("target", [int8, int16, int32, int64, uint8], ids=lambda d: d.name)
@pytest.mark.parametrize("source", [float16, bfloat16, float32, float64], ids=lambda d: d.name)
def test_floats_saturate(source: DType, target: DType, rng: np.random.Generator) -> None:
    x = numbers(source, target, rng)
    module = Sample("cast", CastOp, {"element_type": target.ir}, (x,)).module()
    wanted = [expected(float(value), target) for value in x]
    (reference,) = evaluate(module, [x])
    assert reference.tolist() == wanted
    # Memory has no numbers without sign: legalize_types must have been there for uint8.
    plain = [] if target is uint8 else [as_passes(PLAIN)]
    for passes in (*plain, pipeline("cpu")):
        loops = module.clone()
        run_pipeline(loops, passes)
        (evaluated,) = evaluate(loops, fitted([x], entry_of(loops)))
        assert evaluated.astype(target.numpy).tolist() == wanted


@pytest.mark.parametrize(
    ("source", "target"), [(float16, bfloat16), (bfloat16, float16)], ids=lambda d: d.name
)
def test_neither_half_holds_the_other(source: DType, target: DType) -> None:
    x = np.arange(2**16, dtype=np.uint16).view(source.numpy)
    module = Sample("cast", CastOp, {"element_type": target.ir}, (x,)).module()
    # From float32, which holds both, there is one rounding.
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = x.astype(np.float32).astype(target.numpy)
    for passes in (as_passes(PLAIN), pipeline("cpu")):
        loops = module.clone()
        run_pipeline(loops, passes)
        (found,) = evaluate(loops, fitted([x], entry_of(loops)))
        # Of bfloat16, NumPy cannot tell that NaN is NaN.
        np.testing.assert_array_equal(found.astype(np.float32), wanted.astype(np.float32))
