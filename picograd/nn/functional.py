"""Functions of neural networks, as in `torch.nn.functional`."""

from __future__ import annotations

from collections.abc import Sequence

from picograd.errors import DTypeError, OptionError, ShapeError
from picograd.frontend import compositions
from picograd.frontend.joining import embedding as _rows
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


def relu(input: Tensor) -> Tensor:
    """max(x, 0)."""
    return input.relu()


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function."""
    return input.gelu(approximate)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()


def softmax(input: Tensor, dim: int) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`."""
    return input.softmax(dim)


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """The logarithm of the softmax along `dim`."""
    return input.log_softmax(dim)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias, for an input [..., in], weight [out, in], bias [out]."""
    if weight.ndim != 2 or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise located(
            ShapeError(
                "linear: the input's last axis has one element for each column of the weight",
                expected="input [..., in] and weight [out, in]",
                found=f"input {list(input.shape)} and weight {list(weight.shape)}",
                hint="give the layer as many in_features as the input's last axis has elements",
            )
        )
    product = input @ weight.T
    return product if bias is None else product + bias


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The input with mean 0 and variance 1 over its last axes, then times `weight` plus `bias`."""
    require_float(input, "layer_norm")
    count = len(normalized_shape)
    if count == 0 or input.shape[input.ndim - count :] != tuple(normalized_shape):
        raise located(
            ShapeError(
                "layer_norm normalizes the last axes",
                expected=f"a tensor whose shape ends in {list(normalized_shape)}",
                found=list(input.shape),
                hint="pass the sizes of the input's last axes as normalized_shape",
            )
        )
    axes = range(input.ndim - count, input.ndim)
    result = input.wrap(compositions.layer_norm(input.builder(), input.read(), axes, eps))
    if weight is not None:
        result = result * weight
    return result if bias is None else result + bias


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared difference, averaged by default; both have one shape."""
    if input.shape != target.shape:
        raise located(
            ShapeError(
                "mse_loss compares tensors of one shape",
                expected=list(input.shape),
                found=list(target.shape),
                hint="reshape the target like the input",
            )
        )
    return _reduced((input - target).square(), reduction)


def nll_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The negative of what log-probabilities [N, C, …] give to the classes `target` [N, …]."""
    common_device((input, target))
    require_float(input, "nll_loss")
    axis = 0 if input.ndim == 1 else 1
    expected = (*input.shape[:axis], *input.shape[axis + 1 :])
    if input.ndim == 0 or target.shape != expected:
        raise located(
            ShapeError(
                "the class indices do not fit the scores",
                expected=f"indices {list(expected)} for scores {list(input.shape)}",
                found=list(target.shape),
                hint="pass one class index for each row of scores, without an axis for classes",
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
    ops = input.builder()
    picked = input.wrap(compositions.picked(ops, input.read(), target.read(), axis))
    return _reduced(-picked, reduction)


def cross_entropy(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The cross entropy of scores, the input [N, C, …], and classes.

    `target` holds class indices [N, …] (integers), or probabilities of the input's shape.
    """
    axis = 0 if input.ndim == 1 else 1
    logarithms = input.log_softmax(axis)
    if not target.dtype.is_float:
        return nll_loss(logarithms, target, reduction)
    if target.shape != input.shape:
        raise located(
            ShapeError(
                "class probabilities have the shape of the scores",
                expected=list(input.shape),
                found=list(target.shape),
                hint="class indices must be integers: target.long()",
            )
        )
    each = -(logarithms * target).sum(axis)
    if reduction == "mean":
        return each.sum() / max(each.numel(), 1)
    return _reduced(each, reduction)


def embedding(input: Tensor, weight: Tensor) -> Tensor:
    """Rows of `weight`, one for each index. Raises IndexOutOfRange when it runs."""
    return _rows(weight, input)


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
                    hint="pass one of these as reduction",
                )
            )
