"""Types that loops do not have: an op on them is lowered or refused, and crashes no pass."""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, ModuleOp, i64

from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import as_passes
from picograd.dialects.buffer import DONATED, KernelOp
from picograd.dialects.dtypes import dtype_of, type_of, uint8
from picograd.dialects.tensor import CastOp, TensorOp, moves_elements
from picograd.errors import DTypeError, IndexOutOfRange
from picograd.semantics.evaluate import entry_of, evaluate
from picograd.semantics.samples import SAMPLES, Sample

TO_BUFFERS = "outline_kernels,lower_kernels_to_buffers,reuse_in_place"


def narrow_samples(op: type[TensorOp]) -> Iterator[Sample]:
    """One sample of every kind and set of dtypes with a narrow one among them, all of uint8."""
    seen: set[object] = set()
    for sample in SAMPLES[op]:
        key = (str(sample.properties.get("kind")), sample.dtypes)
        if any(dtype.is_narrow for dtype in sample.dtypes) and (
            uint8 in sample.dtypes or key not in seen
        ):
            seen.add(key)
            yield sample


def module_of(sample: Sample) -> ModuleOp:
    """The sample's module, with an argument given away that its result may be stored in."""
    module = sample.module()
    function = entry_of(module)
    (result,) = function.function_type.outputs
    fit = next((argument for argument in function.args if argument.type == result), None)
    given = DictionaryAttr({DONATED: IntegerAttr(0, i64)})
    function.arg_attrs = ArrayAttr(
        given if argument is fit else DictionaryAttr({}) for argument in function.args
    )
    return module


def is_legal(sample: Sample) -> bool:
    """Whether loops can do it: narrow types are only moved or cast, and uint8 is not even held."""
    op = next(op for op in entry_of(sample.module()).body.block.ops if isinstance(op, TensorOp))
    types = {dtype_of(type_of(value)) for value in (*op.operands, op.result)}
    held = moves_elements(op) or isinstance(op, CastOp)
    return uint8 not in types and (held or not any(dtype.is_narrow for dtype in types))


@pytest.mark.parametrize("op", SAMPLES, ids=lambda op: op.__name__)
def test_every_op_on_narrow_types_is_lowered_or_refused(op: type[TensorOp]) -> None:
    for sample in narrow_samples(op):
        module = module_of(sample)
        run_pipeline(module, as_passes(TO_BUFFERS))
        try:
            run_pipeline(module, as_passes("lower_buffers_to_loops"))
        except DTypeError as error:
            assert error.code == "PG717" and not is_legal(sample), (sample, error)
            continue
        verify_module(module)
        # Whatever is of size zero leaves no kernel to be looked at.
        with suppress(IndexOutOfRange):
            evaluate(module, [array.copy() for array in sample.inputs])


@pytest.mark.parametrize("type", ["i32", "ui8"])
def test_of_types_that_loops_lack_nothing_is_proved_and_nothing_reused(type: str) -> None:
    module = parse_module(
        f"""
        func.func @main(%x: tensor<3x{type}> {{pico.donated = 0 : i64}}, %y: tensor<3x{type}>)
            -> tensor<3x{type}> {{
          %z = pico.binary floordiv %x, %y : tensor<3x{type}>
          func.return %z : tensor<3x{type}>
        }}"""
    )
    run_pipeline(module, as_passes(TO_BUFFERS))
    found = [bool(kernel.updates) for kernel in module.walk() if isinstance(kernel, KernelOp)]
    assert found == [type == "i32"]
    inputs = [np.array(n, np.uint8 if type == "ui8" else np.int32) for n in ([7, 2, 9], [2, 2, 0])]
    (result,) = evaluate(module, inputs)
    np.testing.assert_array_equal(result, [3, 1, 0])


def test_a_kernel_that_only_holds_uint8_is_refused() -> None:
    module = parse_module(
        """
        func.func @main(%x: tensor<3xui8>) -> tensor<3xui8> {
          func.return %x : tensor<3xui8>
        }"""
    )
    with pytest.raises(DTypeError, match=r"buffer\.kernel holds uint8"):
        run_pipeline(module, as_passes(f"{TO_BUFFERS},lower_buffers_to_loops"))
