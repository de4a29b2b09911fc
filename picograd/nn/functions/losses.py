"""Losses of numbers against numbers, as in `torch.nn.functional`.

`reduction` is "mean" (the default), "sum" or "none".
"""

from __future__ import annotations

from math import log, pi

from picograd.errors import OptionError, ShapeError
from picograd.frontend.functions.joining import where
from picograd.frontend.methods import activations
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import broadcast_shapes, common_device, require_float
from picograd.frontend.tensor import Tensor
from picograd.nn.functions.distances import cosine_similarity, pairwise_distance


def reduced(each: Tensor, reduction: str) -> Tensor:
    """The losses, their sum or their mean. Raises OptionError for another word."""
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
                    code="PG801",
                    expected="'mean', 'sum' or 'none'",
                    found=repr(reduction),
                    hint="pass one of these as reduction",
                )
            )


def _same_shape(input: Tensor, target: Tensor, name: str) -> None:
    if input.shape != target.shape:
        raise located(
            ShapeError(
                f"{name} compares tensors of one shape",
                code="PG102",
                expected=list(input.shape),
                found=list(target.shape),
                hint="reshape the target like the input",
            )
        )


def _difference(input: Tensor, target: Tensor, name: str) -> Tensor:
    """input - target, of one shape and in floats.

    PyTorch broadcasts here and warns, because that is nearly always a mistake.
    """
    _same_shape(input, target, name)
    difference = input - target
    require_float(difference, name)
    return difference


@planned_operands(tensors=("target",))
def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared difference, averaged by default; both have one shape."""
    return reduced(_difference(input, target, "mse_loss").square(), reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The size of the difference."""
    return reduced(_difference(input, target, "l1_loss").abs(), reduction)


def _positive(value: float, name: str, option: str, *, or_zero: bool = False) -> None:
    if not (value > 0 or (or_zero and value == 0)):
        raise located(
            OptionError(
                f"{name}'s {option} is a positive number",
                code="PG802",
                expected=f"{option} {'>=' if or_zero else '>'} 0",
                found=value,
                hint=f"pass a positive {option}, such as 1",
            )
        )


