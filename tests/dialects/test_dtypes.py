"""One object a dtype, reachable from NumPy and from IR."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from xdsl.dialects.builtin import IndexType, IntegerType

from picograd.dialects import dtypes
from picograd.dialects.dtypes import DTYPES, DType, from_ir, from_numpy, memref_type, tensor_type
from picograd.errors import DTypeError


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
def test_numpy_and_ir_spell_one_dtype(dtype: DType):
    assert from_numpy(dtype.numpy) is dtype
    assert from_ir(dtype.ir) is dtype
    assert dtype.itemsize == np.zeros(1, dtype.numpy).nbytes
    assert [dtype.is_float, dtype.is_int, dtype.is_bool].count(True) == 1


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
def test_copies_are_the_same_object(dtype: DType):
    assert copy.deepcopy(dtype) is dtype
    assert pickle.loads(pickle.dumps(dtype)) is dtype


def test_bool_is_i1_and_int64_is_signless():
    assert str(dtypes.bool_.ir) == "i1"
    assert str(dtypes.int64.ir) == "i64"
    assert from_numpy(np.bool_) is dtypes.bool_


def test_alien_dtypes_are_refused():
    with pytest.raises(DTypeError, match=r"(?s)complex128.*expected:.*float32.*help:"):
        from_numpy(np.complex128)
    with pytest.raises(DTypeError, match="i4 is no element type"):
        from_ir(IntegerType(4))
    with pytest.raises(DTypeError, match="index"):
        from_ir(IndexType())


def test_types_are_cached_and_sized():
    assert tensor_type((2, 3), dtypes.float32) is tensor_type([2, 3], dtypes.float32.ir)
    assert str(memref_type((4,), dtypes.bool_)) == "memref<4xi1>"
    assert dtypes.nbytes_of(tensor_type((2, 3), dtypes.float64)) == 48
    assert dtypes.nbytes_of(memref_type((), dtypes.int32)) == 4
    assert dtypes.nbytes_of(memref_type((0, 9), dtypes.int32)) == 0
