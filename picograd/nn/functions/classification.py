"""Losses of scores against classes, as in `torch.nn.functional`."""

from __future__ import annotations

from picograd.errors import DTypeError, OptionError, ShapeError
from picograd.frontend.functions.joining import where
from picograd.frontend.methods import compositions
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import common_device, require_float
from picograd.frontend.tensor import Tensor
from picograd.nn.functions.losses import reduced


@planned_operands(tensors=("target", "weight"))
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The negative of what log-probabilities [N, C, …] give to the classes `target` [N, …].

    `weight` [C] weights the classes, also in the mean; elements of the class `ignore_index` do not
    count. Raises IndexOutOfRange, when it runs, for other classes outside of 0 … C - 1.
    """
    return _classes_loss(input, target, weight, ignore_index, reduction, 0.0)


@planned_operands(tensors=("target", "weight"))
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy of scores, the input [N, C, …], and classes.

    `target` holds class indices [N, …] (integers), or probabilities of the input's shape.
    `label_smoothing` spreads this share of the target over all classes.
    """
    if not 0 <= label_smoothing <= 1:
        raise located(
            OptionError(
                "label_smoothing is a share",
                code="PG802",
                expected="0 <= label_smoothing <= 1",
                found=label_smoothing,
                hint="pass a number such as 0.1, or leave it out",
            )
        )
    require_float(input, "cross_entropy")
    axis = 0 if input.ndim == 1 else 1
    logarithms = input.log_softmax(axis)
    if not target.dtype.is_float:
        return _classes_loss(logarithms, target, weight, ignore_index, reduction, label_smoothing)
    if target.shape != input.shape:
        raise located(
            ShapeError(
                "class probabilities have the shape of the scores",
                code="PG102",
                expected=list(input.shape),
                found=list(target.shape),
                hint="class indices must be integers: target.long()",
            )
        )
    classes = input.shape[axis]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    products = logarithms * target
    if weight is not None:
        products = products * _along_classes(weight, input, axis)
    each = -products.sum(axis)
    if reduction == "mean":
        return each.sum() / max(each.numel(), 1)
    return reduced(each, reduction)


def _along_classes(weight: Tensor, input: Tensor, axis: int) -> Tensor:
    """The weights of classes, so that they broadcast with the scores."""
    if weight.shape != (input.shape[axis],):
        raise located(
            ShapeError(
                "there is one weight for each class",
                code="PG115",
                expected=[input.shape[axis]],
                found=list(weight.shape),
                hint="pass a 1-d tensor with as many elements as the scores have classes",
            )
        )
    return weight.reshape(-1, *[1] * (input.ndim - axis - 1))


def _classes_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    smoothing: float,
) -> Tensor:
    """What log-probabilities lose on class indices."""
    common_device((input, target) if weight is None else (input, target, weight))
    require_float(input, "nll_loss")
    axis = 0 if input.ndim == 1 else 1
    expected = (*input.shape[:axis], *input.shape[axis + 1 :])
    if input.ndim == 0 or target.shape != expected:
        raise located(
            ShapeError(
                "the class indices do not fit the scores",
                code="PG115",
                expected=f"indices {list(expected)} for scores {list(input.shape)}",
                found=list(target.shape),
                hint="pass one class index for each row of scores, without an axis for classes",
            )
        )
    if not target.dtype.is_int:
        raise located(
            DTypeError(
                "class indices are integers",
                code="PG122",
                expected="int64",
                found=target.dtype.name,
                hint="convert them: target.long()",
            )
        )
    counts = target != ignore_index
    known = where(counts, target, 0)
    ops = input.builder()

    def pick(values: Tensor) -> Tensor:
        return input.wrap(compositions.picked(ops, values.read(), known.read(), axis))

    each = where(counts, -pick(input), 0.0)
    share = counts.to(input.dtype)
    scores = input
    if weight is not None:
        spread = _along_classes(weight, input, axis)
        scores = input * spread
        each = where(counts, -pick(scores), 0.0)
        share = where(counts, pick(spread.expand(input.shape)), 0.0)
    if smoothing:
        all_classes = where(counts, -scores.sum(axis), 0.0)
        each = each * (1 - smoothing) + all_classes * (smoothing / input.shape[axis])
    if reduction == "mean":
        return each.sum() / share.sum()
    return reduced(each, reduction)
