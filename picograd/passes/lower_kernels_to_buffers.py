"""Put the tensors between kernels in memory: from kernel level to buffer level.

Before:

```mlir
builtin.module {
  func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
    %h = kernel.fused "exp" (%a = %x : tensor<3xf32>) -> (tensor<3xf32>) {
      %e = pico.unary exp %a : tensor<3xf32>
      kernel.yield %e : tensor<3xf32>
    }
    %y = kernel.fused "sqrt" (%b = %h : tensor<3xf32>) -> (tensor<3xf32>) {
      %s = pico.unary sqrt %b : tensor<3xf32>
      kernel.yield %s : tensor<3xf32>
    }
    func.return %y : tensor<3xf32>
  }
}
```

After:

```mlir
builtin.module {
  func.func @main(%x: memref<3xf32>, %y: memref<3xf32> {buffer.output, pico.name = "y"}) {
    %h = buffer.alloc : memref<3xf32>
    buffer.kernel "exp" reads(%a = %x : memref<3xf32>) writes(%h_1 = %h : memref<3xf32>) {
      %a_1 = buffer.read %a : memref<3xf32> -> tensor<3xf32>
      %e = pico.unary exp %a_1 : tensor<3xf32>
      buffer.write %e, %h_1 : tensor<3xf32>, memref<3xf32>
    }
    buffer.kernel "sqrt" reads(%b = %h : memref<3xf32>) writes(%y_1 = %y : memref<3xf32>) {
      %b_1 = buffer.read %b : memref<3xf32> -> tensor<3xf32>
      %s = pico.unary sqrt %b_1 : tensor<3xf32>
      buffer.write %s, %y_1 : tensor<3xf32>, memref<3xf32>
    }
    func.return
  }
}
```

Requires: every value that the function returns is a kernel result of its own, as `outline_kernels`
leaves it.

Does not: reuse memory (that is `plan_buffers`), or change the order of the kernels. Tensors without
elements get no memory: nothing reads or writes them. Constants of more than a few different
elements become `buffer.constant`, shared by all kernels that read them.
"""

from collections.abc import Sequence
from dataclasses import field
from typing import ClassVar, cast

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.rewriter import Rewriter

from picograd.dialects import buffer
from picograd.dialects.dtypes import AnyMemRef, AnyTensor, dtype_of, memref_type
from picograd.dialects.kernel import FusedOp
from picograd.dialects.literals import Literal, literal, splat_value
from picograd.dialects.quick import clone
from picograd.dialects.tensor import ConstantOp
from picograd.errors import PassError
from picograd.passes.base import Level, Pass
from picograd.quick_dataclasses import dataclass

# Constants of up to this many elements stay in the code of the kernel that reads them.
INLINE_ELEMENTS = 16


@dataclass(frozen=True)
class LowerKernelsToBuffers(Pass):
    """Put the tensors between kernels in memory."""

    name: ClassVar[str] = "lower_kernels_to_buffers"
    level_in: ClassVar[Level] = Level.KERNEL
    level_out: ClassVar[Level] = Level.BUFFER

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in tuple(op.ops):
            if isinstance(function, FuncOp) and not function.is_declaration:
                Rewriter.replace_op(function, lower_function(function), [])


def lower_function(function: FuncOp) -> FuncOp:
    """The function at buffer level: results become trailing arguments marked `buffer.output`.

    Raises PassError where a returned value is no kernel's result, or is returned twice.
    """
    terminator = function.body.block.last_op
    assert isinstance(terminator, ReturnOp)
    returned = tuple(terminator.operands)
    _check_returned(function, returned)
    inputs = [_memref(value) for value in function.args]
    block = Block(arg_types=[*inputs, *map(_memref, returned)])
    for source, argument in zip((*function.args, *returned), block.args, strict=True):
        argument.name_hint = source.name_hint
    lowering = _Lowering(block, dict(zip((*function.args, *returned), block.args, strict=True)))
    for op in tuple(function.body.block.ops)[:-1]:
        assert isinstance(op, FusedOp)
        lowering.lower(op)
    lowering.finish()
    lowered = FuncOp(
        function.sym_name.data,
        (list(block.arg_types), []),
        Region(block),
        function.sym_visibility,
        arg_attrs=_argument_attributes(function, returned),
    )
    lowered.attributes.update(function.attributes)
    return lowered


def _check_returned(function: FuncOp, returned: Sequence[SSAValue]) -> None:
    own = [value for value in dict.fromkeys(returned) if isinstance(value.owner, FusedOp)]
    if len(own) != len(returned):
        raise PassError(
            "a returned value is not the result of a kernel of its own",
            code="PG709",
            expected="a different result of a kernel.fused in each place of func.return",
            found=f"{len(returned)} returned values, {len(own)} of them results of their own",
            hint="copy what is returned twice, or is an argument, with a kernel that yields it",
            where=f"@{function.sym_name.data}",
        )


