"""Every op's tangent rule is the transpose of its gradient rule, which finite differences check."""

from __future__ import annotations

import numpy as np
import pytest

from picograd.check.array_ops import ArrayOps, SampleCall
from picograd.dialects.dtypes import bfloat16, float16, is_float_array
from picograd.dialects.tensor import OPS, TensorOp
from picograd.semantics.gradient_call import NotDifferentiable
from picograd.semantics.gradients import GRADIENTS
from picograd.semantics.samples import SAMPLES, Sample
from picograd.semantics.tangents import TANGENTS

MOVING = [op for op in OPS if not isinstance(TANGENTS[op], NotDifferentiable)]


def test_every_op_has_a_rule_or_the_reason_of_its_gradient() -> None:
    assert set(TANGENTS) == set(OPS)
    for op in set(OPS) - set(MOVING):
        assert TANGENTS[op] == GRADIENTS[op]


def differentiable(sample: Sample) -> bool:
    if sample.dtypes & {float16, bfloat16} or sample.has_nonfinite:
        return False
    call = SampleCall(sample)
    arrays = [*sample.inputs, call.result()]
    finite = all(np.isfinite(a).all() for a in arrays if is_float_array(a))
    return finite and is_float_array(call.result()) and any(map(is_float_array, sample.inputs))


def inner(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sum(a.astype(float) * b.astype(float)))


def size_of(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sum(np.abs(a.astype(float) * b.astype(float))))


def draw(rng: np.random.Generator, like: np.ndarray) -> np.ndarray:
    return np.asarray(rng.standard_normal(like.shape)).astype(like.dtype)


@pytest.mark.parametrize("op", MOVING, ids=lambda op: op.name)
def test_tangents_are_transposed_gradients(rng: np.random.Generator, op: type[TensorOp]) -> None:
    """<gradient, tangent of the result> = <gradients of the operands, their tangents>."""
    ops, checked = ArrayOps(), 0
    gradient_rule, tangent_rule = GRADIENTS[op], TANGENTS[op]
    assert not isinstance(gradient_rule, NotDifferentiable)
    assert not isinstance(tangent_rule, NotDifferentiable)
    for sample in filter(differentiable, SAMPLES[op]):
        call = SampleCall(sample)
        grad = draw(rng, call.result())
        tangents = [draw(rng, a) if is_float_array(a) else None for a in sample.inputs]
        parts = gradient_rule(ops, call, grad)
        for moving in [range(len(tangents)), *([n] for n in range(len(tangents)))]:
            some = [t if n in moving else None for n, t in enumerate(tangents)]
            if all(t is None for t in some):
                continue
            result = tangent_rule(ops, call, some)
            assert (result.shape, result.dtype) == (grad.shape, grad.dtype), sample
            pairs = [(p, t) for p, t in zip(parts, some, strict=True) if t is not None]
            pairs = [(p, t) for p, t in pairs if p is not None]
            if not all(np.isfinite(p).all() for p, _ in pairs):
                continue  # a slope without bound, such as that of sqrt at 0
            scale = size_of(grad, result) + sum(size_of(p, t) for p, t in pairs)
            expected = sum(inner(p, t) for p, t in pairs)
            assert abs(inner(grad, result) - expected) <= 1e-4 * scale + 1e-6, sample
            checked += 1
    assert checked >= 3
