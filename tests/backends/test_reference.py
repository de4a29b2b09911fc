"""The reference device's buffers."""

from typing import Any

import numpy as np
import pytest

from picograd.backends.reference import ReferenceDevice
from picograd.backends.runtime import Buffer, poison
from picograd.dialects.dtypes import bool_, float32, int64, tensor_type
from picograd.errors import DeviceError, DTypeError

DTYPES = [np.float32, np.float64, np.int32, np.int64, np.bool_]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 5)])
def test_upload_and_download_copy(shape: tuple[int, ...], dtype: Any) -> None:
    device = ReferenceDevice()
    array = np.asarray(np.random.default_rng(0).integers(-5, 5, shape)).astype(dtype)
    buffer = device.upload(array)
    assert isinstance(buffer, Buffer)
    assert buffer.nbytes == array.nbytes and buffer.device is device
    assert buffer.type.get_shape() == shape
    result = device.download(buffer)
    np.testing.assert_array_equal(result, array)
    assert result.dtype == array.dtype
    result[...] = 1
    array[...] = 0
    assert not np.shares_memory(result, device.download(buffer))


def test_strided_arrays_become_dense() -> None:
    device = ReferenceDevice()
    array = np.arange(12.0).reshape(3, 4).T[::2]
    np.testing.assert_array_equal(device.download(device.upload(array)), array)


def test_fresh_memory_is_poisoned() -> None:
    device = ReferenceDevice()
    floats = device.download(device.allocate(tensor_type((3,), float32)))
    assert np.isnan(floats).all()
    numbers = device.download(device.allocate(tensor_type((3,), int64)))
    assert (numbers == np.iinfo(np.int64).max).all()
    assert device.allocate(tensor_type((2,), bool_)).nbytes == 2


def test_poison_leaves_bools_valid() -> None:
    array = np.zeros(3, np.bool_)
    poison(array)
    assert array.dtype == np.bool_


class Alien:
    """A buffer of some other device."""

    type = tensor_type((), float32)
    nbytes = 4

    def __init__(self, device: ReferenceDevice) -> None:
        self.device = device


def test_alien_dtypes_and_buffers() -> None:
    device = ReferenceDevice()
    with pytest.raises(DTypeError):
        device.upload(np.zeros(2, np.complex64))

    with pytest.raises(DeviceError, match="another device"):
        device.download(Alien(device))
