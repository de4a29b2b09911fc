"""Every op's gradient rule against finite differences in float64, and that no op lacks a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from picograd.dialects.dtypes import int64
from picograd.dialects.tensor import (
    OPS,
    ROUNDED_TO,
    BinaryKind,
    ReduceKind,
    ScanKind,
    UnaryKind,
)
from picograd.frontend.autodiff import backward
from picograd.frontend.autodiff.backward import pull_back
from picograd.frontend.autodiff.tape import LeafNode, Tape, Var
from picograd.frontend.modes.eager import eager
from picograd.semantics.gradients import GRADIENTS, NotDifferentiable

MODE = eager("reference")
Function = Callable[..., Var]


@dataclass
class Leaf:
    """Gathers a gradient without being a tensor."""

    device: str = "reference"
    grad: np.ndarray | None = None

    def accumulate_grad(self, grad: Var) -> None:
        assert self.grad is None, "one sum arrives at each leaf"
        self.grad = MODE.download(grad.value)


def gradients(
    function: Function, arrays: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], np.ndarray]:
    """The gradients of sum(weights * function(arrays)), and the weights."""
    ops, leaves = Tape(MODE), [Leaf() for _ in arrays]
    operands = [
        Var(MODE.constant(a), LeafNode(leaf)) for a, leaf in zip(arrays, leaves, strict=True)
    ]
    result = function(ops, *operands)
    assert result.node is not None
    weights = np.asarray(np.random.default_rng(7).standard_normal(ops.shape_of(result)))
    pull_back([(result.node, Var(MODE.constant(weights)))])
    found = [
        np.zeros_like(a) if x.grad is None else x.grad for a, x in zip(arrays, leaves, strict=True)
    ]
    return found, weights


def check(function: Function, *arrays: np.ndarray, step: float = 1e-6) -> None:
    """Compare with central differences of each element."""
    arrays = tuple(np.asarray(a) for a in arrays)
    found, weights = gradients(function, arrays)
    ops = Tape(MODE)

    def value(changed: Sequence[np.ndarray]) -> float:
        result = function(ops, *[Var(MODE.constant(a)) for a in changed])
        return float(np.sum(weights * MODE.download(result.value)))

    for number, array in enumerate(arrays):
        assert found[number].shape == array.shape
        for index in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                moved = [a.copy() for a in arrays]
                moved[number][index] += sign * step
                ends.append(value(moved))
            expected = (ends[0] - ends[1]) / (2 * step)
            np.testing.assert_allclose(
                found[number][index], expected, rtol=1e-5, atol=1e-7, err_msg=f"{number}, {index}"
            )


def away_from_integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers without ties and steps within reach of a finite difference."""
    whole = rng.integers(-3, 3, shape).astype(float)
    return whole + rng.uniform(0.1, 0.9, shape)


def positive(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(0.5, 2.0, shape)


def distinct(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.permutation(int(np.prod(shape))).reshape(shape) * 0.37 - 2


def test_every_op_has_a_rule_or_a_reason() -> None:
    assert set(GRADIENTS) == set(OPS)
    reasons = {op for op, row in GRADIENTS.items() if isinstance(row, NotDifferentiable)}
    assert all(GRADIENTS[op].reason for op in reasons)  # type: ignore[union-attr]
    assert {op.__name__ for op in reasons} == {
        "ConstantOp",
        "IotaOp",
        "RandomBitsOp",
        "CompareOp",
        "ArgReduceOp",
        "ArgSortOp",
    }


@pytest.mark.parametrize(
    "kind", [kind for kind in UnaryKind if kind not in (UnaryKind.NOT, *ROUNDED_TO)]
)
@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 3), (0, 2)])
def test_unary(rng: np.random.Generator, kind: UnaryKind, shape: tuple[int, ...]) -> None:
    make = positive if kind in ("log", "sqrt", "rsqrt") else away_from_integers
    check(lambda ops, x: ops.unary(kind, x), make(rng, *shape))


FLOAT_BINARY = [k for k in BinaryKind if k not in ("and", "or", "xor", "shl", "shr")]


