"""Simpler element types: float32 and int32, wherever another one stands."""

from collections.abc import Mapping
from functools import partial

import numpy as np
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Attribute, Block, SSAValue

from picograd.check.reduce.excerpt import module_with, ops_of, returned_by
from picograd.check.reduce.search import Program, Search
from picograd.dialects.dtypes import (
    DType,
    bfloat16,
    dtype_of,
    float16,
    float32,
    float64,
    from_ir,
    int8,
    int16,
    int32,
    int64,
    tensor_type,
    type_of,
    uint8,
)
from picograd.dialects.literals import Array, array_of, literal, scalar_attr, scalar_value
from picograd.dialects.tensor import ArgReduceOp, ArgSortOp, ConstantOp, PadOp, TensorOp
from picograd.passes import Level
from picograd.passes.base import level_of
from picograd.semantics.evaluate import entry_of

_SIMPLER: Mapping[DType, DType] = {
    float64: float32,
    float16: float32,
    bfloat16: float32,
    int64: int32,
    int16: int32,
    int8: int32,
    uint8: int32,
}


def simpler_dtypes(search: Search) -> None:
    """Replace dtypes in a module of tensor level: all of them, then one after the other."""
    if level_of(search.best.module) != Level.TENSOR:
        return
    if not search.accept(partial(_retyped, search.best, _SIMPLER)):
        for old, new in _SIMPLER.items():
            search.accept(partial(_retyped, search.best, {old: new}))


def _retyped(program: Program, dtypes: Mapping[DType, DType]) -> Program:
    """The program with other dtypes. An op that refuses them raises."""
    function = entry_of(program.module)
    block, new = Block(), dict[SSAValue, SSAValue]()
    inputs: list[Array] = []
    for argument, array in zip(function.args, program.inputs, strict=True):
        dtype = dtype_of(type_of(argument))
        left = dtypes.get(dtype, dtype)
        type = tensor_type(type_of(argument).get_shape(), left)
        new[argument] = block.insert_arg(type, argument.index)
        new[argument].name_hint = argument.name_hint
        with np.errstate(all="ignore"):
            inputs.append(array.astype(left.numpy))
    for op in ops_of(function):
        assert isinstance(op, TensorOp)
        properties = _properties(op, dtypes)
        made = op.make([new[value] for value in op.operands], properties, op.result.name_hint)
        made.attributes.update(op.attributes)
        new[op.result] = made.result
        block.add_op(made)
    block.add_op(ReturnOp(*(new[value] for value in returned_by(function))))
    notes = [dict(note.data) for note in function.arg_attrs or ()] or [{} for _ in inputs]
    return Program(module_with(program.module, function, block, notes), inputs)


def _properties(op: TensorOp, dtypes: Mapping[DType, DType]) -> dict[str, Attribute]:
    """The properties of an op of which the operands have other dtypes."""
    properties = dict(op.properties)
    if isinstance(op, ConstantOp):
        array = array_of(op.value)
        dtype = dtype_of(op.result.type)
        with np.errstate(all="ignore"):
            properties["value"] = literal(array.astype(dtypes.get(dtype, dtype).numpy))
    elif isinstance(op, PadOp):
        dtype = dtype_of(op.result.type)
        properties["value"] = scalar_attr(scalar_value(op.value), dtypes.get(dtype, dtype).ir)
    elif isinstance(op, ArgReduceOp | ArgSortOp):
        dtype = dtype_of(op.result.type)
        properties["element_type"] = dtypes.get(dtype, dtype).ir
    elif "element_type" in properties:
        dtype = from_ir(properties["element_type"])
        properties["element_type"] = dtypes.get(dtype, dtype).ir
    return properties
