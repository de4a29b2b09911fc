"""How arrays look in GPU memory; needs no GPU."""

import numpy as np
import pytest

from picograd.backends.wgsl.pool import size_class
from picograd.backends.wgsl.storage import pack, unpack
from picograd.dialects import dtypes
from picograd.errors import DTypeError


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 0, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64, np.bool_])
def test_an_array_survives_the_way_in_and_out(
    shape: tuple[int, ...], dtype: type, rng: np.random.Generator
) -> None:
    array = np.asarray(rng.integers(-9, 9, shape) if dtype != np.bool_ else rng.random(shape) < 0.5)
    array = array.astype(dtype)
    stored = pack(array)
    assert stored.itemsize == 4
    assert stored.shape == shape
    back = unpack(stored.tobytes(), shape, dtypes.from_numpy(array.dtype))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable


def test_a_strided_array_is_packed_densely(rng: np.random.Generator) -> None:
    array = rng.standard_normal((7, 6)).astype(np.float32)[::2, ::-3].T
    np.testing.assert_array_equal(unpack(pack(array).tobytes(), array.shape, dtypes.float32), array)


def test_special_floats_keep_their_bits() -> None:
    array = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38], np.float32)
    assert unpack(pack(array).tobytes(), (6,), dtypes.float32).tobytes() == array.tobytes()


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**62])
def test_an_integer_of_more_than_32_bits_is_refused(value: int) -> None:
    with pytest.raises(DTypeError, match="does not fit") as caught:
        pack(np.array([1, value]))
    assert str(value) in caught.value.found
    assert "cpu" in caught.value.hint


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31)])
def test_the_extreme_32_bit_integers_pass(value: int) -> None:
    assert pack(np.array(value)).item() == value


def test_float64_is_refused() -> None:
    with pytest.raises(DTypeError, match="cannot hold") as caught:
        pack(np.zeros(3, np.float64))
    assert "float64" in caught.value.found


@pytest.mark.parametrize(
    "dtype",
    [dtypes.float16, dtypes.bfloat16, dtypes.int8, dtypes.int16, dtypes.uint8],
    ids=lambda dtype: dtype.name,
)
def test_narrow_types_are_held_widened(dtype: dtypes.DType) -> None:
    """Every value of the type goes in and comes back."""
    count = 2 ** (8 * dtype.itemsize)
    bits = np.arange(count).astype(f"u{dtype.itemsize}")
    array = bits.view(dtype.numpy)
    packed = pack(array)
    assert packed.dtype == (np.float32 if dtype.is_float else np.int32)
    back = unpack(packed.tobytes(), (count,), dtype)
    assert back.dtype == dtype.numpy
    np.testing.assert_array_equal(back.astype(np.float32), array.astype(np.float32))


def test_size_classes_waste_little() -> None:
    for nbytes in [*range(1, 5000, 7), 10**6, 10**6 + 1, 2**27, 2**27 + 4]:
        size = size_class(nbytes)
        assert size % 256 == 0
        assert nbytes <= size <= max(256, nbytes * 1.25 + 256)
        assert size_class(size) == size
