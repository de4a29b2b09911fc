"""Functions of neural networks, as in `torch.nn.functional`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from picograd.errors import OptionError, ShapeError
from picograd.frontend.functions.combining import one_hot
from picograd.frontend.functions.joining import checked
from picograd.frontend.functions.joining import embedding as _rows
from picograd.frontend.functions.joining import where as _where
from picograd.frontend.missing import missing_names
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.nn.functions.activations import (
    celu,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
)
from picograd.nn.functions.attention import scaled_dot_product_attention
from picograd.nn.functions.classification import cross_entropy, nll_loss
from picograd.nn.functions.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    fold,
    unfold,
)
from picograd.nn.functions.distances import cosine_similarity, normalize, pairwise_distance
from picograd.nn.functions.dropout import alpha_dropout, dropout, dropout1d, dropout2d
from picograd.nn.functions.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_embedding_loss,
    gaussian_nll_loss,
    hinge_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    margin_ranking_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
    triplet_margin_loss,
)
from picograd.nn.functions.normalization import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    rms_norm,
)
from picograd.nn.functions.padding import interpolate, pad
from picograd.nn.functions.pixels import gumbel_softmax, pixel_shuffle, pixel_unshuffle
from picograd.nn.functions.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elu",
    "embedding",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
    "unfold",
]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias, for an input [..., in], weight [out, in], bias [out]."""
    if weight.ndim != 2 or checked(input, "linear").ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise located(
            ShapeError(
                "linear: the input's last axis has one element for each column of the weight",
                code="PG103",
                expected="input [..., in] and weight [out, in]",
                found=f"input {list(input.shape)} and weight {list(weight.shape)}",
                hint="give the layer as many in_features as the input's last axis has elements",
            )
        )
    product = input @ weight.T
    return product if bias is None else product + bias


@planned_operands(tensors=("weight",))
def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of `weight`, one for each index; no gradient reaches the row `padding_idx`.

    Raises IndexOutOfRange when it runs.
    """
    rows = _rows(weight, input)
    if padding_idx is None:
        return rows
    count = weight.shape[0]
    if not -count <= padding_idx < count:
        raise located(
            OptionError(
                "padding_idx names no row of the table",
                code="PG119",
                expected=f"{-count} <= padding_idx < {count}",
                found=padding_idx,
                hint="pass the index that pads the sequences",
            )
        )
    is_padding = (input == padding_idx % count).unsqueeze(-1)
    return _where(is_padding, rows.detach(), rows)


if not TYPE_CHECKING:
    __getattr__ = missing_names("torch.nn.functional", __all__)
