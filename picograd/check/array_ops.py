"""A builder of ops whose values are NumPy arrays, for tests of tables of rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.ir import Attribute

from picograd.dialects.dtypes import AnyTensor, from_numpy, tensor_type
from picograd.dialects.tensor import TensorOp
from picograd.semantics.builder import Array, Ops
from picograd.semantics.evaluate import evaluate
from picograd.semantics.samples import Sample


class ArrayOps(Ops[Array]):
    """Evaluates each op as it is built."""

    def emit(
        self,
        op: type[TensorOp],
        operands: Sequence[Array],
        properties: Mapping[str, Attribute] = {},
        name_hint: str | None = None,
    ) -> Array:
        return evaluate(Sample("", op, properties, tuple(operands)).module(), operands)[0]

    def constant(self, array: Array) -> Array:
        return array

    def type_of(self, value: Array) -> AnyTensor:
        return tensor_type(value.shape, from_numpy(value.dtype))


class SampleCall:
    """A sample as the call that a gradient or tangent rule sees."""

    def __init__(self, sample: Sample) -> None:
        ops = ArrayOps()
        self.properties = sample.properties
        self.operand_types = [ops.type_of(array) for array in sample.inputs]
        self._operands = sample.inputs
        self._result = ops.emit(sample.op, sample.inputs, sample.properties)
        self.result_type = ops.type_of(self._result)

    def operand(self, index: int) -> Array:
        return self._operands[index]

    def result(self) -> Array:
        return self._result

    def needs(self, index: int) -> bool:
        return True
