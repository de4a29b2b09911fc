"""Run a function of any level in NumPy: the reference for every pass and every device."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Operation, SSAValue

from picograd.dialects.buffer import inputs_of, outputs_of, stored_in
from picograd.dialects.dtypes import AnyTensor, from_ir
from picograd.dialects.loop import KernelOp, LaunchOp
from picograd.errors import DTypeError, SanitizerError, ShapeError, VerificationError
from picograd.semantics import buffer, kernel
from picograd.semantics.access import buffer_name
from picograd.semantics.entry import entry_of
from picograd.semantics.environment import Environment, Handler, Launcher, poisoned
from picograd.semantics.loop import run_kernel
from picograd.semantics.tensor import Array, Precision, numpy_dtype


def _launch(op: LaunchOp, environment: Environment) -> None:
    """Run a kernel of loop level on the buffers of a `loop.launch`."""
    name = op.kernel.root_reference.data
    body = environment.module.body.ops if environment.module is not None else ()
    for kernel_op in body:
        if isinstance(kernel_op, KernelOp) and kernel_op.sym_name.data == name:
            widen = environment.precision == "float64"
            sanitize = environment.sanitize
            environment.launch(
                kernel_op, environment.get(op.operands), widen=widen, sanitize=sanitize
            )
            return
    raise VerificationError(
        "loop.launch names no kernel of its module",
        code="PG604",
        expected=f"a loop.kernel @{name} beside the function",
        found="none of that name",
        hint="define the kernel, or launch one that is there",
    )


HANDLERS: dict[type[Operation], Handler] = {
    **kernel.HANDLERS,
    **buffer.HANDLERS,
    LaunchOp: _launch,
}
"""How to run each op that is no tensor op."""


def evaluate(
    module: ModuleOp | FuncOp,
    inputs: Sequence[Array],
    *,
    precision: Precision = "native",
    sanitize: bool = False,
    launch: Launcher = run_kernel,
) -> list[Array]:
    """The results of the entry function on `inputs`, as fresh arrays.

    At the buffer and loop levels the arguments marked `buffer.output` are no inputs: they are
    allocated here, poisoned, and returned. An input that a result is stored in is copied first, so
    that the caller's array stays as it is. `precision="float64"` computes all floats in float64 and
    returns them so. `sanitize` looks for parallel iterations that disturb one another, and for
    inputs that are overwritten. `launch` runs the kernels of loop level.

    Raises ShapeError or DTypeError when inputs do not fit the arguments, IndexOutOfRange for an
    index outside its axis, VerificationError for ops without meaning, and SanitizerError, which is
    one, for an access outside its memory and what `sanitize` finds.
    """
    function = entry_of(module)
    owner = module if isinstance(module, ModuleOp) else function.parent_op()
    module_of = owner if isinstance(owner, ModuleOp) else None
    environment = Environment(precision, HANDLERS, module_of, sanitize, launch)
    outputs = outputs_of(function)
    arguments = inputs_of(function)
    _check_count(len(arguments), len(inputs))
    for position, (argument, array) in enumerate(zip(arguments, inputs, strict=True)):
        admitted = _admit(array, argument.type, position, precision)
        environment.values[argument] = admitted.copy() if sanitize else admitted
    for argument in outputs:
        environment.values[argument] = poisoned(_shaped(argument.type), precision)
    for result, place in stored_in(function).items():
        held = function.args[place]
        environment.values[held] = environment.values[held].copy()
        environment.values[function.args[result]] = environment.values[held]
    with np.errstate(all="ignore"):
        environment.run(function.body.block)
    if sanitize:
        held = {function.args[place] for place in stored_in(function).values()}
        for argument, array in zip(arguments, inputs, strict=True):
            if argument not in held:
                _check_unchanged(argument, environment.values[argument], array)
    terminator = function.body.block.last_op
    returned = terminator.operands if isinstance(terminator, ReturnOp) else ()
    return [np.array(environment.values[value], order="C") for value in chain(returned, outputs)]


def _check_unchanged(argument: SSAValue, left: Array, given: Array) -> None:
    """Raise SanitizerError when an input that is not donated holds something else than before."""
    if not left.size:
        return
    bits = [
        np.ascontiguousarray(array, left.dtype).reshape(-1, 1).view(np.uint8)
        for array in (left, given)
    ]
    changed = (bits[0] != bits[1]).any(axis=1).reshape(left.shape)
    if changed.any():
        where = np.argwhere(changed)
        raise SanitizerError(
            f"the input %{buffer_name(argument)} was overwritten",
            code="PG611",
            expected="the contents that it had before the call",
            found=f"{len(where)} elements changed, the first at {where[0].tolist()}",
            hint="a kernel stores to a buffer that it only may read; an input is written only if "
            "it is donated",
            where="the evaluation",
        )


def _shaped(type: Attribute) -> AnyTensor:
    """Tensor and memref types alike have a shape and an element type."""
    assert hasattr(type, "get_shape")
    return type  # pyright: ignore[reportReturnType]


def _check_count(expected: int, found: int) -> None:
    if expected != found:
        raise ShapeError(
            "the number of inputs is not the number of arguments",
            code="PG608",
            expected=f"{expected} inputs",
            found=f"{found} inputs",
            hint="pass one array for each argument",
        )


def _admit(array: Array, type: Attribute, position: int, precision: Precision) -> Array:
    """Check one input against its argument; widen it for float64 precision."""
    shaped = _shaped(type)
    dtype = from_ir(shaped.element_type)
    if array.shape != shaped.get_shape():
        raise ShapeError(
            f"input {position} has the wrong shape",
            code="PG608",
            expected=list(shaped.get_shape()),
            found=list(array.shape),
            hint="pass an array of the argument's shape",
        )
    wide = precision == "float64" and dtype.is_float and array.dtype == np.float64
    if array.dtype != dtype.numpy and not wide:
        raise DTypeError(
            f"input {position} has the wrong dtype",
            code="PG608",
            expected=dtype.name,
            found=array.dtype,
            hint="convert the array with astype",
        )
    return array.astype(numpy_dtype(shaped.element_type, precision), copy=False)
