"""Error budgets hold for honest float32 arithmetic in any order, and reject what is off by 1e-4."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.parser import Parser

from picograd.dialects import new_context
from picograd.dialects.dtypes import DType, is_float_array
from picograd.dialects.limits import finfo
from picograd.dialects.tensor import (
    OPS,
    ROUNDED_TO,
    BinaryKind,
    MatmulOp,
    ReduceKind,
    ReduceOp,
    ScatterKind,
    TensorOp,
    UnaryKind,
    UnaryKindAttr,
    ints,
)
from picograd.errors import ShapeError, VerificationError
from picograd.semantics.accuracy import CPU, GPU, Accuracy
from picograd.semantics.bounded import Bounded, exact, largest_number
from picograd.semantics.bounds import BOUNDS, analyse, compare
from picograd.semantics.evaluate import evaluate
from picograd.semantics.samples import SAMPLES, Sample
from picograd.semantics.tensor import evaluate_op


def parse(text: str) -> ModuleOp:
    module = Parser(new_context(), text).parse_module()
    module.verify()
    return module


TRAINING = """
func.func @main(
    %x: tensor<32x17xf32>, %w: tensor<17x9xf32>, %b: tensor<9xf32>, %t: tensor<32x9xf32>)
    -> (tensor<f32>, tensor<17x9xf32>, tensor<32x9xf32>, tensor<32xi64>) {
  %h = pico.matmul %x, %w : tensor<32x17xf32>, tensor<17x9xf32> -> tensor<32x9xf32>
  %bb = pico.broadcast %b to [32, 9] : tensor<9xf32> -> tensor<32x9xf32>
  %a = pico.binary add %h, %bb : tensor<32x9xf32>
  %g = pico.unary tanh %a : tensor<32x9xf32>
  %zero = pico.constant dense<0.0> : tensor<32x9xf32>
  %positive = pico.compare gt %g, %zero : tensor<32x9xf32> -> tensor<32x9xi1>
  %r = pico.select %positive, %g, %zero : tensor<32x9xi1>, tensor<32x9xf32>
  %m = pico.reduce max %r axes [1] : tensor<32x9xf32> -> tensor<32xf32>
  %m1 = pico.reshape %m to [32, 1] : tensor<32xf32> -> tensor<32x1xf32>
  %mb = pico.broadcast %m1 to [32, 9] : tensor<32x1xf32> -> tensor<32x9xf32>
  %s = pico.binary sub %r, %mb : tensor<32x9xf32>
  %e = pico.unary exp %s : tensor<32x9xf32>
  %n = pico.reduce add %e axes [1] : tensor<32x9xf32> -> tensor<32xf32>
  %n1 = pico.reshape %n to [32, 1] : tensor<32xf32> -> tensor<32x1xf32>
  %nb = pico.broadcast %n1 to [32, 9] : tensor<32x1xf32> -> tensor<32x9xf32>
  %p = pico.binary div %e, %nb : tensor<32x9xf32>
  %d = pico.binary sub %p, %t : tensor<32x9xf32>
  %q = pico.binary mul %d, %d : tensor<32x9xf32>
  %loss = pico.reduce add %q axes [0, 1] : tensor<32x9xf32> -> tensor<f32>
  %k = pico.select %positive, %d, %zero : tensor<32x9xi1>, tensor<32x9xf32>
  %xt = pico.permute %x by [1, 0] : tensor<32x17xf32> -> tensor<17x32xf32>
  %dw = pico.matmul %xt, %k : tensor<17x32xf32>, tensor<32x9xf32> -> tensor<17x9xf32>
  %i = pico.argreduce max %a axis 1 : tensor<32x9xf32> -> tensor<32xi64>
  func.return %loss, %dw, %p, %i : tensor<f32>, tensor<17x9xf32>, tensor<32x9xf32>, tensor<32xi64>
}
"""


def training_inputs(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = [(32, 17), (17, 9), (9,), (32, 9)]
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_the_reference_keeps_every_budget(op: type[TensorOp]):
    for sample in SAMPLES[op]:
        module = sample.module()
        report = compare(module, sample.inputs, evaluate(module, sample.inputs))
        assert report.ok, f"{sample}: {report}"


def rejections(op: type[TensorOp], accuracy: Accuracy) -> dict[str, list[bool]]:
    """By kind: is each sample's result rejected, times 1 + 1e-4? Those that it changes only."""
    outcome: dict[str, list[bool]] = {}
    for sample in SAMPLES[op]:
        module = sample.module()
        (result,) = evaluate(module, sample.inputs)
        if not is_float_array(result):
            continue
        (bound,) = analyse(module, sample.inputs, accuracy)
        usable = np.isfinite(result) & (result != 0) & ~bound.doubtful & ~bound.lost
        if not usable.any():
            continue
        with np.errstate(all="ignore"):
            # Half floats lie farther apart: there a few units in the last place must be seen.
            coarsest = max(finfo(d).eps for d in rounded_to(sample) if d.is_float)
            apart = max(1e-4, 6 * coarsest)
            wrong = (result.astype(np.float64) * (1 + apart)).astype(result.dtype)
        report = compare(module, sample.inputs, [wrong], accuracy, cap=1.0)
        kind = str(getattr(sample.properties.get("kind"), "data", ""))
        outcome.setdefault(kind, []).append(not report.ok)
    return outcome


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_a_result_that_is_off_by_1e_4_is_rejected(op: type[TensorOp]):
    for kind, rejected in rejections(op, CPU).items():
        assert all(rejected), f"{op.name} {kind}: {rejected}"


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_budgets_of_wgsl_bite_too(op: type[TensorOp]):
    for kind, rejected in rejections(op, GPU).items():
        # WGSL promises no more than 2**-11 for sin and cos.
        assert sum(rejected) >= 2 or kind in ("sin", "cos"), f"{op.name} {kind}: {rejected}"


