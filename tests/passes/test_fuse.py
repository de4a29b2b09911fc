"""fuse: what becomes one kernel, what must not, and that limits hold."""

from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd.check.oracle import Case, examine
from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.compiler.pass_list import as_passes
from picograd.dialects import new_context
from picograd.dialects.buffer import KernelOp
from picograd.dialects.dtypes import dtype_of, type_of
from picograd.dialects.kernel import FusedOp
from picograd.dialects.literals import Array
from picograd.dialects.loop import LaunchOp
from picograd.dialects.tensor import MatmulOp, ReduceOp
from picograd.passes.canonicalize import Canonicalize
from picograd.passes.cse import CSE
from picograd.passes.dce import DCE
from picograd.passes.fuse import Fuse
from picograd.passes.fusion import decide
from picograd.passes.fusion.alignment import Alignment
from picograd.passes.fusion.body import Body
from picograd.passes.lower_buffers_to_loops import LowerBuffersToLoops
from picograd.passes.lower_kernels_to_buffers import LowerKernelsToBuffers
from picograd.passes.outline_kernels import OutlineKernels
from picograd.semantics.bounds import compare
from picograd.semantics.evaluate import entry_of, evaluate

TRAINING_STEP = (Path(__file__).parent / "training_step.mlir").read_text(encoding="utf-8")


def inputs_for(module: ModuleOp) -> list[Array]:
    """Random arrays; labels are below 10, second moments not negative."""
    rng = np.random.default_rng(25)
    arrays: list[Array] = []
    for argument in entry_of(module).args:
        shape, dtype = type_of(argument).get_shape(), dtype_of(type_of(argument))
        if dtype.is_float:
            values = np.asarray(rng.normal(size=shape), dtype.numpy)
            arrays.append(np.abs(values) if "sq" in (argument.name_hint or "") else values)
        else:
            arrays.append(rng.integers(0, 10, shape).astype(dtype.numpy))
    return arrays


def fused(text: str, step: Fuse | None = None) -> list[FusedOp]:
    """The kernels after the passes before fuse, and fuse; they compute what the text does."""
    before, module = parse_module(text), parse_module(text)
    for prior in (Canonicalize(), CSE(), DCE(), OutlineKernels(), step or Fuse()):
        prior.apply(new_context(), module)
    verify_module(module)
    inputs = inputs_for(before)
    report = compare(before, inputs, evaluate(module, inputs), cap=1.0)
    assert report.ok, report
    return [op for op in module.walk() if isinstance(op, FusedOp)]


def labels(kernels: list[FusedOp]) -> list[str]:
    return [kernel.label.data for kernel in kernels]


LINEAR_RELU = """
func.func @main(%x: tensor<8x5xf32>, %w: tensor<5x3xf32>, %b: tensor<3xf32>) -> tensor<8x3xf32> {
  %zero = pico.constant dense<0.0> : tensor<8x3xf32>
  %hidden = pico.matmul %x, %w : tensor<8x5xf32>, tensor<5x3xf32> -> tensor<8x3xf32>
  %wide = pico.broadcast %b to [8, 3] : tensor<3xf32> -> tensor<8x3xf32>
  %biased = pico.binary add %hidden, %wide : tensor<8x3xf32>
  %y = pico.binary maximum %biased, %zero : tensor<8x3xf32>
  func.return %y : tensor<8x3xf32>
}
"""


def test_an_epilogue_joins_its_matmul_and_names_are_kept() -> None:
    (kernel,) = fused(LINEAR_RELU)
    assert kernel.label.data == "linear_relu"
    assert kernel.absorbed_names == ("hidden", "biased")
    assert kernel.outputs[0].name_hint == "y"
    assert [v.name_hint for v in kernel.inputs] == ["x", "w", "b"]


def test_without_epilogue_the_matmul_stays_alone() -> None:
    assert labels(fused(LINEAR_RELU, Fuse(epilogue=False))) == ["matmul", "add_maximum"] or labels(
        fused(LINEAR_RELU, Fuse(epilogue=False))
    ) == ["matmul", "relu"]


