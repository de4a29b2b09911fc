"""Element types: one object a dtype, naming its NumPy and its IR spelling.

IR integers are signless, as in MLIR: `i8` to `i64` mean the signed types, `i1` is bool. `ui8` is
the one type with a sign in its name; it exists at tensor level only (`legalize_types`).

NumPy has no bfloat16; the package ml_dtypes adds it, as it does for JAX. To NumPy it is no kind of
float (its `kind` is "V"), so ask `is_float_array`, not the kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, Literal, TypeAlias, cast

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    Float32Type,
    Float64Type,
    IntegerType,
    MemRefType,
    Signedness,
    TensorType,
)
from xdsl.ir import Attribute, SSAValue

from picograd.errors import DTypeError
from picograd.quick_dataclasses import dataclass

AnyTensor: TypeAlias = TensorType[Attribute]
AnyMemRef: TypeAlias = MemRefType[Attribute]
ElementType: TypeAlias = Float16Type | BFloat16Type | Float32Type | Float64Type | IntegerType
Kind = Literal["bool", "int", "float"]


@dataclass(frozen=True)
class DType:
    """An element type. Equal dtypes are the same object."""

    name: str
    numpy: np.dtype[np.generic]
    ir: ElementType
    kind: Kind

    @property
    def itemsize(self) -> int:
        """Bytes of one element in CPU memory (a bool takes one)."""
        return self.numpy.itemsize

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_int(self) -> bool:
        return self.kind == "int"

    @property
    def is_bool(self) -> bool:
        return self.kind == "bool"

    @property
    def is_half(self) -> bool:
        """Whether this is one of the two floats of 16 bits: computed with in float32."""
        return self.is_float and self.itemsize == 2

    @property
    def is_narrow(self) -> bool:
        """Whether machines hold it in memory but compute with a wider type (`compute_dtype`)."""
        return not self.is_bool and self.itemsize < 4

    @property
    def is_signed(self) -> bool:
        """Whether there are negative numbers."""
        return not self.is_bool and self.name != "uint8"

    # PyTorch's names

    @property
    def is_floating_point(self) -> bool:
        """Whether the elements are floats."""
        return self.is_float

    @property
    def is_complex(self) -> bool:
        """Never: there are no complex dtypes."""
        return False

    def __repr__(self) -> str:
        return f"picograd.{self.name}"

    def __reduce__(self) -> str:
        """Copies and pickles are the one instance."""
        return "bool_" if self.is_bool else self.name


float16 = DType("float16", np.dtype(np.float16), Float16Type(), "float")
bfloat16 = DType("bfloat16", np.dtype(ml_dtypes.bfloat16), BFloat16Type(), "float")
float32 = DType("float32", np.dtype(np.float32), Float32Type(), "float")
float64 = DType("float64", np.dtype(np.float64), Float64Type(), "float")
int8 = DType("int8", np.dtype(np.int8), IntegerType(8), "int")
int16 = DType("int16", np.dtype(np.int16), IntegerType(16), "int")
int32 = DType("int32", np.dtype(np.int32), IntegerType(32), "int")
int64 = DType("int64", np.dtype(np.int64), IntegerType(64), "int")
uint8 = DType("uint8", np.dtype(np.uint8), IntegerType(8, Signedness.UNSIGNED), "int")
bool_ = DType("bool", np.dtype(np.bool_), IntegerType(1), "bool")

DTYPES: tuple[DType, ...] = (
    float16,
    bfloat16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    bool_,
)
_BY_NUMPY = {dtype.numpy: dtype for dtype in DTYPES}
_BY_IR: dict[Attribute, DType] = {dtype.ir: dtype for dtype in DTYPES}
_BY_IDENTITY = {id(dtype.ir): dtype for dtype in DTYPES}
"""By the element types that we make ourselves, nearly all: hashing one takes a microsecond."""


def from_numpy(dtype: np.dtype[np.generic] | type[np.generic] | type) -> DType:
    """The dtype of a NumPy dtype. Raises DTypeError for those that picograd lacks."""
    found = np.dtype(dtype)
    result = _BY_NUMPY.get(found)
    if result is None:
        raise DTypeError(
            f"no picograd dtype stands for NumPy's {found}",
            code="PG208",
            expected="one of " + ", ".join(d.name for d in DTYPES),
            found=found,
            hint="convert the array first, for instance with .astype(np.float32)",
        )
    return result


def is_float_array(array: NDArray[Any]) -> bool:
    """Whether an array holds floats: NumPy's own, or bfloat16, which NumPy does not count in."""
    return array.dtype.kind == "f" or array.dtype == bfloat16.numpy


def compute_dtype(dtype: DType) -> DType:
    """The dtype that machines compute in: float32 for halves, int32 for small integers."""
    if not dtype.is_narrow:
        return dtype
    return float32 if dtype.is_float else int32


def from_ir(element_type: Attribute) -> DType:
    """The dtype of an IR element type. Raises DTypeError for types that picograd lacks."""
    result = _BY_IDENTITY.get(id(element_type)) or _BY_IR.get(element_type)
    if result is None:
        raise DTypeError(
            f"{element_type} is no element type of picograd",
            code="PG208",
            expected="one of " + ", ".join(str(d.ir) for d in DTYPES),
            found=element_type,
            hint="convert the values to one of these types first",
        )
    return result


def dtype_of(type: AnyTensor) -> DType:
    """The dtype of a tensor type's elements."""
    return from_ir(type.element_type)


def type_of(value: SSAValue) -> AnyTensor:
    """The type of a value that is known to be a tensor."""
    return cast(AnyTensor, value.type)


@lru_cache(maxsize=4096)
def _tensor_type(shape: tuple[int, ...], element_type: Attribute) -> AnyTensor:
    return TensorType(element_type, shape)


def tensor_type(shape: Sequence[int], element_type: Attribute | DType) -> AnyTensor:
    """`tensor<shape x element_type>`, cached: building a type takes microseconds."""
    if isinstance(element_type, DType):
        element_type = element_type.ir
    return _tensor_type(tuple(shape), element_type)


@lru_cache(maxsize=4096)
def _memref_type(shape: tuple[int, ...], element_type: Attribute) -> AnyMemRef:
    return MemRefType(element_type, shape)


def memref_type(shape: Sequence[int], element_type: Attribute | DType) -> AnyMemRef:
    """`memref<shape x element_type>`: dense, row-major memory."""
    if isinstance(element_type, DType):
        element_type = element_type.ir
    return _memref_type(tuple(shape), element_type)


def nbytes_of(type: AnyTensor | AnyMemRef) -> int:
    """Bytes that the elements of a type take in CPU memory."""
    return prod(type.get_shape()) * from_ir(type.element_type).itemsize
