"""Small networks of kernels, some of which only look like a linear layer and its ReLU."""

from collections.abc import Callable, Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from picograd.check.generation.sketch import Sketch
from picograd.check.meaning import Program
from picograd.dialects.kernel import FusedOp
from picograd.dialects.tensor import (
    BinaryKind,
    BinaryOp,
    BroadcastOp,
    MatmulOp,
    PermuteOp,
    ReshapeOp,
    UnaryOp,
)
from picograd.passes.rules.matching import splat_in
from picograd.study.exercises.drawing import drawn, linear, matrix, relu, shape_of, splat, written
from picograd.study.exercises.exercise import Exercise
from picograd.study.exercises.swap_linear_relu.reference import SwapLinearRelu

WAY = "canonicalize,cse,dce,outline_kernels"
LABEL = "linear_relu"

Layer = Callable[[Sketch, SSAValue], SSAValue]


def _plain(sketch: Sketch, x: SSAValue) -> SSAValue:
    return relu(sketch, linear(sketch, x, sketch.choose((3, 4, 5))))


def _bias_first(sketch: Sketch, x: SSAValue) -> SSAValue:
    rows, depth = shape_of(x)
    bias = sketch.add(BroadcastOp(matrix(sketch, 4), (rows, 4)))
    product = sketch.add(MatmulOp(x, matrix(sketch, depth, 4)))
    total = sketch.add(BinaryOp("add", bias, product))
    return sketch.add(BinaryOp("maximum", splat(sketch, total, 0.0), total))


def _weights_permuted(sketch: Sketch, x: SSAValue) -> SSAValue:
    rows, depth = shape_of(x)
    weights = sketch.add(PermuteOp(matrix(sketch, 5, depth), (1, 0)))
    product = sketch.add(MatmulOp(x, weights))
    bias = sketch.add(BroadcastOp(matrix(sketch, 5), (rows, 5)))
    return relu(sketch, sketch.add(BinaryOp("add", product, bias)))


def _bias_of_rows(sketch: Sketch, x: SSAValue) -> SSAValue:
    """A bias for each row, of a square product: a different broadcast."""
    rows, depth = shape_of(x)
    product = sketch.add(MatmulOp(x, matrix(sketch, depth, rows)))
    column = sketch.add(ReshapeOp(matrix(sketch, rows), (rows, 1)))
    bias = sketch.add(BroadcastOp(column, (rows, rows)))
    return relu(sketch, sketch.add(BinaryOp("add", product, bias)))


def _residual(sketch: Sketch, x: SSAValue) -> SSAValue:
    """What is added is a matrix of its own."""
    depth = shape_of(x)[1]
    product = sketch.add(MatmulOp(x, matrix(sketch, depth, depth)))
    return relu(sketch, sketch.add(BinaryOp("add", product, x)))


def _product_read_twice(sketch: Sketch, x: SSAValue) -> SSAValue:
    rows, depth = shape_of(x)
    product = sketch.add(MatmulOp(x, matrix(sketch, depth, 3)))
    bias = sketch.add(BroadcastOp(matrix(sketch, 3), (rows, 3)))
    active = relu(sketch, sketch.add(BinaryOp("add", product, bias)))
    return sketch.add(BinaryOp("mul", active, sketch.add(UnaryOp("tanh", product))))


def _sum_read_twice(sketch: Sketch, x: SSAValue) -> SSAValue:
    total = linear(sketch, x, 4)
    active = relu(sketch, total)
    return sketch.add(BinaryOp("sub", active, total))


def _clipped(kind: str, number: float) -> Layer:
    def layer(sketch: Sketch, x: SSAValue) -> SSAValue:
        total = linear(sketch, x, 4)
        return sketch.add(BinaryOp(kind, total, splat(sketch, total, number)))

    return layer


def _bias_subtracted(sketch: Sketch, x: SSAValue) -> SSAValue:
    rows, depth = shape_of(x)
    product = sketch.add(MatmulOp(x, matrix(sketch, depth, 4)))
    bias = sketch.add(BroadcastOp(matrix(sketch, 4), (rows, 4)))
    return relu(sketch, sketch.add(BinaryOp("sub", product, bias)))