CONVOLUTION_RELU = """
func.func @main(%x: tensor<2x3x6x6xf32>, %w: tensor<4x3x3x3xf32>, %b: tensor<4xf32>) -> tensor<2x4x3x3xf32> {
  %zero = pico.constant dense<0.0> : tensor<2x4x6x6xf32>
  %hidden = pico.convolution %x, %w strides [1, 1] low [1, 1] high [1, 1] dilations [1, 1] groups 1
    : tensor<2x3x6x6xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x6x6xf32>
  %column = pico.reshape %b to [4, 1, 1] : tensor<4xf32> -> tensor<4x1x1xf32>
  %wide = pico.broadcast %column to [2, 4, 6, 6] : tensor<4x1x1xf32> -> tensor<2x4x6x6xf32>
  %biased = pico.binary add %hidden, %wide : tensor<2x4x6x6xf32>
  %active = pico.binary maximum %biased, %zero : tensor<2x4x6x6xf32>
  %rows = pico.windows %active axis 2 size 2 stride 2 dilation 1 : tensor<2x4x6x6xf32> -> tensor<2x4x3x2x6xf32>
  %all = pico.windows %rows axis 4 size 2 stride 2 dilation 1 : tensor<2x4x3x2x6xf32> -> tensor<2x4x3x2x3x2xf32>
  %y = pico.reduce max %all axes [3, 5] : tensor<2x4x3x2x3x2xf32> -> tensor<2x4x3x3xf32>
  func.return %y : tensor<2x4x3x3xf32>
}
"""  # noqa: E501


def test_bias_and_activation_join_a_convolution_and_a_pool_stays_outside() -> None:
    convolution, pool = fused(CONVOLUTION_RELU)
    assert convolution.label.data == "convolution_relu"
    assert pool.label.data == "reduce_max"
    assert [v.name_hint for v in convolution.inputs] == ["x", "w", "b"]


def softmax(shape: str, rest: str, column: str, axis: int) -> str:
    return f"""
      func.func @main(%x: tensor<{shape}xf32>) -> tensor<{shape}xf32> {{
        %m = pico.reduce max %x axes [{axis}] : tensor<{shape}xf32> -> tensor<{rest}xf32>
        %m1 = pico.reshape %m to [{column}]
            : tensor<{rest}xf32> -> tensor<{column.replace(", ", "x")}xf32>
        %mb = pico.broadcast %m1 to [{shape.replace("x", ", ")}]
          : tensor<{column.replace(", ", "x")}xf32> -> tensor<{shape}xf32>
        %s = pico.binary sub %x, %mb : tensor<{shape}xf32>
        %e = pico.unary exp %s : tensor<{shape}xf32>
        %t = pico.reduce add %e axes [{axis}] : tensor<{shape}xf32> -> tensor<{rest}xf32>
        %t1 = pico.reshape %t to [{column}]
            : tensor<{rest}xf32> -> tensor<{column.replace(", ", "x")}xf32>
        %tb = pico.broadcast %t1 to [{shape.replace("x", ", ")}]
          : tensor<{column.replace(", ", "x")}xf32> -> tensor<{shape}xf32>
        %y = pico.binary div %e, %tb : tensor<{shape}xf32>
        func.return %y : tensor<{shape}xf32>
      }}"""


@pytest.mark.parametrize(
    ("shape", "rest", "column", "axis"),
    [
        ("64x10", "64", "64, 1", 1),
        ("10x64", "64", "1, 64", 0),
        ("4x7x9", "4x7", "4, 7, 1", 2),
        ("4x7x9", "4x9", "4, 1, 9", 1),
        ("1x33", "1", "1, 1", 1),
    ],
)
def test_softmax_is_one_kernel_along_any_axis(
    shape: str, rest: str, column: str, axis: int
) -> None:
    assert labels(fused(softmax(shape, rest, column, axis))) == ["softmax"]


def test_a_softmax_of_few_long_rows_is_not_left_to_one_core() -> None:
    assert len(fused(softmax("2x20000", "2", "2, 1", 1))) > 1


