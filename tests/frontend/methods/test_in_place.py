"""Operations in place are the others, written over their tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.errors import DTypeError, GradientError, ShapeError
from picograd.frontend.methods.in_place import InPlace

NAMES = sorted(name for name in vars(InPlace) if name.endswith("_") and not name.startswith("_"))
OF_TWO = {
    "atan2_",
    "bitwise_and_", "bitwise_left_shift_", "bitwise_or_", "bitwise_right_shift_", "bitwise_xor_",
    "clamp_max_", "clamp_min_", "eq_", "floor_divide_", "fmod_", "ge_", "gt_", "hypot_", "le_",
    "logical_and_", "logical_or_", "logical_xor_", "lt_", "ne_", "pow_", "remainder_",
}  # fmt: skip


def arguments(name: str, x: torch.Tensor) -> tuple[object, ...]:
    """What the operation takes beside the tensor."""
    index = torch.tensor([1, 0])
    special: dict[str, tuple[object, ...]] = {
        "addcdiv_": (x + 1, x + 2),
        "addcmul_": (x, x),
        "clamp_": (1, 3),
        "cumprod_": (0,),
        "cumsum_": (1,),
        "index_add_": (0, index, x.clone()),
        "index_copy_": (0, index, x.clone()),
        "index_fill_": (1, index, 7),
        "lerp_": (x * 2, 0.25),
        "masked_fill_": (x > 2, 0),
        "scatter_": (0, torch.tensor([[1, 0]]), 5),
        "scatter_add_": (0, torch.tensor([[1, 0]]), x[:1].clone()),
        "scatter_reduce_": (0, torch.tensor([[1, 0]]), x[:1].clone(), "sum"),
    }
    return special.get(name, (2,) if name in OF_TWO else ())


@pytest.mark.parametrize("name", NAMES)
def test_is_the_operation_without_the_underscore(name: str) -> None:
    bits = name.startswith("bitwise")
    x = torch.tensor([[1, 2, 3], [4, 5, 6]] if bits else [[1.5, 2.0, 0.5], [3.25, 4.0, 2.75]])
    plain = getattr(x, name[:-1])(*arguments(name, x))
    whole = torch.zeros(2, 4, dtype=x.dtype)
    part = whole[:, 1:]
    part.copy_(x)
    assert getattr(part, name)(*arguments(name, x)) is part
    expected = plain.to(dtype=x.dtype).numpy()
    np.testing.assert_array_equal(part.numpy(), expected)
    np.testing.assert_array_equal(whole.numpy()[:, 1:], expected)
    assert whole.numpy()[:, 0].tolist() == [0, 0]


def test_keeps_what_the_gradient_needs() -> None:
    leaf = torch.tensor([0.5, 1.0, 2.0], requires_grad=True)
    x = leaf * 2
    x.sin_()
    x.square_()
    x.sum().backward()
    angles = np.array([1.0, 2.0, 4.0])
    assert leaf.grad is not None
    np.testing.assert_allclose(leaf.grad.numpy(), 2 * np.sin(2 * angles), rtol=1e-5)


def test_in_compiled_functions() -> None:
    @torch.compile
    def step(x: torch.Tensor) -> torch.Tensor:
        x.exp_().cumsum_(0)
        return x.sum()

    x = torch.tensor([0.0, 1.0])
    assert float(step(x)) == pytest.approx(2 + np.e, rel=1e-6)
    np.testing.assert_allclose(x.numpy(), [1, 1 + np.e], rtol=1e-6)


def test_operators() -> None:
    x = torch.tensor([5, 6, 7])
    x <<= 2
    x |= 1
    x &= 29
    x ^= 2
    x >>= 1
    x //= 3
    x %= 3
    assert x.tolist() == [((((((v << 2) | 1) & 29) ^ 2) >> 1) // 3) % 3 for v in (5, 6, 7)]


def test_errors() -> None:
    x = torch.tensor([1, 2])
    with pytest.raises(DTypeError, match="can't be stored in place"):
        x.exp_()
    with pytest.raises(ShapeError, match="does not fit into its tensor"):
        x.fmod_(torch.ones(2, 2, dtype=torch.int64))
    with pytest.raises(GradientError, match="a leaf tensor"):
        torch.ones(2, requires_grad=True).exp_()
    with pytest.raises(ShapeError, match="share memory"):
        torch.ones(1).expand(3).exp_()


@pytest.mark.parametrize(
    "given", [2.0, [1.0], None, np.ones(2)], ids=["number", "list", "None", "array"]
)
def test_only_tensors_are_copied_in(given: Any) -> None:
    x = torch.ones(2)
    for _ in range(2):
        with pytest.raises(torch.errors.OperandError, match="copy_ takes a tensor"):
            x.copy_(given)
        x.copy_(torch.full((1,), 3))
        assert x.tolist() == [3.0, 3.0]
    assert x.copy_(source=torch.zeros(2)).tolist() == [0.0, 0.0]
