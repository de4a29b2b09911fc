"""Every op's batching rule computes what the op computes for each example."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from picograd.check.array_ops import ArrayOps
from picograd.dialects.dtypes import bfloat16, float16
from picograd.dialects.tensor import OPS, ConvolutionOp, MatmulOp, RandomBitsOp, TensorOp
from picograd.semantics.batching import BATCHING, BatchCall, NeverBatched
from picograd.semantics.samples import SAMPLES

SIZE = 3
BATCHED = [op for op in OPS if not isinstance(BATCHING[op], NeverBatched)]
# Their sums may be taken in another order.
SUMS = (MatmulOp, ConvolutionOp)


def test_every_op_has_a_rule_or_a_reason() -> None:
    assert set(BATCHING) == set(OPS)
    never = {op: row for op, row in BATCHING.items() if isinstance(row, NeverBatched)}
    assert {op.__name__ for op in never} == {"ConstantOp", "IotaOp"}
    assert all(row.reason for row in never.values())


def variants(array: np.ndarray) -> list[np.ndarray]:
    """Arrays of the same elements, so that indices stay in range."""
    return [np.roll(array.reshape(-1), n).reshape(array.shape) for n in range(SIZE)]


@pytest.mark.parametrize(
    "op", [op for op in BATCHED if op is not RandomBitsOp], ids=lambda o: o.name
)
def test_a_batch_is_its_examples(op: type[TensorOp]) -> None:
    ops, rule = ArrayOps(), BATCHING[op]
    assert not isinstance(rule, NeverBatched)
    for sample in SAMPLES[op]:
        if sample.dtypes & {float16, bfloat16}:
            continue
        examples = [variants(array) for array in sample.inputs]
        choices = list(product((True, False), repeat=len(examples)))[:-1]
        for flags in choices[:4] if len(choices) > 7 else choices:
            operands = [
                np.stack(each) if flag else each[0]
                for each, flag in zip(examples, flags, strict=True)
            ]
            found = rule(ops, BatchCall(op, sample.properties, operands, flags, SIZE))
            for n in range(SIZE):
                single = [
                    each[n if flag else 0] for each, flag in zip(examples, flags, strict=True)
                ]
                expected = ops.emit(op, single, sample.properties)
                if op in SUMS:
                    np.testing.assert_allclose(found[n], expected, rtol=1e-4, atol=1e-5)
                else:
                    np.testing.assert_array_equal(found[n], expected, err_msg=str(sample))


def test_random_bits_differ_between_examples() -> None:
    rule = BATCHING[RandomBitsOp]
    assert not isinstance(rule, NeverBatched)
    state = np.array([1, 2, 3, 4], np.int32)
    sample = SAMPLES[RandomBitsOp][-1]
    call = BatchCall(RandomBitsOp, sample.properties, [state], [False], SIZE)
    bits = rule(ArrayOps(), call)
    single = ArrayOps().emit(RandomBitsOp, [state], sample.properties)
    assert bits.shape == (SIZE, *single.shape) and single.size > 1
    assert len({example.tobytes() for example in bits}) == SIZE
    np.testing.assert_array_equal(bits[0], single)  # the first words of one stream