def _computed_bias(sketch: Sketch, x: SSAValue) -> SSAValue:
    """The bias is a kernel's result, and that kernel stands after the product's."""
    rows, depth = shape_of(x)
    product = sketch.add(MatmulOp(x, matrix(sketch, depth, 4)))
    bias = sketch.add(UnaryOp("tanh", matrix(sketch, 4)))
    wide = sketch.add(BroadcastOp(bias, (rows, 4)))
    return relu(sketch, sketch.add(BinaryOp("add", product, wide)))


_SWAPPED: tuple[Layer, ...] = (_plain, _plain, _bias_first, _weights_permuted, _computed_bias)
_TRAPS: tuple[Layer, ...] = (
    _bias_of_rows,
    _residual,
    _product_read_twice,
    _sum_read_twice,
    _clipped("maximum", 1.0),
    _clipped("minimum", 0.0),
    _bias_subtracted,
)


def _network(layers: Sequence[Layer]) -> Callable[[Sketch], Sequence[SSAValue]]:
    def draw(sketch: Sketch) -> Sequence[SSAValue]:
        x = matrix(sketch, sketch.choose((1, 2, 3, 5)), sketch.choose((2, 3, 4)))
        results: list[SSAValue] = []
        for _ in range(sketch.number(1, 3)):
            x = sketch.choose(layers)(sketch, x)
            if sketch.number(0, 4) == 0:
                results.append(sketch.values[-3])
        return [*results, x]

    return draw


def _each_alone() -> list[Program]:
    programs: list[Program] = []
    for layer in (*_SWAPPED, *_TRAPS):
        programs += drawn(lambda s, one=layer: [one(s, matrix(s, 3, 4))], 1, WAY, "one layer")
    return programs


_INTERMEDIATES_RETURNED = """
func.func @main(%x: tensor<2x3xf32>, %w: tensor<3x2xf32>, %b: tensor<2xf32>)
    -> (tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>) {
  %p = pico.matmul %x, %w : tensor<2x3xf32>, tensor<3x2xf32> -> tensor<2x2xf32>
  %r = pico.broadcast %b to [2, 2] : tensor<2xf32> -> tensor<2x2xf32>
  %s = pico.binary add %p, %r : tensor<2x2xf32>
  %z = pico.constant dense<0.0> : tensor<2x2xf32>
  %y = pico.binary maximum %s, %z : tensor<2x2xf32>
  func.return %OUT0, %OUT1, %y : tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>
}
"""


def _returned(first: str, second: str) -> Program:
    """NaN and infinity in, and a value from the middle out."""
    text = _INTERMEDIATES_RETURNED.replace("OUT0", first).replace("OUT1", second)
    return written(text, WAY)


def _programs() -> list[Program]:
    returned = [_returned("y", "y"), _returned("p", "p"), _returned("s", "y"), _returned("p", "s")]
    networks = drawn(_network((*_SWAPPED, *_TRAPS)), 30, WAY, "networks")
    return [*_each_alone(), *returned, *networks]


def _measured() -> list[Program]:
    return drawn(_network((*_SWAPPED, _residual, _sum_read_twice)), 20, WAY, "measured networks")


def _rule(before: ModuleOp, after: ModuleOp) -> str:
    """What is called linear_relu is one, and what has been joined is called so."""
    kernels = [op for op in after.walk() if isinstance(op, FusedOp)]
    swapped = [kernel for kernel in kernels if kernel.label.data == LABEL]
    for kernel in swapped:
        products = sum(isinstance(op, MatmulOp) for op in kernel.block.ops)
        if products != 1:
            return f"a kernel labelled {LABEL} computes one pico.matmul; one computes {products}"
        last = kernel.yield_op.values[0].owner
        if isinstance(last, BinaryOp) and not _is_relu(last):
            return f"a kernel labelled {LABEL} returns a maximum with 0; one does not"
    fewer = sum(isinstance(op, FusedOp) for op in before.walk()) - len(kernels)
    if fewer > 0 and not swapped:
        return f"kernels were joined, and none of them is labelled {LABEL}"
    return ""


def _is_relu(op: BinaryOp) -> bool:
    return op.kind.data == BinaryKind.MAXIMUM and 0 in (splat_in(op.a), splat_in(op.b))


SWAP_LINEAR_RELU = Exercise(
    number=2,
    name="swap_linear_relu",
    title="a linear layer and its ReLU, swapped for one kernel",
    reference=SwapLinearRelu(),
    programs=_programs,
    measured=_measured,
    measures=("launches", "bytes_moved"),
    rule=_rule,
)
