"""A kernel that was lowered to be looked at is not lowered again, unless it is another by then."""

# pyright: reportPrivateUsage=false

import numpy as np
import pytest
from xdsl.ir import SSAValue

from picograd.dialects import buffer, loop
from picograd.dialects import tensor as t
from picograd.passes.lowering import kernel as lowering
from picograd.passes.lowering.kernel import lower_kernel, try_lowering
from tests.passes.lowering.kernels import Add, kernel_module


def kernels(rng: np.random.Generator) -> list[buffer.KernelOp]:
    """Two kernels that do the same."""
    inputs = [rng.standard_normal((3, 5)).astype(np.float32) for _ in range(2)]

    def body(add: Add, a: SSAValue, b: SSAValue) -> list[SSAValue]:
        return [add(t.BinaryOp("mul", add(t.UnaryOp("exp", a)), b))]

    module = kernel_module(inputs, body, copies=2)
    return [op for op in module.walk() if isinstance(op, buffer.KernelOp)]


def test_what_was_tried_is_what_lowering_gives(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, plain = kernels(rng)
    trial = try_lowering(tried)
    expected = str(lower_kernel(plain, "name"))
    times: list[str] = []
    original = lowering._lower

    def counted(kernel: buffer.KernelOp, name: str) -> loop.KernelOp:
        times.append(name)
        return original(kernel, name)

    monkeypatch.setattr(lowering, "_lower", counted)
    assert lower_kernel(tried, "name") is trial and str(trial) == expected
    assert not times
    again = lower_kernel(tried, "again")
    assert again is not trial and str(again) == expected.replace("@name", "@again")
    assert times == ["again"]


def test_a_kernel_that_has_changed_since_is_lowered_anew(rng: np.random.Generator) -> None:
    tried, plain = kernels(rng)
    trial = try_lowering(tried)
    for kernel in (tried, plain):
        (product,) = [op for op in kernel.block.ops if isinstance(op, t.BinaryOp)]
        other = t.BinaryOp("add", product.operands[0], product.operands[1])
        kernel.block.insert_op_before(other, product)
        product.results[0].replace_all_uses_with(other.results[0])
        product.detach()
        product.erase()
    lowered = lower_kernel(tried, "name")
    assert lowered is not trial and "arith.addf" in str(lowered)
    assert str(lowered) == str(lower_kernel(plain, "name"))