def test_every_kind_that_gives_floats_was_tried():
    tried = {kind for op in OPS for kind in rejections(op, CPU)}
    floats = {*UnaryKind, *BinaryKind, *ReduceKind, *ScatterKind} - {
        "not",
        "and",
        "or",
        "xor",
        "shl",
        "shr",
    }
    assert floats <= tried


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_a_discrete_result_that_is_wrong_is_rejected(op: type[TensorOp]):
    for sample in SAMPLES[op]:
        module = sample.module()
        (result,) = evaluate(module, sample.inputs)
        if is_float_array(result) or not result.size:
            continue
        wrong = ~result if result.dtype.kind == "b" else result + result.dtype.type(1)
        assert not compare(module, sample.inputs, [np.asarray(wrong)], cap=1.0).ok, sample


def rough(op: Operation, arrays: list[Any], rng: np.random.Generator) -> Any:
    """An op as an honest but unlucky device may compute it: random order, rounded away."""
    assert isinstance(op, TensorOp)
    if isinstance(op, ReduceOp) and op.kind.data == "add":
        axes = ints(op.axes)
        kept = [a for a in range(arrays[0].ndim) if a not in axes]
        flat = arrays[0].transpose(*kept, *axes).reshape(*(arrays[0].shape[a] for a in kept), -1)
        total = np.zeros(flat.shape[:-1], np.float32)
        for place in rng.permutation(flat.shape[-1]):
            total = (total + flat[..., place]).astype(np.float32)
        return total
    if isinstance(op, MatmulOp):
        a, b = arrays
        total = np.zeros((a.shape[0], b.shape[1]), np.float32)
        for place in rng.permutation(a.shape[1]):
            total = total + a[:, place, None] * b[None, place]
        return total
    result = evaluate_op(op, arrays)
    if op.name in ("pico.unary", "pico.binary") and op.properties["kind"].data in (  # type: ignore[attr-defined]
        "exp", "tanh"
    ):  # fmt: skip
        direction = np.where(rng.random(result.shape) < 0.5, -np.inf, np.inf).astype(np.float32)
        for _ in range(3):
            result = np.nextafter(result, direction)
    return result