LAYERNORM = """
func.func @main(%x: tensor<6x4x32xf32>, %g: tensor<32xf32>, %b: tensor<32xf32>)
    -> tensor<6x4x32xf32> {
  %n = pico.constant dense<32.0> : tensor<6x4xf32>
  %eps = pico.constant dense<1.0e-5> : tensor<6x4xf32>
  %sum = pico.reduce add %x axes [2] : tensor<6x4x32xf32> -> tensor<6x4xf32>
  %mean = pico.binary div %sum, %n : tensor<6x4xf32>
  %mean1 = pico.reshape %mean to [6, 4, 1] : tensor<6x4xf32> -> tensor<6x4x1xf32>
  %meanb = pico.broadcast %mean1 to [6, 4, 32] : tensor<6x4x1xf32> -> tensor<6x4x32xf32>
  %c = pico.binary sub %x, %meanb : tensor<6x4x32xf32>
  %sq = pico.binary mul %c, %c : tensor<6x4x32xf32>
  %sqs = pico.reduce add %sq axes [2] : tensor<6x4x32xf32> -> tensor<6x4xf32>
  %var = pico.binary div %sqs, %n : tensor<6x4xf32>
  %vare = pico.binary add %var, %eps : tensor<6x4xf32>
  %r = pico.unary rsqrt %vare : tensor<6x4xf32>
  %r1 = pico.reshape %r to [6, 4, 1] : tensor<6x4xf32> -> tensor<6x4x1xf32>
  %rb = pico.broadcast %r1 to [6, 4, 32] : tensor<6x4x1xf32> -> tensor<6x4x32xf32>
  %h = pico.binary mul %c, %rb : tensor<6x4x32xf32>
  %gb = pico.broadcast %g to [6, 4, 32] : tensor<32xf32> -> tensor<6x4x32xf32>
  %hg = pico.binary mul %h, %gb : tensor<6x4x32xf32>
  %bb = pico.broadcast %b to [6, 4, 32] : tensor<32xf32> -> tensor<6x4x32xf32>
  %y = pico.binary add %hg, %bb : tensor<6x4x32xf32>
  func.return %y : tensor<6x4x32xf32>
}
"""


def test_layernorm_is_one_kernel() -> None:
    assert labels(fused(LAYERNORM)) == ["layernorm"]


def test_rows_through_a_reshape_are_the_same_rows() -> None:
    """A linear layer on [4, 6, 5]: matmul of [24, 5], bias and activation of [4, 6, 3]."""
    (kernel,) = fused(
        """
        func.func @main(%x: tensor<4x6x5xf32>, %w: tensor<5x3xf32>, %b: tensor<3xf32>)
            -> tensor<4x6x3xf32> {
          %flat = pico.reshape %x to [24, 5] : tensor<4x6x5xf32> -> tensor<24x5xf32>
          %h = pico.matmul %flat, %w : tensor<24x5xf32>, tensor<5x3xf32> -> tensor<24x3xf32>
          %h3 = pico.reshape %h to [4, 6, 3] : tensor<24x3xf32> -> tensor<4x6x3xf32>
          %bb = pico.broadcast %b to [4, 6, 3] : tensor<3xf32> -> tensor<4x6x3xf32>
          %s = pico.binary add %h3, %bb : tensor<4x6x3xf32>
          %y = pico.unary tanh %s : tensor<4x6x3xf32>
          func.return %y : tensor<4x6x3xf32>
        }"""
    )
    assert kernel.label.data == "linear_tanh"