@pytest.mark.parametrize("kind", FLOAT_BINARY)
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_binary(rng: np.random.Generator, kind: BinaryKind, shape: tuple[int, ...]) -> None:
    a = away_from_integers(rng, *shape)
    if kind == BinaryKind.POW:
        a = positive(rng, *shape)
    b = (
        a + np.where(rng.random(shape) < 0.5, 0.3, -0.3)
        if kind in ("maximum", "minimum")
        else positive(rng, *shape)
    )
    check(lambda ops, x, y: ops.binary(kind, x, y), a, b)


def test_same_operand_twice(rng: np.random.Generator) -> None:
    check(lambda ops, x: ops.mul(x, ops.add(x, x)), away_from_integers(rng, 4))


def test_ties_are_shared(rng: np.random.Generator) -> None:
    x = np.array([1.0, 2.0, 2.0])
    (a, b), weights = gradients(
        lambda ops, x, y: ops.binary("maximum", x, y), [x, np.array([1.0, 3.0, 1.0])]
    )
    np.testing.assert_array_equal(a, weights * [0.5, 0, 1])
    np.testing.assert_array_equal(b, weights * [0.5, 1, 0])
    (g,), weight = gradients(lambda ops, x: ops.reduce("max", x, (0,)), [x])
    np.testing.assert_allclose(g, weight * np.array([0, 0.5, 0.5]))


def test_powers_at_zero() -> None:
    base, exponent = np.array([0.0, 0.0, 0.0, 2.0]), np.array([0.0, 1.0, 2.0, 0.0])
    (a, b), weights = gradients(lambda ops, x, y: ops.binary("pow", x, y), [base, exponent])
    np.testing.assert_allclose(a, weights * [0, 1, 0, 0])
    np.testing.assert_allclose(b, weights * [0, 0, 0, np.log(2)])


def test_nan_reaches_both_operands_of_maximum() -> None:
    (a, b), weights = gradients(
        lambda ops, x, y: ops.binary("maximum", x, y), [np.array([np.nan]), np.array([1.0])]
    )
    np.testing.assert_array_equal([a, b], [weights, weights])


def test_select(rng: np.random.Generator) -> None:
    mask = rng.random((3, 2)) < 0.5
    check(
        lambda ops, x, y: ops.select(ops.constant(mask), x, y),
        rng.standard_normal((3, 2)),
        rng.standard_normal((3, 2)),
    )


def test_cast_to_float_and_through_integers(rng: np.random.Generator) -> None:
    from picograd.dialects.dtypes import float32, float64

    x = rng.standard_normal(5).astype(np.float32)
    (grad,), weights = gradients(lambda ops, x: ops.cast(x, float64), [x])
    assert grad.dtype == np.float32
    np.testing.assert_allclose(grad, weights.astype(np.float32))
    ops = Tape(MODE)
    whole = ops.cast(Var(MODE.constant(x), LeafNode(Leaf())), int64)
    assert whole.node is None
    assert ops.cast(whole, float32).node is None