def run_roughly(module: ModuleOp, inputs: list[np.ndarray], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    (function,) = module.body.ops
    assert isinstance(function, FuncOp)
    values: dict[SSAValue, Any] = dict(zip(function.args, inputs, strict=True))
    for op in function.body.block.ops:
        arrays = [values[operand] for operand in op.operands]
        if op.name == "func.return":
            return arrays
        values[op.results[0]] = rough(op, arrays, rng)
    raise AssertionError("no return")


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_honest_arithmetic_keeps_the_budget(seed: int):
    module, inputs = parse(TRAINING), training_inputs(seed)
    for outputs in (evaluate(module, inputs), run_roughly(module, inputs, seed)):
        report = compare(module, inputs, outputs)
        assert report.ok, str(report)
        assert report.elements == 1 + 17 * 9 + 32 * 9 + 32
        assert 0 < report.used <= 1


@pytest.mark.parametrize("position", [0, 1, 2])
def test_budgets_of_a_whole_program_bite(position: int):
    module, inputs = parse(TRAINING), training_inputs(5)
    outputs = evaluate(module, inputs)
    outputs[position] = outputs[position] * np.float32(1 + 1e-4)
    report = compare(module, inputs, outputs)
    assert not report.ok
    assert report.worst is not None and report.worst.output == position
    assert "outside their budget" in str(report) and f"output {position} at" in str(report)


def test_one_wrong_element_is_found():
    module, inputs = parse(TRAINING), training_inputs(6)
    outputs = evaluate(module, inputs)
    outputs[2] = outputs[2].copy()
    outputs[2][3, 4] *= np.float32(1.001)
    report = compare(module, inputs, outputs)
    assert report.excesses == 1
    assert report.worst is not None and report.worst.index == (3, 4)


CHAIN = """
func.func @main(%x: tensor<64xf32>, %y: tensor<64xf32>) -> {type} {{
  %a = pico.binary mul %x, %y : tensor<64xf32>
  %b = pico.binary mul %y, %x : tensor<64xf32>
  {body}
}}
"""


def pair(seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=64).astype(np.float32) for _ in range(2)]


DECISIONS = {
    "compare": """%c = pico.compare lt %a, %b : tensor<64xf32> -> tensor<64xi1>
  func.return %c : tensor<64xi1>""",
    "floor": """%d = pico.binary div %a, %b : tensor<64xf32>
  %c = pico.unary floor %d : tensor<64xf32>
  func.return %c : tensor<64xf32>""",
    "cast": """%d = pico.binary div %a, %b : tensor<64xf32>
  %c = pico.cast %d to i32 : tensor<64xf32> -> tensor<64xi32>
  func.return %c : tensor<64xi32>""",
    "argmax": """%s = pico.concat %a, %b axis 0 : tensor<64xf32>, tensor<64xf32> -> tensor<128xf32>
  %t = pico.reshape %s to [2, 64] : tensor<128xf32> -> tensor<2x64xf32>
  %c = pico.argreduce max %t axis 0 : tensor<2x64xf32> -> tensor<64xi64>
  func.return %c : tensor<64xi64>""",
    "floordiv": """%d = pico.binary floordiv %a, %b : tensor<64xf32>
  func.return %d : tensor<64xf32>""",
    "sign": """%d = pico.binary sub %a, %b : tensor<64xf32>
  %c = pico.unary sign %d : tensor<64xf32>
  func.return %c : tensor<64xf32>""",
}


@pytest.mark.parametrize("body", DECISIONS.values(), ids=DECISIONS)
def test_straddled_decisions_are_undetermined_and_capped(body: str):
    type = body.rsplit(" : ", 1)[1]
    module = parse(CHAIN.format(type=type, body=body))
    inputs = pair()
    outputs = evaluate(module, inputs)
    report = compare(module, inputs, outputs)
    assert report.undetermined == 64 and report.excesses == 0
    assert not report.ok and "undetermined" in str(report)
    assert compare(module, inputs, outputs, cap=1.0).ok


