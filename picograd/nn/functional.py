"""Functions of neural networks, as in `torch.nn.functional`."""

from __future__ import annotations

from collections.abc import Sequence

from picograd.errors import DTypeError, OptionError, ShapeError
from picograd.frontend import compositions
from picograd.frontend.joining import embedding
from picograd.frontend.problems import located
from picograd.frontend.promotion import common_device, require_float
from picograd.frontend.tensor import Tensor

__all__ = [
    "cross_entropy",
    "embedding",
    "gelu",
    "layer_norm",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return x.relu()


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function."""
    return x.gelu(approximate)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return x.sigmoid()


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return x.tanh()


def softmax(x: Tensor, dim: int) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`."""
    return x.softmax(dim)


def log_softmax(x: Tensor, dim: int) -> Tensor:
    """The logarithm of the softmax along `dim`."""
    return x.log_softmax(dim)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias, for x [..., in], weight [out, in], bias [out]."""
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise located(
            ShapeError(
                "linear: the last axis of x has one element for each column of the weight",
                expected="x [..., in] and weight [out, in]",
                found=f"x {list(x.shape)} and weight {list(weight.shape)}",
            )
        )
    product = x @ weight.T
    return product if bias is None else product + bias


def layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """x with mean 0 and variance 1 over its last axes, then times `weight` plus `bias`."""
    require_float(x, "layer_norm")
    count = len(normalized_shape)
    if count == 0 or x.shape[x.ndim - count :] != tuple(normalized_shape):
        raise located(
            ShapeError(
                "layer_norm normalizes the last axes",
                expected=f"a tensor whose shape ends in {list(normalized_shape)}",
                found=list(x.shape),
            )
        )
    axes = range(x.ndim - count, x.ndim)
    result = x.wrap(compositions.layer_norm(x.builder(), x.read(), axes, eps))
    if weight is not None:
        result = result * weight
    return result if bias is None else result + bias


def mse_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared difference, averaged by default; both have one shape."""
    if x.shape != target.shape:
        raise located(
            ShapeError(
                "mse_loss compares tensors of one shape",
                expected=list(x.shape),
                found=list(target.shape),
            )
        )
    return _reduced((x - target).square(), reduction)


def nll_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The negative of the log-probability that x [N, C, …] gives to the classes `target` [N, …]."""
    common_device((x, target))
    require_float(x, "nll_loss")
    axis = 0 if x.ndim == 1 else 1
    expected = (*x.shape[:axis], *x.shape[axis + 1 :])
    if x.ndim == 0 or target.shape != expected:
        raise located(
            ShapeError(
                "the class indices do not fit the scores",
                expected=f"indices of shape {list(expected)} for scores of shape {list(x.shape)}",
                found=list(target.shape),
            )
        )
    if not target.dtype.is_int:
        raise located(
            DTypeError(
                "class indices are integers",
                expected="int64",
                found=target.dtype.name,
                hint="convert them: target.long()",
            )
        )
    ops = x.builder()
    picked = x.wrap(compositions.picked(ops, x.read(), target.read(), axis))
    return _reduced(-picked, reduction)


def cross_entropy(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The cross entropy of scores x [N, C, …] and classes.

    `target` holds class indices [N, …] (integers), or probabilities of the shape of x (floats).
    """
    axis = 0 if x.ndim == 1 else 1
    logarithms = x.log_softmax(axis)
    if not target.dtype.is_float:
        return nll_loss(logarithms, target, reduction)
    if target.shape != x.shape:
        raise located(
            ShapeError(
                "class probabilities have the shape of the scores",
                expected=list(x.shape),
                found=list(target.shape),
                hint="class indices must be integers: target.long()",
            )
        )
    each = -(logarithms * target).sum(axis)
    if reduction == "mean":
        return each.sum() / max(each.numel(), 1)
    return _reduced(each, reduction)


def _reduced(each: Tensor, reduction: str) -> Tensor:
    match reduction:
        case "mean":
            return each.mean()
        case "sum":
            return each.sum()
        case "none":
            return each
        case _:
            raise located(
                OptionError(
                    "a loss is reduced in one of three ways",
                    expected="'mean', 'sum' or 'none'",
                    found=repr(reduction),
                )
            )
