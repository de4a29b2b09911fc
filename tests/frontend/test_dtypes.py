"""Narrow dtypes as users meet them: promotion, creation, conversion, printing, limits."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

import picograd as torch
from picograd.dialects.dtypes import DTYPES, DType
from picograd.errors import DTypeError

HALVES = (torch.float16, torch.bfloat16)
SMALL = (torch.int8, torch.int16, torch.uint8)

# PyTorch 2.13: torch.promote_types of every pair.
ORDER = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
]
UNEQUAL = {
    ("uint8", "int8"): "int16",
    ("float16", "bfloat16"): "float32",
}


@pytest.mark.parametrize(("a", "b"), list(itertools.combinations(ORDER, 2)))
def test_dtypes_promote_as_in_pytorch(a: str, b: str) -> None:
    expected = UNEQUAL.get((a, b), b)
    one, other = (next(d for d in DTYPES if d.name == name) for name in (a, b))
    assert torch.promote_types(one, other).name == expected
    assert torch.promote_types(other, one).name == expected


def test_names_of_pytorch() -> None:
    assert torch.half is torch.float16 and torch.short is torch.int16
    x = torch.tensor([1.0, 2.0])
    converted = {
        "half": torch.float16,
        "bfloat16": torch.bfloat16,
        "char": torch.int8,
        "short": torch.int16,
        "byte": torch.uint8,
    }
    for name, dtype in converted.items():
        assert getattr(x, name)().dtype is dtype
        assert x.to(dtype).dtype is dtype
        assert x.to(dtype).element_size() == dtype.itemsize
    assert torch.bfloat16.is_floating_point and not torch.uint8.is_floating_point


def test_limits() -> None:
    half, brain = torch.finfo(torch.half), torch.finfo(torch.bfloat16)
    assert (half.eps, half.max, half.tiny, half.bits) == (2.0**-10, 65504.0, 2.0**-14, 16)
    assert (brain.eps, brain.resolution, brain.smallest_normal) == (2.0**-7, 0.01, 2.0**-126)
    assert torch.finfo().dtype == "float32"
    small = torch.iinfo(torch.uint8)
    assert (small.min, small.max, small.bits) == (0, 255, 8)
    with pytest.raises(DTypeError, match="finfo is for floats"):
        torch.finfo(torch.int8)
    with pytest.raises(DTypeError, match="iinfo is for integers"):
        torch.iinfo(torch.half)


@pytest.mark.parametrize("dtype", [*HALVES, *SMALL], ids=lambda dtype: dtype.name)
def test_arrays_come_and_go_in_their_dtype(dtype: DType) -> None:
    array = np.arange(12).reshape(3, 4).astype(dtype.numpy)
    tensor = torch.tensor(array)
    assert tensor.dtype is dtype
    assert tensor.numpy().dtype == dtype.numpy
    np.testing.assert_array_equal(tensor.numpy(), array)
    assert tensor.tolist() == array.tolist()


def test_bfloat16_arrays_are_those_of_ml_dtypes() -> None:
    assert torch.ones(2, dtype=torch.bfloat16).numpy().dtype == ml_dtypes.bfloat16


def test_lists_must_fit() -> None:
    assert torch.tensor([-1, 255], dtype=torch.uint8).tolist() == [255, 255]
    assert torch.tensor(1e6, dtype=torch.half).item() == float("inf")
    for number, dtype in ((300, torch.uint8), (-129, torch.int8), (40000, torch.int16)):
        with pytest.raises(DTypeError, match=f"{number} does not fit into {dtype.name}"):
            torch.tensor([0, number], dtype=dtype)
        with pytest.raises(DTypeError, match=f"{number} does not fit into {dtype.name}"):
            torch.full((2,), number, dtype=dtype)
    with pytest.raises(DTypeError, match="does not fit into float16"):
        torch.full((2,), 1e6, dtype=torch.half)


def test_numbers_wrap_where_tensors_do() -> None:
    small = torch.tensor([1, 250], dtype=torch.uint8)
    assert (small + 300).tolist() == [45, 38]
    assert (small - 2).tolist() == [255, 248]
    assert (-small).tolist() == [255, 6]
    assert (small == -6).tolist() == [False, True]
    assert (torch.tensor([100], dtype=torch.int8) * 2).tolist() == [-56]


RESULTS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str, str]] = {
    # what, of an int8 tensor, of a float16 tensor
    "sum": (lambda x: x.sum(), "int64", "float16"),
    "prod": (lambda x: x.prod(), "int64", "float16"),
    "max": (lambda x: x.max(), "int8", "float16"),
    "argmax": (lambda x: x.argmax(), "int64", "int64"),
    "all": (lambda x: x.all(), "bool", "bool"),
    "divided": (lambda x: x / 2, "float32", "float16"),
    "floored": (lambda x: x // 2, "int8", "float16"),
    "with a float": (lambda x: x + 1.5, "float32", "float16"),
    "exp": (lambda x: x.exp(), "float32", "float16"),
    "compared": (lambda x: x > 1, "bool", "bool"),
    "a float32 scalar": (lambda x: x * torch.tensor(2.0), "float32", "float16"),
    "product": (lambda x: x @ x, "int8", "float16"),
}


@pytest.mark.parametrize("what", RESULTS)
def test_result_dtypes(what: str) -> None:
    function, of_int8, of_half = RESULTS[what]
    numbers = [1, 2, 3]
    assert function(torch.tensor(numbers, dtype=torch.int8)).dtype.name == of_int8
    assert function(torch.tensor(numbers, dtype=torch.half)).dtype.name == of_half


def test_uint8_truth_is_uint8() -> None:
    x = torch.tensor([0, 3], dtype=torch.uint8)
    assert x.any().dtype is torch.uint8 and x.any().item() == 1
    assert x.all().item() == 0


def test_sums_of_halves_do_not_stop_growing() -> None:
    """In float16 2048 + 1 is 2048; sums are kept in float32."""
    assert torch.ones(3000, dtype=torch.half).sum().item() == 3000
    assert (torch.ones(300, 300, dtype=torch.half) * 2).mean().item() == 2
    assert torch.ones(1, 3000, dtype=torch.bfloat16).matmul(
        torch.ones(3000, 1, dtype=torch.bfloat16)
    ).item() == float(np.float32(3000).astype(ml_dtypes.bfloat16))


def test_printing() -> None:
    assert repr(torch.tensor([0.1, 1.5], dtype=torch.bfloat16)) == (
        "tensor([0.1001, 1.5000], dtype=picograd.bfloat16, device='reference')"
        if torch.default_device() != "reference"
        else "tensor([0.1001, 1.5000], dtype=picograd.bfloat16)"
    )


@pytest.mark.parametrize("dtype", HALVES, ids=lambda dtype: dtype.name)
def test_gradients_have_the_dtype_of_their_tensor(dtype: DType) -> None:
    x = torch.tensor([0.5, -1.25, 2.0]).to(dtype).requires_grad_()
    (x * x).sum().backward()
    assert x.grad is not None and x.grad.dtype is dtype
    assert x.grad.tolist() == [1.0, -2.5, 4.0]
    y = torch.tensor([0.5, -1.25, 2.0]).requires_grad_()
    y.to(dtype).exp().sum().backward()
    assert y.grad is not None and y.grad.dtype is torch.float32
    np.testing.assert_allclose(y.grad.numpy(), np.exp([0.5, -1.25, 2.0]), rtol=2 * 2.0**-8)


@pytest.mark.parametrize("dtype", HALVES, ids=lambda dtype: dtype.name)
def test_random_halves_are_rounded_float32_ones(dtype: DType) -> None:
    torch.manual_seed(3)
    wide = torch.randn(7)
    torch.manual_seed(3)
    assert torch.equal(torch.randn(7, dtype=dtype), wide.to(dtype))


@pytest.mark.parametrize("dtype", HALVES, ids=lambda dtype: dtype.name)
def test_uniform_halves_stay_below_1(dtype: DType) -> None:
    torch.manual_seed(3)
    numbers = torch.rand(20000, dtype=dtype).float().numpy()
    step = torch.finfo(dtype).eps / 2
    assert numbers.min() == 0 and numbers.max() == 1 - step
    assert np.array_equal(numbers / step, np.rint(numbers / step))


@pytest.mark.parametrize("dtype", HALVES, ids=lambda dtype: dtype.name)
def test_a_module_learns_in_halves(dtype: DType) -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x = torch.randn(32, 3, dtype=dtype)
    target = x.sum(dim=1, keepdim=True)
    losses: list[float] = []
    for _ in range(30):
        loss = ((model(x) - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert loss.dtype is dtype and model.weight.dtype is dtype
    assert losses[-1] < 0.1 * losses[0]
