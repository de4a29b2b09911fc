"""How arrays look in GPU memory: every element is 32 bits wide.

    dtype     in memory   on the way in                          on the way out
    float32   f32         as it is                               as it is
    float16   f32         widened                                rounded (programs have done so)
    bfloat16  f32         widened                                rounded (programs have done so)
    int8      i32         widened                                narrowed, likewise
    int16     i32         widened                                narrowed, likewise
    uint8     i32         widened                                narrowed, likewise
    int32     i32         as it is                               as it is
    int64     i32         every value must fit in 32 bits         widened
    bool      u32         false 0, true 1                        anything but 0 is true

float64 is refused, because WGSL has no such type and rounding silently would be worse.
"""

from __future__ import annotations

import numpy as np

from picograd.backends.runtime import Array
from picograd.dialects import dtypes
from picograd.dialects.dtypes import DType
from picograd.errors import DTypeError

_STORAGE: dict[DType, np.dtype[np.generic]] = {
    dtypes.float32: np.dtype(np.float32),
    dtypes.float16: np.dtype(np.float32),
    dtypes.bfloat16: np.dtype(np.float32),
    dtypes.int8: np.dtype(np.int32),
    dtypes.int16: np.dtype(np.int32),
    dtypes.uint8: np.dtype(np.int32),
    dtypes.int32: np.dtype(np.int32),
    dtypes.int64: np.dtype(np.int32),
    dtypes.bool_: np.dtype(np.uint32),
}
ELEMENT_BYTES = 4


def check_dtype(dtype: DType) -> None:
    """Raise DTypeError for a dtype that the GPU cannot hold."""
    if dtype not in _STORAGE:
        raise DTypeError(
            f"the device 'gpu' cannot hold {dtype.name}",
            code="PG303",
            expected="float32 or a narrower float, an integer (values of 32 bits), or bool",
            found=dtype.name,
            hint="convert with .float() (or .int()), or use the device 'cpu'",
        )


def stored_alike(one: DType, other: DType) -> bool:
    """Whether two dtypes look the same in GPU memory."""
    return one is other or (_STORAGE.get(one) or one) == (_STORAGE.get(other) or other)


def pack(array: Array) -> Array:
    """The array as GPU memory holds it, C-contiguous. Raises DTypeError."""
    dtype = dtypes.from_numpy(array.dtype)
    check_dtype(dtype)
    if dtype is dtypes.int64 and array.size:
        least, greatest = int(array.min()), int(array.max())
        bounds = np.iinfo(np.int32)
        if least < bounds.min or greatest > bounds.max:
            raise DTypeError(
                "an int64 tensor holds a value that does not fit into the GPU's 32-bit integers",
                code="PG303",
                expected=f"values from {bounds.min} to {bounds.max}",
                found=f"values from {least} to {greatest}",
                hint="keep the tensor on the device 'cpu', or reduce the values first",
            )
    return np.asarray(array, dtype=_STORAGE[dtype], order="C")


def unpack(data: bytes, shape: tuple[int, ...], dtype: DType) -> Array:
    """The fresh array that `pack` turned into these bytes."""
    stored = np.frombuffer(data, _STORAGE[dtype]).reshape(shape)
    return np.asarray(stored != 0) if dtype is dtypes.bool_ else stored.astype(dtype.numpy)
