"""What a fused kernel is called: from what it contains, in the words of people who write models."""

from collections.abc import Sequence

from xdsl.ir import SSAValue

from picograd.dialects.literals import splat_value
from picograd.dialects.tensor import (
    ArgReduceOp,
    ArgSortOp,
    BinaryKind,
    BinaryOp,
    BroadcastOp,
    CompareKind,
    CompareOp,
    ConcatOp,
    ConstantOp,
    ConvolutionOp,
    GatherOp,
    IotaOp,
    MatmulOp,
    PadOp,
    RandomBitsOp,
    ReduceKind,
    ReduceOp,
    ScanOp,
    ScatterOp,
    SelectOp,
    TensorOp,
    UnaryKind,
    UnaryOp,
)
from picograd.passes.fusion.body import Body
from picograd.passes.fusion.cost import elements

LONGEST = 4
"""Words in a label."""

_NOTABLE = (
    MatmulOp,
    ConvolutionOp,
    GatherOp,
    ScatterOp,
    ScanOp,
    ArgSortOp,
    ConcatOp,
    PadOp,
    RandomBitsOp,
    ArgReduceOp,
)


def label_for(body: Body) -> str:
    """A label such as `linear_relu`, `softmax`, `sum` or `add_mul`."""
    if len(body.kernels) == 1:
        return body.kernels[0].label.data
    if len(body.outputs) > 1 and all(elements(value) == 1 for value in body.outputs):
        return "scalars"
    words = _notable_words(body) or _plain_words(body)
    return "_".join(words[:LONGEST]) or "copy"


def _notable_words(body: Body) -> list[str]:
    """Words for all but plain arithmetic, with well-known combinations under their own names."""
    words = [word for op in body.ops if (word := _word(body, op)) is not None]
    found = set(words)
    if {"max", "exp", "sum"} <= found:
        name = "softmax"
        if "log" in found:
            name = "cross_entropy" if found & {"gather", "iota"} else "log_softmax"
        words = [name, *_without(words, {"max", "exp", "sum", "log", "gather", "neg"})]
    if words.count("sum") >= 2 and found & {"rsqrt", "sqrt"}:
        words = ["layernorm", *_without(words, {"sum", "rsqrt", "sqrt"})]
    if "sqrt" in words and len(body.outputs) >= 3:
        words = [*_without(words, {"sqrt"}), "adam"]
    return list(dict.fromkeys(words))


def _without(words: Sequence[str], gone: set[str]) -> list[str]:
    return [word for word in words if word not in gone]


def _word(body: Body, op: TensorOp) -> str | None:
    """The word for an op; None for plain arithmetic and views."""
    if isinstance(op, MatmulOp):
        return "linear" if _has_bias(body, op) else "matmul"
    if isinstance(op, ReduceOp):
        return "sum" if op.kind.data == ReduceKind.ADD else op.kind.data.value
    if isinstance(op, _NOTABLE):
        return op.name.partition(".")[2]
    if isinstance(op, UnaryOp) and op.kind.data != UnaryKind.NEG:
        return op.kind.data.value
    if isinstance(op, BinaryOp) and op.kind.data == BinaryKind.MAXIMUM:
        return "relu" if any(_is_zero(body, v) for v in body.operands(op)) else "maximum"
    return "relu" if isinstance(op, SelectOp) and _is_relu(body, op) else None


def _plain_words(body: Body) -> list[str]:
    """Words for arithmetic, in order, each once."""
    words = [
        op.kind.data.value
        if isinstance(op, BinaryOp | CompareOp | UnaryOp)
        else op.name.partition(".")[2]
        for op in body.ops
        if not (op.IS_VIEW or isinstance(op, ConstantOp | IotaOp))
    ]
    return list(dict.fromkeys(words))


def _has_bias(body: Body, product: MatmulOp) -> bool:
    """Whether a vector, repeated along the rows, is added to a product."""
    for op in body.ops:
        if isinstance(op, BinaryOp) and op.kind.data == BinaryKind.ADD:
            operands = body.operands(op)
            others = [v for v in operands if _through_views(body, v) is not product.result]
            if len(others) == 1 and isinstance(body.defining(others[0]), BroadcastOp):
                return True
    return False


def _is_relu(body: Body, op: SelectOp) -> bool:
    """Whether a selection is 0 where x <= 0, and x elsewhere."""
    condition, zero, x = body.operands(op)
    compare = body.defining(condition)
    return (
        isinstance(compare, CompareOp)
        and compare.kind.data == CompareKind.LE
        and body.operands(compare)[0] is x
        and _is_zero(body, zero)
        and _is_zero(body, body.operands(compare)[1])
    )


def _through_views(body: Body, value: SSAValue) -> SSAValue:
    op = body.defining(value)
    while op is not None and op.IS_VIEW:
        value = body.operands(op)[0]
        op = body.defining(value)
    return value


def _is_zero(body: Body, value: SSAValue) -> bool:
    op = body.defining(_through_views(body, value))
    return isinstance(op, ConstantOp) and splat_value(op.value) == 0