def test_an_undetermined_condition_allows_either_branch_and_nothing_else():
    body = """%c = pico.compare lt %a, %b : tensor<64xf32> -> tensor<64xi1>
  %r = pico.select %c, %x, %y : tensor<64xi1>, tensor<64xf32>
  %s = pico.reduce add %r axes [0] : tensor<64xf32> -> tensor<f32>
  func.return %s : tensor<f32>"""
    module, inputs = parse(CHAIN.format(type="tensor<f32>", body=body)), pair()
    x, y = (array.astype(np.float64) for array in inputs)
    lowest, highest = np.minimum(x, y).sum(), np.maximum(x, y).sum()
    for total in (lowest, highest, x.sum(), y.sum()):
        assert compare(module, inputs, [np.array(total, np.float32)]).ok
    width = highest - lowest
    for total in (lowest - width, highest + width):
        assert not compare(module, inputs, [np.array(total, np.float32)]).ok


def test_decisions_on_exact_values_are_determined():
    """Small integers stay exact through arithmetic, so ties between them are no doubt."""
    body = (
        "%c = pico.compare le %a, %b : tensor<64xf32> -> tensor<64xi1>\n"
        "func.return %c : tensor<64xi1>"
    )
    module = parse(CHAIN.format(type="tensor<64xi1>", body=body))
    inputs = [np.rint(array * 3) for array in pair()]
    report = compare(module, inputs, evaluate(module, inputs))
    assert report.ok and report.undetermined == 0


def test_overflow_is_infinity_or_undetermined():
    module = parse(
        "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {"
        "%y = pico.unary exp %x : tensor<4xf32>\nfunc.return %y : tensor<4xf32>}"
    )
    x = np.array([1.0, 88.722839, 95.0, -110.0], np.float32)
    (bound,) = analyse(module, [x])
    assert np.isinf(bound.value[2]) and bound.error[2] == 0
    assert bound.lost.tolist() == [False, True, False, False]
    flushed = np.array([np.e, 3e38, np.inf, 0.0], np.float32)
    assert compare(module, [x], [flushed], cap=0.25).ok
    assert not compare(module, [x], [np.array([np.e, 0, 3e38, 0], np.float32)], cap=0.25).ok


def test_a_float64_run_may_pass_the_range_of_float32():
    module = parse(
        "func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {"
        "%y = pico.unary exp %x : tensor<2xf32>\nfunc.return %y : tensor<2xf32>}"
    )
    x = np.array([100.0, 1.0], np.float32)
    (wide,) = evaluate(module, [x], precision="float64")
    assert wide[0] > 1e43
    assert compare(module, [x], [wide]).ok
    assert not compare(module, [x], [-wide]).ok


def test_nan_is_expected_where_ieee_has_it_and_nowhere_else():
    module = parse(
        "func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {"
        "%y = pico.unary sqrt %x : tensor<3xf32>\nfunc.return %y : tensor<3xf32>}"
    )
    x = np.array([-1.0, 4.0, 9.0], np.float32)
    assert compare(module, [x], [np.array([np.nan, 2, 3], np.float32)]).ok
    assert not compare(module, [x], [np.array([0, 2, 3], np.float32)]).ok
    assert not compare(module, [x], [np.array([np.nan, np.nan, 3], np.float32)]).ok
    # WGSL may compute anything where IEEE has NaN: there the element is undetermined.
    assert compare(module, [x], [np.array([7, 2, 3], np.float32)], GPU, cap=0.5).ok


def test_a_device_without_nan_may_take_a_comparison_with_one_as_it_likes():
    body = "%c = pico.compare ge %x, %y : tensor<4xf32> -> tensor<4xi1>"
    module = parse(
        "func.func @main(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xi1> {\n"
        f"{body}\nfunc.return %c : tensor<4xi1>\n}}"
    )
    x = np.array([1, np.nan, 2, np.inf], np.float32)
    y = np.array([2, 1, np.nan, 3], np.float32)
    assert analyse(module, [x, y], CPU)[0].doubtful.tolist() == [False] * 4
    assert analyse(module, [x, y], GPU)[0].doubtful.tolist() == [False, True, True, True]