@pytest.mark.parametrize(
    ("first", "second"),
    [((0,), (3, 0)), ((3, 0), (0,)), ((2, 0), (0, 2)), ((0, 4), (2, 2, 0)), ((0, 3), (1, 0, 3))],
)
def test_reshapes_without_elements_fuse_to_what_they_are(
    first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    """Sizes whose product is 0 do not tell which axes become which."""
    shapes = [tuple(size or 2 for size in first), first, second]
    full, a, b = ("x".join(map(str, (*shape, "f32"))) for shape in shapes)
    starts, steps = [0] * len(first), [1] * len(first)
    module = parse_module(
        f"""
        func.func @main(%x: tensor<{full}>) -> (tensor<{b}>, tensor<{a}>) {{
          %n = pico.unary neg %x : tensor<{full}>
          %e = pico.slice %n from {starts} to {list(first)} step {steps}
              : tensor<{full}> -> tensor<{a}>
          %r = pico.reshape %e to {list(second)} : tensor<{a}> -> tensor<{b}>
          %back = pico.reshape %r to {list(first)} : tensor<{b}> -> tensor<{a}>
          return %r, %back : tensor<{b}>, tensor<{a}>
        }}"""
    )
    # canonicalize would make constants of them.
    case = Case(module, tuple(inputs_for(module)), as_passes("outline_kernels,fuse"))
    assert examine(case) is None


def test_no_matmul_feeds_a_matmul_and_none_is_computed_twice() -> None:
    kernels = fused(
        """
        func.func @main(%a: tensor<4x4xf32>, %b: tensor<4x4xf32>)
            -> (tensor<4x4xf32>, tensor<4x4xf32>) {
          %p = pico.matmul %a, %b : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
          %e = pico.unary exp %p : tensor<4x4xf32>
          %q = pico.matmul %e, %b : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
          %r = pico.matmul %a, %e : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
          %s = pico.binary add %q, %r : tensor<4x4xf32>
          func.return %s, %p : tensor<4x4xf32>, tensor<4x4xf32>
        }"""
    )
    counts = [sum(isinstance(op, MatmulOp) for op in kernel.block.ops) for kernel in kernels]
    assert counts == [1, 1, 1]


def test_a_sum_of_all_rows_waits_for_the_rows() -> None:
    kernels = fused(
        """
        func.func @main(%x: tensor<64x10xf32>) -> tensor<f32> {
          %r = pico.reduce max %x axes [1] : tensor<64x10xf32> -> tensor<64xf32>
          %e = pico.unary exp %r : tensor<64xf32>
          %y = pico.reduce add %e axes [0] : tensor<64xf32> -> tensor<f32>
          func.return %y : tensor<f32>
        }"""
    )
    counts = [sum(isinstance(op, ReduceOp) for op in kernel.block.ops) for kernel in kernels]
    assert counts == [1, 1]


def test_no_cycle_between_kernels() -> None:
    """x - max(softmax-like of x) over columns and rows: the middle kernel cannot be bypassed."""
    kernels = fused(
        """
        func.func @main(%x: tensor<8x8xf32>) -> (tensor<8x8xf32>, tensor<8xf32>) {
          %e = pico.unary exp %x : tensor<8x8xf32>
          %c = pico.reduce add %e axes [0] : tensor<8x8xf32> -> tensor<8xf32>
          %d = pico.reduce max %c axes [0] : tensor<8xf32> -> tensor<f32>
          %db = pico.broadcast %d to [8, 8] : tensor<f32> -> tensor<8x8xf32>
          %y = pico.binary div %e, %db : tensor<8x8xf32>
          func.return %y, %c : tensor<8x8xf32>, tensor<8xf32>
        }"""
    )
    assert len(kernels) >= 2


SIBLINGS = """
func.func @main(%g: tensor<100x200xf32>, %m: tensor<100x200xf32>)
    -> (tensor<100x200xf32>, tensor<100x200xf32>) {
  %a = pico.binary add %g, %m : tensor<100x200xf32>
  %b = pico.binary mul %g, %g : tensor<100x200xf32>
  func.return %a, %b : tensor<100x200xf32>, tensor<100x200xf32>
}
"""


def test_siblings_that_read_one_tensor_share_a_kernel() -> None:
    assert [len(kernel.outputs) for kernel in fused(SIBLINGS)] == [2]
    assert [len(kernel.outputs) for kernel in fused(SIBLINGS, Fuse(siblings=False))] == [1, 1]


def test_an_elementwise_sibling_joins_a_sum_over_rows_of_the_same_tensor() -> None:
    """The sum comes back to the rows, so that both are written from one loop."""
    kernels = fused(
        """
        func.func @main(%x: tensor<100x200xf32>, %y: tensor<100x200xf32>)
            -> (tensor<100x200xf32>, tensor<100x200xf32>) {
          %t = pico.unary tanh %x : tensor<100x200xf32>
          %p = pico.binary mul %x, %y : tensor<100x200xf32>
          %s = pico.reduce add %p axes [1] : tensor<100x200xf32> -> tensor<100xf32>
          %r = pico.reshape %s to [100, 1] : tensor<100xf32> -> tensor<100x1xf32>
          %b = pico.broadcast %r to [100, 200] : tensor<100x1xf32> -> tensor<100x200xf32>
          %z = pico.binary add %b, %y : tensor<100x200xf32>
          func.return %t, %z : tensor<100x200xf32>, tensor<100x200xf32>
        }
        """
    )
    assert [(len(kernel.inputs), len(kernel.outputs)) for kernel in kernels] == [(2, 2)]


def test_cheap_kernels_are_copied_to_readers_that_cannot_join() -> None:
    """Doubling x is cheaper than storing it for a sum over rows and one over columns."""
    kernels = fused(
        """
        func.func @main(%x: tensor<30x40xf32>) -> (tensor<30xf32>, tensor<40xf32>) {
          %d = pico.binary add %x, %x : tensor<30x40xf32>
          %r = pico.reduce add %d axes [1] : tensor<30x40xf32> -> tensor<30xf32>
          %c = pico.reduce add %d axes [0] : tensor<30x40xf32> -> tensor<40xf32>
          func.return %r, %c : tensor<30xf32>, tensor<40xf32>
        }"""
    )
    assert len(kernels) == 2
    assert all(len(kernel.inputs) == len(kernel.outputs) == 1 for kernel in kernels)


def test_expensive_values_are_not_computed_for_every_reader() -> None:
    kernels = fused(
        """
        func.func @main(%x: tensor<512xf32>, %z: tensor<512x512xf32>) -> tensor<512x512xf32> {
          %e = pico.unary erf %x : tensor<512xf32>
          %eb = pico.broadcast %e to [512, 512] : tensor<512xf32> -> tensor<512x512xf32>
          %y = pico.binary mul %z, %eb : tensor<512x512xf32>
          func.return %y : tensor<512x512xf32>
        }"""
    )
    assert labels(kernels) == ["erf", "mul"]


@pytest.mark.parametrize("most", [3, 4, 8])
def test_no_kernel_binds_more_buffers_than_allowed(most: int) -> None:
    unfused = max(_buffers(kernel) for kernel in _outlined(TRAINING_STEP))
    for kernel in fused(TRAINING_STEP, Fuse(max_buffers=most)):
        assert _buffers(kernel) <= max(most, unfused), kernel.label.data


@pytest.mark.parametrize("most", [4, 8])
def test_the_target_limits_buffers(most: int) -> None:
    unfused = max(_buffers(kernel) for kernel in _outlined(TRAINING_STEP))
    step = Fuse(target=f"gpu:storage_buffers={most}")
    assert all(_buffers(kernel) <= max(most, unfused) for kernel in fused(TRAINING_STEP, step))


def test_what_fuse_counts_is_what_is_bound() -> None:
    module = parse_module(TRAINING_STEP)
    for step in (OutlineKernels(), Fuse(max_buffers=5), LowerKernelsToBuffers()):
        step.apply(new_context(), module)
    kernels = [op for op in module.walk() if isinstance(op, KernelOp)]
    assert max(len(kernel.operands) for kernel in kernels) <= 5


def test_small_tables_are_counted_among_the_buffers() -> None:
    """Loops read a constant of several numbers from memory, however small; equal ones once."""
    rows = "\n".join(
        f"%c{n} = pico.constant dense<[{n % 6}.0, 9.0]> : tensor<2xf32>\n"
        f"%r{n} = pico.binary mul %r{n - 1}, %c{n} : tensor<2xf32>\n"
        f"%s{n} = pico.unary exp %r{n} : tensor<2xf32>"
        for n in range(1, 13)
    )
    text = f"""func.func @main(%r0: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {{
      {rows}
      func.return %r12, %s12 : tensor<2xf32>, tensor<2xf32>
    }}"""
    for most, kernels in ((4, 3), (9, 1)):
        module = parse_module(text)
        passes = OutlineKernels(), Fuse(max_buffers=most), LowerKernelsToBuffers()
        for step in (*passes, LowerBuffersToLoops()):
            step.apply(new_context(), module)
        launches = [op for op in module.walk() if isinstance(op, LaunchOp)]
        assert max(len(launch.operands) for launch in launches) <= most
        assert len(launches) >= kernels


def test_a_training_step_becomes_few_kernels() -> None:
    """Three linear layers, ReLU, cross entropy, all gradients and Adam."""
    assert len(_outlined(TRAINING_STEP)) > 100
    kernels = fused(TRAINING_STEP)
    assert len(kernels) <= 16, labels(kernels)
    names = labels(kernels)
    assert names.count("linear_relu") == 2 and "linear" in names and "cross_entropy" in names
    assert names.count("matmul_adam") == 3


def test_fusing_again_changes_nothing() -> None:
    module = parse_module(TRAINING_STEP)
    for step in (Canonicalize(), CSE(), DCE(), OutlineKernels(), Fuse()):
        step.apply(new_context(), module)
    once = str(module)
    Fuse().apply(new_context(), module)
    assert str(module).count("kernel.fused") == once.count("kernel.fused")


def test_a_scatter_stays_alone() -> None:
    kernels = fused(
        """
        func.func @main(%x: tensor<9x4xf32>, %u: tensor<3x4xf32>) -> tensor<9x4xf32> {
          %i = pico.constant dense<[[1, 1, 1, 1], [8, 0, 2, 2], [1, 3, 3, 1]]> : tensor<3x4xi64>
          %v = pico.unary exp %u : tensor<3x4xf32>
          %s = pico.scatter add %x at %i from %v axis 0
              : tensor<9x4xf32>, tensor<3x4xi64>, tensor<3x4xf32>
          %y = pico.unary neg %s : tensor<9x4xf32>
          func.return %y : tensor<9x4xf32>
        }"""
    )
    assert labels(kernels) == ["exp", "scatter", "neg"]


def _outlined(text: str) -> list[FusedOp]:
    module = parse_module(text)
    for step in (Canonicalize(), CSE(), DCE(), OutlineKernels()):
        step.apply(new_context(), module)
    return [op for op in module.walk() if isinstance(op, FusedOp)]


def _buffers(kernel: FusedOp) -> int:
    return len(kernel.inputs) + len(kernel.outputs)


def layers(count: int) -> str:
    """As many equal layers as asked for, each a matmul, a bias, and what is added to its input."""
    lines = ["func.func @main(%x0: tensor<8x8xf32>, %w: tensor<8x8xf32>, %b: tensor<8xf32>)"]
    lines.append(" -> tensor<8x8xf32> {")
    for n in range(count):
        lines += [
            f"%h{n} = pico.matmul %x{n}, %w : tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32>",
            f"%w{n} = pico.broadcast %b to [8, 8] : tensor<8xf32> -> tensor<8x8xf32>",
            f"%s{n} = pico.binary add %h{n}, %w{n} : tensor<8x8xf32>",
            f"%t{n} = pico.unary tanh %s{n} : tensor<8x8xf32>",
            f"%x{n + 1} = pico.binary add %x{n}, %t{n} : tensor<8x8xf32>",
        ]
    return "\n".join([*lines, f"func.return %x{count} : tensor<8x8xf32>", "}"])


def test_equal_layers_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    align = decide.align

    def counting(body: Body) -> Alignment | None:
        looked_at.append(1)
        return align(body)

    monkeypatch.setattr(decide, "align", counting)
    few = len(fused(layers(4))), len(looked_at)
    looked_at.clear()
    assert (len(fused(layers(9))), len(looked_at)) == (9, few[1]) and few[0] == 4


GELU_LIKE = """
func.func @main(%g: tensor<40x8xf32>, %w: tensor<8x24xf32>, %h: tensor<5x8x24xf32>)
    -> (tensor<5x8x24xf32>, tensor<24xf32>) {
  %p = pico.matmul %g, %w : tensor<40x8xf32>, tensor<8x24xf32> -> tensor<40x24xf32>
  %d = pico.reshape %p to [5, 8, 24] : tensor<40x24xf32> -> tensor<5x8x24xf32>
  %t = pico.unary tanh %h : tensor<5x8x24xf32>
  %a = pico.binary mul %d, %t : tensor<5x8x24xf32>
  %b = pico.binary mul %d, %h : tensor<5x8x24xf32>
  %c = pico.binary mul %b, %t : tensor<5x8x24xf32>
  %e = pico.binary mul %b, %h : tensor<5x8x24xf32>
  %f = pico.binary add %a, %e : tensor<5x8x24xf32>
  %y = pico.binary add %f, %c : tensor<5x8x24xf32>
  %s = pico.reduce add %y axes [0, 1] : tensor<5x8x24xf32> -> tensor<24xf32>
  func.return %y, %s : tensor<5x8x24xf32>, tensor<24xf32>
}
"""


def test_a_product_takes_what_follows_it_before_a_sum_over_columns_does() -> None:
    """An activation's gradient: the sum, that of a bias, reads its end and nothing else."""
    product, total = fused(GELU_LIKE)
    assert len(product.outputs) == 1
    assert len(total.inputs) == 1
    assert [op.name for op in total.block.ops] == ["pico.reduce", "kernel.yield"]


SOFTMAX_BACK = """
func.func @main(%g: tensor<40x8xf32>, %w: tensor<8x24xf32>, %p: tensor<40x24xf32>)
    -> (tensor<40x24xf32>) {
  %d = pico.matmul %g, %w : tensor<40x8xf32>, tensor<8x24xf32> -> tensor<40x24xf32>
  %n = pico.unary neg %p : tensor<40x24xf32>
  %m = pico.binary mul %d, %n : tensor<40x24xf32>
  %s = pico.reduce add %m axes [1] : tensor<40x24xf32> -> tensor<40xf32>
  %r = pico.reshape %s to [40, 1] : tensor<40xf32> -> tensor<40x1xf32>
  %b = pico.broadcast %r to [40, 24] : tensor<40x1xf32> -> tensor<40x24xf32>
  %t = pico.binary add %d, %b : tensor<40x24xf32>
  %y = pico.binary mul %t, %p : tensor<40x24xf32>
  func.return %y : tensor<40x24xf32>
}
"""


def test_a_product_writes_nothing_that_the_sum_behind_it_can_compute() -> None:
    """A softmax's gradient: what is summed follows from what the sum's kernel reads anyway."""
    product, total = fused(SOFTMAX_BACK)
    assert [op.name for op in product.block.ops] == ["pico.matmul", "kernel.yield"]
    assert len(product.outputs) == len(total.outputs) == 1
    assert len(total.inputs) == 2


def test_a_product_writes_another_value_where_no_sum_wants_it() -> None:
    """What an activation's gradient needs lies beside the activation: a second loop costs more."""
    (kernel,) = fused(
        """
func.func @main(%x: tensor<40x8xf32>, %w: tensor<8x24xf32>)
    -> (tensor<40x24xf32>, tensor<40x24xf32>) {
  %h = pico.matmul %x, %w : tensor<40x8xf32>, tensor<8x24xf32> -> tensor<40x24xf32>
  %y = pico.unary tanh %h : tensor<40x24xf32>
  func.return %h, %y : tensor<40x24xf32>, tensor<40x24xf32>
}
"""
    )
    assert len(kernel.outputs) == 2


def centred(rows: int, columns: int, axis: int) -> str:
    """Numbers less the sum of their column, with axis 0, or of their row."""
    x, size = f"tensor<{rows}x{columns}xf32>", (columns, rows)[axis]
    shape, sizes = (f"{size}", f"{size}") if axis == 0 else (f"{size}x1", f"{size}, 1")
    return f"""
func.func @main(%x: {x}) -> ({x}, tensor<{size}xf32>) {{
  %sum = pico.reduce add %x axes [{axis}] : {x} -> tensor<{size}xf32>
  %kept = pico.reshape %sum to [{sizes}] : tensor<{size}xf32> -> tensor<{shape}xf32>
  %wide = pico.broadcast %kept to [{rows}, {columns}] : tensor<{shape}xf32> -> {x}
  %y = pico.binary sub %x, %wide : {x}
  func.return %y, %sum : {x}, tensor<{size}xf32>
}}"""


def test_large_results_whose_rows_lie_apart_wait_for_no_reduction() -> None:
    """A loop down a column that follows a sum of the column strides through memory."""
    assert len(fused(centred(81, 64, 0))) == 2
    assert len(fused(centred(81, 64, 1))) == 1
    assert len(fused(centred(64, 64, 0))) == 1  # small enough
    assert len(fused(centred(81, 64, 0), Fuse(target="gpu"))) == 1  # each thread has a column


def test_large_results_that_wait_for_nothing_go_with_sums_of_columns() -> None:
    x = "tensor<81x64xf32>"
    text = f"""
func.func @main(%x: {x}) -> ({x}, tensor<64xf32>) {{
  %y = pico.unary exp %x : {x}
  %sum = pico.reduce add %y axes [0] : {x} -> tensor<64xf32>
  func.return %y, %sum : {x}, tensor<64xf32>
}}"""
    assert len(fused(text)) == 1