@pytest.mark.parametrize("kind", [k for k in ReduceKind if k not in ("and", "or")])
@pytest.mark.parametrize(
    ("shape", "axes"), [((3,), (0,)), ((2, 3, 2), (0, 2)), ((2, 3), ()), ((), ()), ((2, 1), (1,))]
)
def test_reduce(
    rng: np.random.Generator, kind: ReduceKind, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    check(lambda ops, x: ops.reduce(kind, x, axes), distinct(rng, *shape))


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_product_with_zeros(rng: np.random.Generator, zeros: int) -> None:
    x = positive(rng, 2, 4)
    x[1, :zeros] = 0
    check(lambda ops, x: ops.reduce("mul", x, (1,)), x)


def test_sum_of_nothing(rng: np.random.Generator) -> None:
    check(lambda ops, x: ops.reduce("add", x, (1,)), rng.standard_normal((2, 0)))


@pytest.mark.parametrize(
    ("a", "b"), [((2, 3), (3, 4)), ((1, 1), (1, 1)), ((2, 2, 3), (2, 3, 1)), ((2, 0), (0, 3))]
)
def test_matmul(rng: np.random.Generator, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    check(lambda ops, x, y: ops.matmul(x, y), rng.standard_normal(a), rng.standard_normal(b))


VIEWS: dict[str, tuple[tuple[int, ...], Function]] = {
    "reshape": ((2, 6), lambda ops, x: ops.reshape(x, (3, 4))),
    "permute": ((2, 3, 4), lambda ops, x: ops.permute(x, (2, 0, 1))),
    "broadcast": ((3, 1), lambda ops, x: ops.broadcast(x, (2, 3, 4))),
    "broadcast scalar": ((), lambda ops, x: ops.broadcast(x, (2, 3))),
    "broadcast to nothing": ((1, 2), lambda ops, x: ops.broadcast(x, (0, 2))),
    "slice": ((5, 7), lambda ops, x: ops.slice(x, (1, 0), (5, 7), (2, 3))),
    "slice nothing": ((3,), lambda ops, x: ops.slice(x, (2,), (2,), (1,))),
    "reverse": ((2, 3), lambda ops, x: ops.reverse(x, (1,))),
    "pad": ((2, 3), lambda ops, x: ops.pad(x, (1, 0), (0, 2), (2, 1), 5.0)),
    "pad nothing": ((0, 3), lambda ops, x: ops.pad(x, (1, 0), (0, 2), (2, 1))),
}


@pytest.mark.parametrize("name", VIEWS)
def test_moving_elements(rng: np.random.Generator, name: str) -> None:
    shape, function = VIEWS[name]
    check(function, rng.standard_normal(shape))


def test_concat(rng: np.random.Generator) -> None:
    parts = [rng.standard_normal((2, n)) for n in (1, 3, 0)]
    check(lambda ops, *xs: ops.concat(xs, 1), *parts)


@pytest.mark.parametrize("axis", [0, 1])
def test_gather_with_repeated_indices(rng: np.random.Generator, axis: int) -> None:
    shape = (3, 4)
    at = (5, 4) if axis == 0 else (3, 6)
    index = rng.integers(0, shape[axis], at)
    check(
        lambda ops, x: ops.gather(x, ops.constant(index), axis),
        rng.standard_normal(shape),
    )


@pytest.mark.parametrize("kind", ["add", "set"])
@pytest.mark.parametrize("axis", [0, 1])
def test_scatter_with_repeated_indices(rng: np.random.Generator, kind: str, axis: int) -> None:
    shape = (3, 4)
    at = (5, 4) if axis == 0 else (3, 6)
    index = rng.integers(0, shape[axis], at)
    check(
        lambda ops, x, updates: ops.scatter(kind, x, ops.constant(index), updates, axis),
        rng.standard_normal(shape),
        rng.standard_normal(at),
    )


def test_operands_that_nobody_wants_are_not_computed(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops, leaf = Tape(MODE), Leaf()
    a = Var(MODE.constant(rng.standard_normal((2, 3))), LeafNode(leaf))
    b = Var(MODE.constant(rng.standard_normal((3, 2))), LeafNode(Leaf()))
    products: list[Var] = []

    class Counting(Tape):
        def matmul(self, a: Var, b: Var) -> Var:
            products.append(a)
            return super().matmul(a, b)

    node = ops.matmul(a, b).node
    assert node is not None and a.node is not None
    monkeypatch.setattr(backward, "Tape", Counting)
    (grad,) = pull_back([(node, Var(MODE.constant(np.ones((2, 2)))))], [a.node])
    assert grad is not None and len(products) == 1


@pytest.mark.parametrize(
    ("shape", "axis", "size", "stride", "dilation"),
    [
        ((1,), 0, 1, 1, 1),
        ((7,), 0, 3, 1, 1),
        ((7,), 0, 2, 3, 1),
        ((7,), 0, 2, 2, 3),
        ((7,), 0, 5, 2, 1),
        ((2, 6, 3), 1, 6, 1, 1),
        ((3, 0, 5), 2, 3, 2, 2),
    ],
)
def test_windows(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    axis: int,
    size: int,
    stride: int,
    dilation: int,
) -> None:
    check(lambda ops, x: ops.windows(x, axis, size, stride, dilation), rng.standard_normal(shape))


@pytest.mark.parametrize(
    ("data", "kernel", "strides", "low", "high", "dilations", "groups"),
    [
        ((1, 1, 1), (1, 1, 1), (1,), (0,), (0,), (1,), 1),
        ((2, 3, 6), (2, 3, 3), (1,), (1,), (1,), (1,), 1),
        # What the strides leave over at the end belongs to no window.
        ((2, 2, 8), (3, 2, 3), (3,), (0,), (0,), (1,), 1),
        ((1, 2, 9), (2, 2, 2), (4,), (1,), (2,), (3,), 1),
        # More padding than the kernel reaches.
        ((1, 2, 3), (2, 2, 2), (1,), (3,), (0,), (1,), 1),
        ((1, 1, 2), (1, 1, 1), (1,), (2,), (4,), (1,), 1),
        # No window but the one in the padding, on either side of the input.
        ((1, 1, 1), (1, 1, 1), (10,), (5,), (0,), (1,), 1),
        ((2, 4, 5), (6, 2, 2), (2,), (0,), (1,), (1,), 2),
        ((1, 3, 4), (6, 1, 3), (1,), (1,), (1,), (1,), 3),
        ((2, 2, 3, 4), (2, 2, 2, 3), (1, 2), (1, 0), (0, 2), (1, 1), 1),
        ((1, 4, 4, 3), (4, 2, 2, 2), (2, 1), (1, 1), (1, 0), (2, 1), 2),
        ((1, 1, 2, 3, 2), (2, 1, 2, 2, 1), (1, 1, 2), (0, 1, 0), (1, 0, 1), (1, 2, 1), 1),
        ((0, 2, 3), (2, 2, 2), (1,), (0,), (0,), (1,), 1),
        ((2, 0, 3), (2, 0, 2), (1,), (0,), (0,), (1,), 1),
        ((1, 2, 0), (2, 2, 2), (1,), (1,), (1,), (1,), 1),
    ],
)
def test_convolution(
    rng: np.random.Generator,
    data: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    low: tuple[int, ...],
    high: tuple[int, ...],
    dilations: tuple[int, ...],
    groups: int,
) -> None:
    check(
        lambda ops, x, w: ops.convolution(x, w, strides, low, high, dilations, groups),
        rng.standard_normal(data),
        rng.standard_normal(kernel),
    )


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", list(ScanKind))
def test_scan(rng: np.random.Generator, kind: ScanKind, axis: int) -> None:
    make = distinct if kind in ("max", "min") else away_from_integers
    check(lambda ops, x: ops.scan(kind, x, axis), make(rng, 3, 4))
    check(lambda ops, x: ops.scan(kind, x, axis), make(rng, 1, 1))
    if kind in ("add", "mul"):
        check(lambda ops, x: ops.scan(kind, x, axis, exclusive=True), make(rng, 4, 3))
        check(lambda ops, x: ops.scan(kind, x, axis, exclusive=True), make(rng, 1, 1))


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("zeros", [(0,), (2,), (4,), (1, 3), (0, 1, 4)])
def test_scan_of_products_that_hold_zeros(
    rng: np.random.Generator, zeros: tuple[int, ...], exclusive: bool
) -> None:
    x = away_from_integers(rng, 5)
    x[list(zeros)] = 0.0
    check(lambda ops, x: ops.scan("mul", x, 0, exclusive=exclusive), x)


def test_scan_of_nothing() -> None:
    found, _ = gradients(lambda ops, x: ops.scan("mul", x, 0), [np.zeros((0, 3))])
    assert found[0].shape == (0, 3)


def test_scan_gives_the_last_of_equal_extrema_the_gradient() -> None:
    found, weights = gradients(lambda ops, x: ops.scan("max", x, 0), [np.array([2.0, 2.0, 1.0])])
    np.testing.assert_allclose(found[0], [weights[0], weights[1] + weights[2], 0.0])