def test_devices_differ_in_their_constants():
    module = parse(
        "func.func @main(%x: tensor<65xf32>) -> tensor<65xf32> {"
        "%y = pico.unary exp %x : tensor<65xf32>\nfunc.return %y : tensor<65xf32>}"
    )
    x = np.random.default_rng(4).normal(size=65).astype(np.float32)
    cpu, gpu = (analyse(module, [x], accuracy)[0] for accuracy in (CPU, GPU))
    assert (gpu.error > 3 * cpu.error).all()


def test_long_sums_have_probabilistic_budgets():
    module = parse(
        "func.func @main(%x: tensor<100000xf32>) -> tensor<f32> {"
        "%y = pico.reduce add %x axes [0] : tensor<100000xf32> -> tensor<f32>\n"
        "func.return %y : tensor<f32>}"
    )
    x = np.random.default_rng(5).random(100_000).astype(np.float32)
    total = np.float32(0)
    for number in x:
        total += number
    assert compare(module, [x], [np.array(total)]).ok
    assert not compare(module, [x], [np.array(total * np.float32(1 + 3e-4))]).ok


SUM_OF_THREE = """
func.func @main(%x: tensor<500xf32>, %m: tensor<500xf32>) -> tensor<500xf32> {
  %three = pico.constant dense<-3.0> : tensor<500xf32>
  %d = pico.binary sub %x, %m : tensor<500xf32>
  %n = pico.unary neg %d : tensor<500xf32>
  %r = pico.reshape %n to [500] : tensor<500xf32> -> tensor<500xf32>
  %y = pico.binary sub %three, %r : tensor<500xf32>
  func.return %y : tensor<500xf32>
}
"""


def test_a_device_that_reassociates_may_add_in_any_order():
    rng = np.random.default_rng(3)
    # The first is what a driver made of a program: -3 + (x - m) was computed as (-3 + x) - m.
    x = np.concatenate([[-0.016696293], rng.normal(size=499)]).astype(np.float32)
    m = np.concatenate([[1.0], rng.normal(size=499)]).astype(np.float32)
    c = np.float32(-3.0)
    module = parse(SUM_OF_THREE)
    assert GPU.reassociates and not CPU.reassociates
    assert compare(module, [x, m], [c + (x - m)], CPU).ok
    reordered = ((c + x) - m, (c - m) + x)
    assert not any(compare(module, [x, m], [found], CPU).ok for found in reordered)
    for found in (c + (x - m), *reordered):
        report = compare(module, [x, m], [found], GPU)
        assert report.ok, str(report)
        wrong = found * np.float32(1 + 1e-5)
        assert compare(module, [x, m], [wrong], GPU).excesses > 480


def test_terms_that_float32_adds_exactly_have_no_budget_in_any_order():
    rng = np.random.default_rng(4)
    x, m = (rng.integers(-99, 99, 500).astype(np.float32) / 8 for _ in range(2))
    (bound,) = analyse(parse(SUM_OF_THREE), [x, m], GPU)
    assert not bound.error.any()


PRODUCT_OF_THREE = """
func.func @main(%x: tensor<500xf32>, %m: tensor<500xf32>) -> tensor<500xf32> {
  %d = pico.binary mul %x, %m : tensor<500xf32>
  %y = pico.binary mul %d, %x : tensor<500xf32>
  func.return %y : tensor<500xf32>
}
"""


