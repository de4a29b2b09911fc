"""The edges of arithmetic that docs/architecture.md lists, on every device."""

import math
from collections.abc import Callable

import pytest

import picograd
from picograd import Tensor
from picograd.errors import DTypeError, OptionError

NAN, INF = math.nan, math.inf
DEVICES = ["reference", "cpu", pytest.param("gpu", marks=pytest.mark.gpu)]


def ints(device: str, *values: int) -> Tensor:
    return picograd.tensor(values, dtype=picograd.int32, device=device)


def floats(device: str, *values: float) -> Tensor:
    return picograd.tensor(values, device=device)


CASES: dict[str, tuple[Callable[[str], Tensor], list[float]]] = {
    "integer floordiv by 0": (lambda on: ints(on, 7, -7, 0) // ints(on, 0, 0, 0), [0, 0, 0]),
    "integer remainder by 0": (lambda on: ints(on, 7, -7, 0) % ints(on, 0, 0, 0), [0, 0, 0]),
    "float to int": (
        lambda on: floats(on, NAN, 1e20, -1e20, -2.9).to(picograd.int32),
        [0, 2**31 - 1, -(2**31), -2],
    ),
    "maximum": (
        lambda on: picograd.maximum(floats(on, NAN, 1, 2), floats(on, 1, NAN, 3)),
        [NAN, NAN, 3],
    ),
    "minimum": (
        lambda on: picograd.minimum(floats(on, NAN, 1, 2), floats(on, 1, NAN, 3)),
        [NAN, NAN, 2],
    ),
    "max": (lambda on: floats(on, 1, NAN, 3).max().reshape(1), [NAN]),
    "argmax, ties": (lambda on: floats(on, 1, 3, 3).argmax().reshape(1), [1]),
    "argmax, NaN": (lambda on: floats(on, 1, NAN, 3, NAN).argmax().reshape(1), [1]),
    "sign": (lambda on: floats(on, NAN, INF, -2.0).sign(), [NAN, 1, -1]),
    "division by 0": (lambda on: floats(on, 1, -1, 0) / floats(on, 0, 0, 0), [INF, -INF, NAN]),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_an_edge_is_where_the_table_says(case: str, device: str) -> None:
    compute, expected = CASES[case]
    assert compute(device).tolist() == pytest.approx(expected, abs=0, rel=0, nan_ok=True)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_int64_wraps_at_64_bits(device: str) -> None:
    assert (picograd.tensor([2**31 - 1], device=device) + 1).item() == 2**31
    assert (picograd.tensor([2**63 - 1], device=device) + 1).item() == -(2**63)


@pytest.mark.gpu
def test_int64_has_32_bits_on_the_gpu_and_float64_is_refused() -> None:
    assert (picograd.tensor([2**31 - 1], device="gpu") + 1).item() == -(2**31)
    with pytest.raises((OptionError, DTypeError), match=r"range|fit"):
        picograd.tensor([2**31], device="gpu")
    with pytest.raises(DTypeError, match="float64"):
        picograd.ones(2, dtype=picograd.float64, device="gpu")


@pytest.mark.parametrize("device", DEVICES)
def test_a_quotient_near_a_whole_number(device: str) -> None:
    quotient = (floats(device, 1.0) // floats(device, 0.1)).item()
    assert quotient == 9 or (device == "gpu" and quotient == 10)