def smooth_l1_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """d² / (2 beta) where |d| < beta, else |d| - beta / 2."""
    _positive(beta, "smooth_l1_loss", "beta", or_zero=True)
    size = _difference(input, target, "smooth_l1_loss").abs()
    if beta == 0:
        return reduced(size, reduction)
    near = size * size * (0.5 / beta)
    return reduced(where(size < beta, near, size - 0.5 * beta), reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """d² / 2 where |d| <= delta, else delta * (|d| - delta / 2)."""
    _positive(delta, "huber_loss", "delta")
    size = _difference(input, target, "huber_loss").abs()
    far = (size - 0.5 * delta) * delta
    return reduced(where(size <= delta, size * size * 0.5, far), reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(t log(p) + (1 - t) log(1 - p)) for probabilities p; logarithms count as -100 at least."""
    _same_shape(input, target, "binary_cross_entropy")
    require_float(input, "binary_cross_entropy")
    yes, no = _bounded_log(input), _bounded_log(1 - input)
    each = (target - 1) * no - target * yes
    return reduced(each if weight is None else each * weight, reduction)


def _bounded_log(p: Tensor) -> Tensor:
    return p.log().clamp(min=-100)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross entropy of sigmoid(input), from the input itself, so that nothing overflows.

    `pos_weight` weights the positive answers, and broadcasts as `weight` does.
    """
    _same_shape(input, target, "binary_cross_entropy_with_logits")
    require_float(input, "binary_cross_entropy_with_logits")
    ops = input.builder()
    if pos_weight is None:
        each = input.wrap(activations.softplus(ops, input.read())) - target * input
    else:
        # log sigmoid(-x) = -softplus(x), and log sigmoid(x) is x more.
        factor = (pos_weight - 1) * target + 1
        miss = input.wrap(activations.softplus(ops, ops.neg(input.read())))
        each = (1 - target) * input + factor * miss
    return reduced(each if weight is None else each * weight, reduction)


def kl_div(
    input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """t (log(t) - x) for log-probabilities x; with `log_target` the target is a logarithm too.

    "batchmean" divides the sum by the size of the first axis, as the divergence is defined.
    """
    require_float(input, "kl_div")
    if log_target:
        each = target.exp() * (target - input)
    else:
        # t log(t) is 0 for t = 0.
        safe = where(target > 0, target, 1.0)
        each = where(target == 0, 0.0, target * safe.log()) - target * input
    if reduction == "batchmean":
        return each.sum() / (input.shape[0] if input.ndim else 1)
    return reduced(each, reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos for pairs of target 1; max(0, cos - margin) for those of target -1."""
    if input1.shape != input2.shape or input1.ndim != target.ndim + 1 or target.ndim > 1:
        raise located(
            ShapeError(
                "cosine_embedding_loss compares pairs of vectors",
                code="PG102",
                expected="inputs [N, D] and target [N], or inputs [D] and a 0-d target",
                found=f"{list(input1.shape)}, {list(input2.shape)}, {list(target.shape)}",
                hint="pass one target for each pair of vectors",
            )
        )
    cosine = cosine_similarity(input1, input2, dim=-1, eps=1e-12)
    apart = (cosine - margin).relu()
    each = where(target == 1, 1 - cosine, 0.0) + where(target == -1, apart, 0.0)
    return reduced(each, reduction)


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """x where the target is 1; max(0, margin - x) where it is -1."""
    require_float(input, "hinge_embedding_loss")
    below = (margin - input).relu()
    # Written as PyTorch does it, so that targets other than ±1 get what they get there.
    each = where(target != 1, below, 0.0) + where(target != -1, input, 0.0)
    return reduced(each, reduction)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, -t (x1 - x2) + margin): t is 1 where the first shall rank higher, else -1."""
    require_float(input1, "margin_ranking_loss")
    return reduced((-target * (input1 - input2) + margin).relu(), reduction)


def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-t x)) for targets ±1."""
    _same_shape(input, target, "soft_margin_loss")
    require_float(input, "soft_margin_loss")
    product = -target * input
    each = product.wrap(activations.softplus(product.builder(), product.read()))
    return reduced(each, reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, |a - p| - |a - n| + margin); `swap` takes |p - n| where that is nearer."""
    _positive(margin, "triplet_margin_loss", "margin")
    broadcast_shapes(anchor.shape, positive.shape, negative.shape)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = far.minimum(pairwise_distance(positive, negative, p, eps))
    return reduced((near - far + margin).relu(), reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log(var) + (x - t)² / var) / 2, with a variance of at least eps, which gets no gradient
    through that bound; `full` adds log(2π) / 2."""
    _positive(eps, "gaussian_nll_loss", "eps")
    require_float(input, "gaussian_nll_loss")
    spread = input * 0 + var if isinstance(var, float | int) else var
    common_device((input, target, spread))
    if spread.shape != input.shape and spread.shape == input.shape[:-1]:
        spread = spread.unsqueeze(-1)
    broadcast_shapes(input.shape, spread.shape)
    # As in PyTorch the bound changes the value and lets the gradient through.
    bound = spread + (spread.detach().clamp(min=eps) - spread.detach())
    each = (bound.log() + (input - target).square() / bound) * 0.5
    if full:
        each = each + 0.5 * log(2 * pi)
    return reduced(each, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """exp(x) - t x, or x - t log(x + eps); `full` adds Stirling's approximation of log(t!)."""
    require_float(input, "poisson_nll_loss")
    each = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        many = where(target > 1, target, 2.0)
        stirling = many * many.log() - many + (many * (2 * pi)).log() * 0.5
        each = each + where(target > 1, stirling, 0.0)
    return reduced(each, reduction)