def test_a_device_that_reassociates_may_multiply_in_any_order():
    rng = np.random.default_rng(6)
    # The first is what a driver made of a program: (x m) x was computed as (x x) m.
    x = np.concatenate([[-0.4320889], rng.normal(size=499)]).astype(np.float32)
    m = np.concatenate([[-1.3943744], rng.normal(size=499)]).astype(np.float32)
    module = parse(PRODUCT_OF_THREE)
    assert compare(module, [x, m], [(x * m) * x], CPU).ok
    assert not compare(module, [x, m], [(x * x) * m], CPU).ok
    for found in ((x * m) * x, (x * x) * m):
        report = compare(module, [x, m], [found], GPU)
        assert report.ok, str(report)
        wrong = found * np.float32(1 + 1e-6)
        assert compare(module, [x, m], [wrong], GPU).excesses > 480


def test_factors_that_float32_multiplies_exactly_have_no_budget_in_any_order():
    rng = np.random.default_rng(7)
    x, m = (rng.integers(-99, 99, 500).astype(np.float32) / 8 for _ in range(2))
    (bound,) = analyse(parse(PRODUCT_OF_THREE), [x, m], GPU)
    assert not bound.error.any()


def test_two_terms_have_one_order():
    text = """
    func.func @main(%x: tensor<9xf32>, %y: tensor<9xf32>) -> tensor<9xf32> {
      %d = pico.binary sub %x, %y : tensor<9xf32>
      func.return %d : tensor<9xf32>
    }"""
    rng = np.random.default_rng(5)
    inputs = [rng.normal(size=9).astype(np.float32) for _ in range(2)]
    bounds = [analyse(parse(text), inputs, accuracy)[0] for accuracy in (CPU, GPU)]
    assert bounds[0].error.tobytes() == bounds[1].error.tobytes()


def test_what_a_reduction_adds_is_part_of_the_chain():
    """The sum of x - m may be that of x, less that of m; a constant may go before the loop."""
    text = """
    func.func @main(%x: tensor<64x50xf32>, %m: tensor<64x50xf32>) -> tensor<64xf32> {
      %d = pico.binary sub %x, %m : tensor<64x50xf32>
      %s = pico.reduce add %d axes [1] : tensor<64x50xf32> -> tensor<64xf32>
      %c = pico.constant dense<-77.7> : tensor<64xf32>
      %y = pico.binary add %s, %c : tensor<64xf32>
      func.return %y : tensor<64xf32>
    }"""
    rng = np.random.default_rng(6)
    x = rng.normal(100.0, 1.0, (64, 50)).astype(np.float32)
    m = x + rng.normal(0.0, 1e-3, (64, 50)).astype(np.float32)
    found = np.full(64, -77.7, np.float32)
    for column in x.T:
        found = found + column
    for column in m.T:
        found = found - column
    assert not compare(parse(text), [x, m], [found], CPU).ok
    report = compare(parse(text), [x, m], [found], GPU)
    assert report.ok, str(report)


def test_wrong_shapes_and_levels_are_errors():
    module, inputs = parse(TRAINING), training_inputs(0)
    outputs = evaluate(module, inputs)
    with pytest.raises(ShapeError, match="do not have the module's shapes"):
        compare(module, inputs, outputs[:2])
    other = parse("func.func @main() { %m = buffer.arena : memref<8xi8>\n func.return }")
    with pytest.raises(VerificationError, match=r"buffer\.arena has no error bound"):
        analyse(other, [])


def with_errors(array: np.ndarray, relative: float, absolute: float) -> Bounded:
    """A sample's input as if it had been computed with some error; integers are exact."""
    known = exact(np.asarray(array))
    if not known.is_float:
        return known
    finite = np.isfinite(known.value)
    error = np.where(finite, np.abs(np.where(finite, known.value, 0)) * relative + absolute, 0.0)
    return Bounded(known.value, error, known.doubtful)


def rounded_to(sample: Sample) -> list[DType]:
    """The dtype of the result, and the one that it is rounded to."""
    kind = sample.properties.get("kind")
    narrower = ROUNDED_TO.get(kind.data) if isinstance(kind, UnaryKindAttr) else None
    return [*sample.dtypes, *([narrower] if narrower else [])]


