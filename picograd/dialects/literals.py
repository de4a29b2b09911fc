"""Literals: between NumPy arrays and the `dense<…>` attributes of constants."""

from __future__ import annotations

from functools import lru_cache
from io import StringIO
from math import prod
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import (
    AnyFloat,
    BytesAttr,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    RankedStructure,
)
from xdsl.ir import Attribute
from xdsl.printer import Printer

from picograd.dialects.dtypes import (
    AnyTensor,
    DType,
    bfloat16,
    dtype_of,
    from_ir,
    from_numpy,
    is_float_array,
    tensor_type,
)

Literal: TypeAlias = DenseIntOrFPElementsAttr[Any]
Array: TypeAlias = NDArray[Any]

_LONGEST_LIST = 64
"""Literals of more elements are printed in hexadecimal, unless they are splats."""


def literal(array: Array | np.generic | float, dtype: DType | None = None) -> Literal:
    """The attribute `dense<…> : tensor<…>` of an array or number."""
    elements: Array = np.asarray(array, dtype=None if dtype is None else dtype.numpy)
    type = tensor_type(elements.shape, from_numpy(elements.dtype))
    if elements.size and not any(elements.strides):  # a number, or one that was broadcast
        return _splat(_stored(elements[(0,) * elements.ndim]), type)
    return DenseIntOrFPElementsAttr(cast(Any, type), BytesAttr(_compact(_stored(elements), type)))


@lru_cache(maxsize=4096)
def _splat(element: bytes, type: AnyTensor) -> Literal:
    """A literal of one number, cached: models are full of them, and of equal ones."""
    return DenseIntOrFPElementsAttr(cast(Any, type), BytesAttr(element))


def splat(value: bool | float, shape: tuple[int, ...], dtype: DType) -> Literal:
    """`dense<value>` of a whole shape."""
    one = _stored(np.full((), value, dtype.numpy))
    return _splat(one if prod(shape) else b"", tensor_type(shape, dtype))


def _stored(array: Array | np.generic) -> bytes:
    if array.dtype == np.bool_:
        # The parser spells true as the byte -1; equal constants must be equal attributes.
        array = np.where(array, np.int8(-1), np.int8(0))
    return array.tobytes()


def _compact(data: bytes, type: AnyTensor) -> bytes:
    """The bytes that a literal keeps: of a splat, which may be as large as a model, one element.

    Every literal of ours is kept so: equal constants must be equal attributes.
    """
    size = dtype_of(type).itemsize
    is_splat = data[:size] == data[-size:] and data == data[:size] * (len(data) // size)
    return data[:size] if is_splat else data


def literal_type(value: Literal) -> AnyTensor:
    """The tensor type of a literal."""
    type: RankedStructure[Attribute] = cast(Any, value.type)
    return tensor_type(type.get_shape(), type.element_type)


def own_literal(value: Literal) -> Literal:
    """The same numbers as `literal` keeps them, of tensor type (text may give a memref type)."""
    type = literal_type(value)
    data = value.data.data
    return DenseIntOrFPElementsAttr(cast(Any, type), BytesAttr(_compact(data, type)))


def array_of(value: Literal) -> Array:
    """The (read-only) array that a literal means."""
    type = literal_type(value)
    dtype, shape = dtype_of(type), type.get_shape()
    data = value.data.data
    array = np.frombuffer(data, np.int8) != 0 if dtype.is_bool else np.frombuffer(data, dtype.numpy)
    if array.size == 1:
        return np.broadcast_to(array[0], shape)
    array.flags.writeable = False
    return array.reshape(shape)


def splat_value(value: Literal) -> bool | int | float | None:
    """The one number of which a literal consists, compared bit by bit; None when there is none."""
    type = literal_type(value)
    dtype = dtype_of(type)
    data = _compact(value.data.data, type)
    if len(data) != dtype.itemsize:
        return None
    return data != b"\0" if dtype.is_bool else np.frombuffer(data, dtype.numpy)[0].item()


def scalar_attr(value: bool | float, element_type: Attribute) -> Attribute:
    """`1.0 : f32` or `1 : i32`, rounded to the element type."""
    dtype = from_ir(element_type)
    number = dtype.numpy.type(value).item()
    if dtype.is_float:
        return FloatAttr(number, cast(AnyFloat, element_type))
    # As the parser does, true is kept as -1, the signed reading of the bit.
    return IntegerAttr(-int(number) if dtype.is_bool else number, cast(IntegerType, element_type))


def scalar_type(attribute: Attribute) -> Attribute | None:
    """The element type of a number attribute; None for any other attribute."""
    if isinstance(attribute, IntegerAttr | FloatAttr):
        return cast(Attribute, cast(Any, attribute).type)
    return None


def scalar_value(attribute: Attribute) -> bool | int | float:
    """The number in an attribute that `scalar_attr` made."""
    type = scalar_type(attribute)
    assert type is not None
    value: int | float = cast(Any, attribute).value.data
    return bool(value) if from_ir(type).is_bool else value


def print_literal(printer: Printer, value: Literal, type: Attribute | None = None) -> None:
    """Print `dense<…> : type` so that it parses back bit for bit, signed zeros and NaN included.

    xDSL's own printer takes [0.0, -0.0] for a splat, and prints NaN, infinity and floats such as
    1234567.0 as hexadecimal numbers, which its parser of literals reads as integers; those are
    hexadecimal strings here. `type` is printed instead of the literal's own.
    """
    array = array_of(value)
    one = splat_value(value)
    printer.print_string("dense<")
    if is_float_array(array) and not np.isfinite(array).all():
        data = _compact(value.data.data, literal_type(value))
        printer.print_string(f'"0x{data.hex().upper()}"')
    elif one is not None:
        printer.print_string(_element_text(array.reshape(-1)[0]))
    elif array.size > _LONGEST_LIST:
        printer.print_string(f'"0x{value.data.data.hex().upper()}"')
    elif array.size:
        printer.print_string(_list_text(array))
    printer.print_string("> : ")
    printer.print_attribute(value.type if type is None else type)


def literal_text(array: Array) -> str:
    """The text of an array as a literal, from which it parses back bit for bit."""
    text = StringIO()
    print_literal(Printer(text), literal(array))
    return text.getvalue()


def _list_text(array: Array) -> str:
    if array.ndim == 0:
        return _element_text(array.reshape(-1)[0])
    return "[" + ", ".join(_list_text(part) for part in array) + "]"


def _element_text(value: Any) -> str:
    """The shortest text that reads back as the same number; floats always have a point."""
    number: bool | int | float = value.item()
    if isinstance(number, bool):
        return "true" if number else "false"
    if isinstance(number, float):
        if value.dtype == bfloat16.numpy:
            value = np.float32(number)  # NumPy prints only its own floats
        if not number or 1e-4 <= abs(number) < 1e7:
            return np.format_float_positional(value, trim="0")
        return np.format_float_scientific(value, trim="0")
    return str(number)
