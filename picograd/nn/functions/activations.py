"""Activation functions of `torch.nn.functional`."""

from __future__ import annotations

from collections.abc import Callable

from picograd.dialects.dtypes import DType
from picograd.errors import OptionError, ShapeError
from picograd.frontend.autodiff.tape import Tape, Var, unstamped
from picograd.frontend.functions.joining import checked
from picograd.frontend.methods import activations
from picograd.frontend.methods.reductions import normalize_axis
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import common_device, require_float
from picograd.frontend.tensor import Tensor


def _apply(
    input: Tensor, name: str, function: Callable[[Tape, Var], Var], inplace: bool = False
) -> Tensor:
    """A composition on a float tensor; `inplace` overwrites the tensor."""
    require_float(checked(input, name), name)
    ops = input.builder()
    if inplace:
        return input.write_(function(ops, unstamped(input.read())))
    return input.wrap(function(ops, input.read()))


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return input.relu_() if inplace else input.relu()


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function."""
    return input.gelu(approximate)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()


def _softmax_axis(input: Tensor, dim: int | None) -> int:
    """`dim`, or what PyTorch takes for it: the first axis of ranks 0, 1 and 3, else the second."""
    if dim is not None:
        return dim
    return 0 if input.ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, *, dtype: DType | None = None) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`, which should be named, computed in `dtype`."""
    return input.softmax(_softmax_axis(input, dim), dtype)


def softmin(input: Tensor, dim: int | None = None, *, dtype: DType | None = None) -> Tensor:
    """The softmax of -x along `dim`."""
    return (-input).softmax(_softmax_axis(input, dim), dtype)


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: DType | None = None) -> Tensor:
    """The logarithm of the softmax along `dim`."""
    return input.log_softmax(_softmax_axis(input, dim), dtype)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x between 0 and 6."""
    return _apply(input, "relu6", lambda ops, x: activations.clipped(ops, x, 0, 6), inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x between two bounds, at which no gradient passes."""
    if min_val > max_val:
        raise located(
            OptionError(
                "hardtanh's bounds are the wrong way round",
                code="PG802",
                expected="min_val <= max_val",
                found=f"min_val={min_val}, max_val={max_val}",
                hint="exchange them",
            )
        )
    return _apply(
        input, "hardtanh", lambda ops, x: activations.clipped(ops, x, min_val, max_val), inplace
    )


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x, and negative_slope * x where it is negative."""
    return _apply(
        input, "leaky_relu", lambda ops, x: activations.leaky_relu(ops, x, negative_slope), inplace
    )


@planned_operands()
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x, and alpha * (exp(x) - 1) where it is negative."""
    return _apply(input, "elu", lambda ops, x: activations.elu(ops, x, alpha), inplace)


@planned_operands()
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """elu with the two constants of self-normalizing networks."""
    return _apply(input, "selu", activations.selu, inplace)


@planned_operands()
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x, and alpha * (exp(x / alpha) - 1) where it is negative."""
    if alpha == 0:
        raise located(
            OptionError(
                "celu divides by alpha",
                code="PG802",
                expected="alpha other than 0",
                found=alpha,
                hint="pass a positive alpha",
            )
        )
    return _apply(input, "celu", lambda ops, x: activations.celu(ops, x, alpha), inplace)


@planned_operands()
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x times its sigmoid."""
    return _apply(input, "silu", activations.silu, inplace)


@planned_operands()
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * tanh(softplus(x))."""
    return _apply(input, "mish", activations.mish, inplace)


@planned_operands()
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta, and x itself where beta * x exceeds the threshold."""
    return _apply(
        input, "softplus", lambda ops, x: activations.softplus_until(ops, x, beta, threshold)
    )


@planned_operands()
def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return _apply(input, "softsign", activations.softsign)


@planned_operands()
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """(x + 3) / 6 between 0 and 1."""
    return _apply(input, "hardsigmoid", activations.hardsigmoid, inplace)


@planned_operands()
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x times its hardsigmoid."""
    return _apply(input, "hardswish", activations.hardswish, inplace)


@planned_operands()
def logsigmoid(input: Tensor) -> Tensor:
    """log(1 / (1 + exp(-x)))."""
    return _apply(input, "logsigmoid", activations.logsigmoid)


@planned_operands()
def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return _apply(input, "tanhshrink", activations.tanhshrink)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x, and 0 from -lambd to lambd."""
    return _apply(input, "hardshrink", lambda ops, x: activations.hardshrink(ops, x, lambd))


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd."""
    if lambd < 0:
        raise located(
            OptionError(
                "softshrink moves towards 0",
                code="PG802",
                expected="lambd >= 0",
                found=lambd,
                hint="pass how far to move as a number of 0 or more",
            )
        )
    return _apply(input, "softshrink", lambda ops, x: activations.softshrink(ops, x, lambd))


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where it exceeds the threshold, else the value."""
    return _apply(
        input, "threshold", lambda ops, x: activations.threshold(ops, x, threshold, value), inplace
    )


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x, and weight * x where it is negative; one weight, or one for each channel (axis 1)."""
    require_float(input, "prelu")
    common_device((input, weight))
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise located(
            ShapeError(
                "prelu has one weight, or one for each channel",
                code="PG112",
                expected=f"a weight of 1 or {channels} elements",
                found=list(weight.shape),
                hint="pass num_parameters=1, or the number of channels (axis 1 of the input)",
            )
        )
    one_each = weight.ndim == 1 and input.ndim > 1
    spread = weight.reshape(-1, *[1] * (input.ndim - 2)) if one_each else weight.reshape(())
    ops, zero = input.builder(), input.builder().full(input.shape, 0, input.dtype)
    scaled = spread * input
    positive = ops.compare("gt", input.read(), zero)
    return input.wrap(ops.select(positive, input.read(), scaled.read()))


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along `dim`, times the sigmoid of the second."""
    require_float(input, "glu")
    axis = normalize_axis(dim, input.ndim)
    size = input.shape[axis] if input.ndim else 1
    if size % 2:
        raise located(
            ShapeError(
                "glu halves an axis",
                code="PG112",
                expected="an axis of even size",
                found=f"axis {dim} of {list(input.shape)}",
                hint="make the layer before it twice as wide as its result shall be",
            )
        )
    value, gate = input.narrow(axis, 0, size // 2), input.narrow(axis, size // 2, size // 2)
    return value * gate.sigmoid()