@pytest.mark.parametrize(
    ("relative", "absolute"), [(1e-6, 0.0), (1e-3, 0.0), (0.3, 0.0), (0.0, 1e-3), (0.1, 0.7)]
)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_errors_of_operands_move_results_no_farther_than_the_bound(
    op: type[TensorOp], relative: float, absolute: float
):
    rng = np.random.default_rng(11)
    determined = 0
    for sample in SAMPLES[op]:
        instance = next(o for o in sample.module().walk() if isinstance(o, op))
        operands = [with_errors(array, relative, absolute) for array in sample.inputs]
        with np.errstate(all="ignore"):
            bound = BOUNDS[op](instance, operands, CPU)
        largest = min((largest_number(dtype) for dtype in rounded_to(sample)), default=np.inf)
        sure = ~bound.doubtful & ~bound.lost
        determined += int(sure.sum())
        for _ in range(4):
            signs = [rng.choice([-1.0, 1.0, 0.5], x.value.shape) for x in operands]
            moved = [
                x.value + x.error * sign if x.is_float else x.value
                for x, sign in zip(operands, signs, strict=True)
            ]
            found = evaluate_op(instance, moved, "float64")
            if bound.is_float:
                with np.errstate(all="ignore"):
                    near = np.abs(found - bound.value) <= bound.error * (1 + 1e-9)
                    near |= np.isinf(bound.value) & (np.abs(found) > 0.99 * largest)
                    near |= found == bound.value
                near |= np.isnan(found) & np.isnan(bound.value)
            else:
                near = found == bound.value
            assert (near | ~sure).all(), sample
    assert determined > 0 or absolute > 0.5


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_what_is_surely_nan_is_nan_whatever_is_lost(op: type[TensorOp]):
    """With NaN in some operands, and others of which nothing is known: those may be anything."""
    rng = np.random.default_rng(12)
    for sample in SAMPLES[op]:
        instance = next(o for o in sample.module().walk() if isinstance(o, op))
        operands: list[Bounded] = []
        for array in sample.inputs:
            given = exact(array)
            if given.is_float:
                nan, lost = rng.random((2, *array.shape)) < 0.2
                value = np.where(nan, np.nan, given.value)
                given = Bounded(value, np.where(lost & ~nan, np.inf, 0.0), lost & ~nan)
            operands.append(given)
        with np.errstate(all="ignore"):
            bound = BOUNDS[op](instance, operands, CPU)
            sure = ~bound.doubtful & ~bound.lost
            for _ in range(6):
                anything = [rng.choice([0.0, -2.5, 3e30, np.inf], x.value.shape) for x in operands]
                moved = [
                    np.where(np.isinf(x.error), other, x.value) if x.is_float else x.value
                    for x, other in zip(operands, anything, strict=True)
                ]
                found = evaluate_op(instance, moved, "float64")
                if bound.is_float:
                    assert (np.isnan(found) | ~np.isnan(bound.value) | ~sure).all(), sample


DIVISIONS = """
func.func @main(%x: tensor<3xf32>, %y: tensor<3xf32>) -> (tensor<3xf32>, tensor<f32>) {
  %q = pico.binary div %x, %y : tensor<3xf32>
  %s = pico.reduce add %q axes [0] : tensor<3xf32> -> tensor<f32>
  func.return %q, %s : tensor<3xf32>, tensor<f32>
}
"""


def test_a_nan_below_the_line_is_no_doubt():
    module = Parser(new_context(), DIVISIONS).parse_module()
    x, y = np.array([[1, 2, 3], [0.5, np.nan, 4]], np.float32)
    quotient, total = analyse(module, [x, y])
    for bound in (quotient, total):
        assert not bound.lost.any() and not bound.doubtful.any()
    assert np.isnan(quotient.value).tolist() == [False, True, False] and np.isnan(total.value)
    # The same where a sum has a term of which nothing is known: 1 / ±0.
    y[0] = 0.0
    quotient, total = analyse(module, [x, y])
    assert not quotient.lost[1] and not total.lost and np.isnan(total.value)
