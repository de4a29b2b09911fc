"""The tensor dialect parses, prints and verifies; its typing rules explain themselves."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.test import TestOp as SourceOp
from xdsl.ir import SSAValue
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import is_side_effect_free
from xdsl.utils.exceptions import VerifyException

from picograd.dialects import new_context, tensor
from picograd.dialects.dtypes import (
    DType,
    bool_,
    float32,
    float64,
    int32,
    int64,
    tensor_type,
)
from picograd.dialects.literals import literal
from picograd.dialects.tensor import (
    OPS,
    ArgReduceOp,
    ArgSortOp,
    BinaryOp,
    BroadcastOp,
    CastOp,
    CompareOp,
    ConcatOp,
    ConstantOp,
    ConvolutionOp,
    GatherOp,
    IotaOp,
    MatmulOp,
    PadOp,
    PermuteOp,
    RandomBitsOp,
    ReduceKind,
    ReduceKindAttr,
    ReduceOp,
    ReshapeOp,
    ReverseOp,
    ScanOp,
    ScatterOp,
    SelectOp,
    SliceOp,
    TensorOp,
    UnaryOp,
    WindowsOp,
    int_array,
    is_view,
)
from picograd.errors import AxisError, DTypeError, OptionError, PicogradError, ShapeError
from picograd.semantics.samples import SAMPLES


def parse(text: str) -> ModuleOp:
    module = Parser(new_context(), text).parse_module()
    module.verify()
    return module


def value(*shape: int, dtype: DType = float32) -> SSAValue:
    return SourceOp(result_types=[tensor_type(shape, dtype)]).results[0]


def generic(module: ModuleOp) -> str:
    stream = StringIO()
    Printer(stream, print_generic_format=True).print_op(module)
    return stream.getvalue()


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_every_sample_round_trips(op: type[TensorOp]):
    for sample in SAMPLES[op]:
        module = sample.module()
        module.verify()
        text = str(module)
        again = parse(text)
        assert again.is_structurally_equivalent(module), sample
        assert str(again) == text


@pytest.mark.parametrize("op", [op for op in OPS if op is not ConstantOp], ids=lambda op: op.name)
def test_generic_form_round_trips(op: type[TensorOp]):
    module = SAMPLES[op][-1].module()
    assert parse(generic(module)).is_structurally_equivalent(module)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_every_op_is_pure_and_documented(op: type[TensorOp]):
    sample = SAMPLES[op][0]
    (function,) = sample.module().body.ops
    instance = next(o for o in function.walk() if isinstance(o, op))
    assert is_side_effect_free(instance)
    assert op.__doc__ and len(op.__doc__) > 20


def test_the_example_of_the_documentation_is_valid():
    documentation = tensor.__doc__
    assert documentation is not None
    module = parse(documentation[documentation.index("    func.func") :])
    assert "%h = pico.matmul %x, %w" in str(module)


def test_text_is_readable():
    a = value(64, 128)
    add = BinaryOp("add", a, a)
    add.result.name_hint = "h"
    a.name_hint = "a"
    assert str(add) == "%h = pico.binary add %a, %a : tensor<64x128xf32>"
    total = ReduceOp("max", add, (1,))
    assert "pico.reduce max %h axes [1] : tensor<64x128xf32> -> tensor<64xf32>" in str(total)


def test_make_sets_hint_and_line():
    x = ConstantOp(literal(np.zeros((3, 4), np.float32)))
    properties = {"kind": ReduceKindAttr(ReduceKind.ADD), "axes": int_array((0,))}
    op = ReduceOp.make([x.result], properties, name_hint="loss", at="model.py:12")
    assert op.result.type == tensor_type((4,), float32)
    again = list(parse(str(ModuleOp([x, op]))).body.ops)[1]
    assert again.results[0].name_hint == "loss"
    assert again.attributes == {"at": StringAttr("model.py:12")}
    assert again.properties == op.properties


def test_views_are_the_five_index_maps():
    x = value(2, 3)
    views = [
        ReshapeOp(x, (6,)),
        PermuteOp(x, (1, 0)),
        BroadcastOp(x, (4, 2, 3)),
        SliceOp(x, (0, 1), (2, 3)),
        ReverseOp(x, (1,)),
        WindowsOp(x, 1, 2),
    ]
    assert all(is_view(op) for op in views)
    others = [UnaryOp("neg", x), PadOp(x, (0, 0), (1, 1)), ConcatOp([x, x], 0)]
    assert not any(is_view(op) for op in others)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: IotaOp(5, int64), "tensor<5xi64>"),
        (lambda: ConstantOp(literal(np.zeros((2, 0), np.float64))), "tensor<2x0xf64>"),
        (lambda: RandomBitsOp(value(4, dtype=int32), (2, 3)), "tensor<2x3xi32>"),
        (lambda: CompareOp("lt", value(2), value(2)), "tensor<2xi1>"),
        (lambda: SelectOp(value(2, dtype=bool_), value(2), value(2)), "tensor<2xf32>"),
        (lambda: CastOp(value(2, 3), int32), "tensor<2x3xi32>"),
        (lambda: ReduceOp("add", value(2, 3, 4), (0, 2)), "tensor<3xf32>"),
        (lambda: ReduceOp("add", value(), ()), "tensor<f32>"),
        (lambda: ArgReduceOp("max", value(2, 3), 1), "tensor<2xi64>"),
        (lambda: ScanOp("max", value(2, 3, dtype=int32), 1), "tensor<2x3xi32>"),
        (lambda: ScanOp("mul", value(0), 0, exclusive=True), "tensor<0xf32>"),
        (lambda: ArgSortOp(value(2, 3), 1, descending=True), "tensor<2x3xi64>"),
        (lambda: MatmulOp(value(5, 2, 3), value(5, 3, 4)), "tensor<5x2x4xf32>"),
        (lambda: WindowsOp(value(2, 9), 1, 3, 2, 2), "tensor<2x3x3xf32>"),
        (
            lambda: ConvolutionOp(value(2, 4, 9), value(6, 2, 3), (2,), (1,), (0,), (2,), 2),
            "tensor<2x6x3xf32>",
        ),
        (
            lambda: ConvolutionOp(
                value(0, 1, 3, 3), value(0, 1, 3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1
            ),
            "tensor<0x0x3x3xf32>",
        ),
        (lambda: ReshapeOp(value(), (1, 1)), "tensor<1x1xf32>"),
        (lambda: PermuteOp(value(2, 3, 4), (2, 0, 1)), "tensor<4x2x3xf32>"),
        (lambda: BroadcastOp(value(3, 1), (2, 3, 4)), "tensor<2x3x4xf32>"),
        (lambda: SliceOp(value(7), (1,), (7,), (3,)), "tensor<2xf32>"),
        (lambda: PadOp(value(3), (1,), (2,), (1,)), "tensor<8xf32>"),
        (lambda: PadOp(value(0), (1,), (2,), (5,)), "tensor<3xf32>"),
        (lambda: ConcatOp([value(2, 3), value(2, 1)], 1), "tensor<2x4xf32>"),
        (lambda: GatherOp(value(2, 3), value(2, 9, dtype=int64), 1), "tensor<2x9xf32>"),
        (
            lambda: ScatterOp("set", value(2, 3), value(2, 1, dtype=int32), value(2, 1), 1),
            "tensor<2x3xf32>",
        ),
    ],
)
def test_result_types(build: Callable[[], TensorOp], expected: str):
    op = build()
    op.verify()
    assert str(op.result.type) == expected


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: UnaryOp("exp", value(2, dtype=int32)), DTypeError, "exp does not take .* int32"),
        (lambda: UnaryOp("not", value(2)), DTypeError, "(?s)not .* float32.*bool or int"),
        (lambda: UnaryOp("neg", value(2, dtype=bool_)), DTypeError, "neg .* bool"),
        (lambda: BinaryOp("add", value(2), value(3)), ShapeError, r"(?s)add .*\[2\] and \[3\]"),
        (
            lambda: BinaryOp("add", value(2), value(2, dtype=int32)),
            DTypeError,
            "(?s)one dtype.*float32 and int32.*cast",
        ),
        (
            lambda: BinaryOp("div", value(2, dtype=int32), value(2, dtype=int32)),
            DTypeError,
            "div does not take",
        ),
        (lambda: BinaryOp("shl", value(2), value(2)), DTypeError, "shl does not take"),
        (
            lambda: CompareOp("lt", value(2, dtype=bool_), value(2, dtype=bool_)),
            DTypeError,
            "lt does not take",
        ),
        (lambda: SelectOp(value(2), value(2), value(2)), DTypeError, "condition"),
        (
            lambda: SelectOp(value(3, dtype=bool_), value(2), value(2)),
            ShapeError,
            r"(?s)one shape.*\[3\] and \[2\]",
        ),
        (lambda: ReduceOp("add", value(2, 3), (2,)), AxisError, "axis 2 does not exist"),
        (lambda: ReduceOp("add", value(2, 3), (1, 0)), AxisError, "ascending"),
        (lambda: ReduceOp("add", value(2, 3), (1, 1)), AxisError, "each once"),
        (lambda: ReduceOp("max", value(2, 0), (1,)), ShapeError, "no value on an empty axis"),
        (lambda: ReduceOp("and", value(2), (0,)), DTypeError, "reduce and"),
        (lambda: ArgReduceOp("min", value(0), 0), ShapeError, "empty axis"),
        (lambda: ArgReduceOp("min", value(), 0), AxisError, "rank 0"),
        (lambda: ScanOp("add", value(), 0), AxisError, "rank 0"),
        (lambda: ScanOp("add", value(2, dtype=bool_), 0), DTypeError, "scan add does not take"),
        (lambda: ScanOp("max", value(2), 0, exclusive=True), OptionError, "no value for no"),
        (lambda: ArgSortOp(value(2), 1), AxisError, "axis 1"),
        (lambda: ArgSortOp(value(2, dtype=bool_), 0), DTypeError, "argsort does not take"),
        (
            lambda: MatmulOp(value(2, 3), value(4, 5)),
            ShapeError,
            r"(?s)inner sizes differ.*3 rows.*\[2, 3\] @ \[4, 5\]",
        ),
        (lambda: MatmulOp(value(3), value(3)), ShapeError, "rank"),
        (lambda: MatmulOp(value(2, 1, 3), value(1, 3, 1)), ShapeError, "batch sizes"),
        (
            lambda: MatmulOp(value(2, 3), value(3, 2, dtype=float64)),
            DTypeError,
            "float32 and float64",
        ),
        (lambda: WindowsOp(value(2, 4), 1, 3, 1, 2), ShapeError, "span 5"),
        (lambda: WindowsOp(value(2, 4), 1, 0), ShapeError, "none below 1"),
        (lambda: WindowsOp(value(2, 4), 2, 1), AxisError, "axis 2"),
        (
            lambda: ConvolutionOp(value(1, 3, 5), value(2, 2, 3), (1,), (0,), (0,), (1,)),
            ShapeError,
            "3 input channels",
        ),
        (
            lambda: ConvolutionOp(value(1, 4, 5), value(3, 2, 3), (1,), (0,), (0,), (1,), 2),
            ShapeError,
            "2 channels in each of 2 groups",
        ),
        (
            lambda: ConvolutionOp(value(1, 2, 3), value(2, 2, 3), (1,), (0,), (1,), (2,)),
            ShapeError,
            "(?s)padded input.*span 5",
        ),
        (
            lambda: ConvolutionOp(value(1, 2, 3), value(2, 2, 3, 3), (1,), (0,), (0,), (1,)),
            ShapeError,
            "one rank",
        ),
        (
            lambda: ConvolutionOp(value(1, 2, 3), value(2, 2, 3), (0,), (0,), (0,), (1,)),
            ShapeError,
            "strides",
        ),
        (
            lambda: ConvolutionOp(
                value(1, 2, 3), value(2, 2, 3, dtype=float64), (1,), (0,), (0,), (1,)
            ),
            DTypeError,
            "float32 and float64",
        ),
        (lambda: ReshapeOp(value(2, 3), (5,)), ShapeError, "(?s)6 elements.*5 elements"),
        (lambda: ReshapeOp(value(2, 3), (-1, 6)), ShapeError, "static shapes"),
        (lambda: PermuteOp(value(2, 3), (0, 0)), ShapeError, "every axis once"),
        (lambda: BroadcastOp(value(3), (4,)), ShapeError, "does not broadcast"),
        (lambda: BroadcastOp(value(3, 1), (3,)), ShapeError, "does not broadcast"),
        (lambda: SliceOp(value(3), (1,), (4,)), ShapeError, "slice leaves axis 0"),
        (lambda: SliceOp(value(3), (2,), (1,)), ShapeError, "start 2, limit 1"),
        (lambda: SliceOp(value(3), (0,), (3,), (0,)), ShapeError, "steps"),
        (lambda: SliceOp(value(3), (), ()), ShapeError, "one number for every axis"),
        (lambda: ReverseOp(value(3), (1,)), AxisError, "axis 1"),
        (lambda: PadOp(value(3), (-1,), (0,)), ShapeError, "low"),
        (lambda: ConcatOp([], 0), ShapeError, "at least one"),
        (lambda: ConcatOp([value(2), value(2, dtype=int32)], 0), DTypeError, "one dtype"),
        (lambda: ConcatOp([value(2, 3), value(3, 3)], 1), ShapeError, "other sizes are equal"),
        (lambda: GatherOp(value(3), value(3), 0), DTypeError, "int32 or int64"),
        (lambda: GatherOp(value(3), value(3, 1, dtype=int32), 0), ShapeError, "rank"),
        (lambda: GatherOp(value(3, 2), value(3, 3, dtype=int32), 0), ShapeError, "other sizes"),
        (
            lambda: ScatterOp("add", value(3), value(2, dtype=int32), value(1), 0),
            ShapeError,
            "index, updates",
        ),
        (
            lambda: ScatterOp("add", value(3), value(2, dtype=int32), value(2, dtype=float64), 0),
            DTypeError,
            "updates have the operand's dtype",
        ),
        (lambda: RandomBitsOp(value(4), (2,)), DTypeError, "state is int32"),
        (lambda: RandomBitsOp(value(3, dtype=int32), (2,)), ShapeError, "key low"),
        (lambda: IotaOp(3, bool_), DTypeError, "iota"),
    ],
)
def test_typing_errors_explain_themselves(
    build: Callable[[], Any], error: type[PicogradError], message: str
):
    with pytest.raises(error, match=message) as caught:
        build()
    assert caught.value.expected or caught.value.hint


def test_a_wrong_result_type_does_not_verify():
    text = (
        "%x = pico.constant dense<0.0> : tensor<2x3xf32>\n"
        "%y = pico.reduce add %x axes [1] : tensor<2x3xf32> -> tensor<3xf32>"
    )
    module = Parser(new_context(), text).parse_module()
    with pytest.raises(
        VerifyException, match=r"(?s)expected: tensor<2xf32>.*found: *tensor<3xf32>"
    ):
        module.verify()


def test_wrong_operands_do_not_verify():
    text = "%x = pico.constant dense<0> : tensor<2xi32>\n%y = pico.unary exp %x : tensor<2xi32>"
    module = Parser(new_context(), text).parse_module()
    with pytest.raises(VerifyException, match="exp does not take elements of type int32"):
        module.verify()


def test_dynamic_shapes_do_not_verify():
    module = Parser(
        new_context(),
        "func.func @main(%x: tensor<?xf32>) {\n"
        "%y = pico.unary exp %x : tensor<?xf32>\n func.return }",
    ).parse_module()
    with pytest.raises(VerifyException, match="static shapes"):
        module.verify()