def _argument_attributes(
    function: FuncOp, returned: Sequence[SSAValue]
) -> ArrayAttr[DictionaryAttr]:
    """The arguments' attributes: as they were, then one dictionary for each result."""
    inputs = list(function.arg_attrs or [DictionaryAttr({}) for _ in function.args])
    outputs: list[DictionaryAttr] = []
    declared = list(function.res_attrs or [DictionaryAttr({}) for _ in returned])
    for value, attributes in zip(returned, declared, strict=True):
        entries: dict[str, Attribute] = {buffer.OUTPUT: UnitAttr()}
        if value.name_hint is not None:
            entries[buffer.NAME] = StringAttr(value.name_hint)
        outputs.append(DictionaryAttr(entries | dict(attributes.data)))
    return ArrayAttr([*inputs, *outputs])


def _as_name(label: str) -> str | None:
    """The name of a buffer that has none of its own: that of the kernel that fills it."""
    return label if SSAValue.is_valid_name(label) else None


def _memref(value: SSAValue) -> AnyMemRef:
    type = cast(AnyTensor, value.type)
    return memref_type(type.get_shape(), type.element_type)


def _is_empty(value: SSAValue) -> bool:
    return 0 in cast(AnyTensor, value.type).get_shape()


@dataclass
class _Lowering:
    """One function on its way: `memory` maps tensors between kernels to where they live."""

    block: Block
    memory: dict[SSAValue, SSAValue]
    constants: dict[Literal, SSAValue] = field(default_factory=dict[Literal, SSAValue])
    kernels: list[buffer.KernelOp] = field(default_factory=list[buffer.KernelOp])

    def lower(self, op: FusedOp) -> None:
        """Make the `buffer.kernel` of a `kernel.fused`, unless nobody reads what it writes."""
        wanted: list[tuple[SSAValue, SSAValue]] = [
            (inner, outer)
            for inner, outer in zip(op.yield_op.values, op.outputs, strict=True)
            if outer.first_use is not None and not _is_empty(outer)
        ]
        if not wanted:
            return
        for _, outer in wanted:
            if outer not in self.memory:
                alloc = buffer.AllocOp(_memref(outer))
                alloc.result.name_hint = outer.name_hint or _as_name(op.label.data)
                self.block.add_op(alloc)
                self.memory[outer] = alloc.result
        self.kernels.append(self._kernel(op, wanted))

    def finish(self) -> None:
        """Append the kernels, after the memory that they use."""
        self.block.add_ops([*self.kernels, ReturnOp()])

    def _kernel(self, op: FusedOp, wanted: list[tuple[SSAValue, SSAValue]]) -> buffer.KernelOp:
        body = _Body()
        for argument, outside in zip(op.block.args, op.inputs, strict=True):
            if argument.first_use is not None:
                body.inside[argument] = (
                    body.empty(argument)
                    if _is_empty(argument)
                    else body.read(self.memory[outside], argument.name_hint)
                )
        for inner in tuple(op.block.ops)[:-1]:
            if isinstance(inner, ConstantOp) and _is_large(inner.value):
                memory = self._constant(inner)
                body.inside[inner.result] = body.read(memory, memory.name_hint)
            else:
                body.block.add_op(clone(inner, body.inside))
        reads = tuple(body.reads)
        for inner_value, outer in wanted:
            body.write(body.inside[inner_value], self.memory[outer], outer.name_hint)
        writes = [self.memory[outer] for _, outer in wanted]
        return buffer.KernelOp(op.label, reads, writes, Region(body.block), op.absorbed_names)

    def _constant(self, op: ConstantOp) -> SSAValue:
        """The memory of a large constant, one for all kernels."""
        if op.value not in self.constants:
            constant = buffer.ConstantOp(op.value)
            constant.result.name_hint = op.result.name_hint or "constant"
            self.block.add_op(constant)
            self.constants[op.value] = constant.result
        return self.constants[op.value]


def _is_large(value: Literal) -> bool:
    return len(value) > INLINE_ELEMENTS and splat_value(value) is None


class _Body:
    """The body of a `buffer.kernel` under construction."""

    def __init__(self) -> None:
        self.block = Block()
        self.inside: dict[SSAValue, SSAValue] = {}
        self.reads: dict[SSAValue, SSAValue] = {}

    def read(self, memory: SSAValue, name: str | None) -> SSAValue:
        """The tensor in `memory`, which is read once however often it is asked for."""
        if memory not in self.reads:
            argument = self.block.insert_arg(memory.type, len(self.block.args))
            read = buffer.ReadOp(argument)
            argument.name_hint = read.result.name_hint = name
            self.block.add_op(read)
            self.reads[memory] = read.result
        return self.reads[memory]

    def empty(self, like: SSAValue) -> SSAValue:
        """A tensor without elements."""
        type = cast(AnyTensor, like.type)
        array = np.zeros(type.get_shape(), dtype_of(type).numpy)
        constant = ConstantOp(literal(array))
        self.block.add_op(constant)
        return constant.result

    def write(self, value: SSAValue, memory: SSAValue, name: str | None) -> None:
        """Store a tensor in `memory`."""
        argument = self.block.insert_arg(memory.type, len(self.block.args))
        argument.name_hint = name
        self.block.add_op(buffer.WriteOp(value, argument))
