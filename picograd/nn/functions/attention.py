"""Scaled dot-product attention, as in `torch.nn.functional` (Vaswani et al., 2017)."""

from __future__ import annotations

from math import inf, sqrt

from picograd.errors import DTypeError, OptionError, ShapeError
from picograd.frontend.functions.creation import arange
from picograd.frontend.functions.joining import where
from picograd.frontend.problems import located
from picograd.frontend.promotion import common_device, require_float
from picograd.frontend.tensor import Tensor
from picograd.nn.functions.dropout import dropout


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ key.T * scale + mask) @ value, for query [..., L, E], key [..., S, E],
    value [..., S, Ev].

    A bool mask tells which keys take part, a float mask is added; `is_causal` lets position i see
    the keys up to i. `scale` is 1 / sqrt(E) by default. With `enable_gqa` the queries have more
    heads (axis -3) than keys and values, which are repeated. A row whose keys are all masked is 0.
    """
    common_device((query, key, value) if attn_mask is None else (query, key, value, attn_mask))
    require_float(query, "scaled_dot_product_attention")
    _check(query, key, value)
    if is_causal and attn_mask is not None:
        raise located(
            OptionError(
                "attention takes a mask or is causal, not both",
                code="PG803",
                expected="attn_mask=None with is_causal=True",
                found="both",
                hint="put the causal part into the mask",
            )
        )
    if enable_gqa:
        key, value = _repeated(query, key), _repeated(query, value)
    size = query.shape[-1]
    factor = (1 / sqrt(size) if size else 1.0) if scale is None else scale
    scores = (query * factor) @ key.transpose(-2, -1)
    if is_causal:
        scores = where(_causal(scores), scores, -inf)
    elif attn_mask is not None and attn_mask.dtype.is_bool:
        scores = where(attn_mask, scores, -inf)
    elif attn_mask is not None:
        if attn_mask.dtype is not query.dtype:
            raise located(
                DTypeError(
                    "an attention mask is bool, or has the query's dtype",
                    code="PG206",
                    expected=f"bool or {query.dtype.name}",
                    found=attn_mask.dtype.name,
                    hint="convert it: attn_mask.to(query.dtype)",
                )
            )
        scores = scores + attn_mask
    if attn_mask is None:
        weights = scores.softmax(-1)
    else:
        # Where a mask hides all keys of a row, the softmax would be NaN.
        seen = (scores != -inf).any(-1, keepdim=True)
        weights = where(seen, where(seen, scores, 0.0).softmax(-1), 0.0)
    if dropout_p:
        weights = dropout(weights, dropout_p)
    return weights @ value


def _causal(scores: Tensor) -> Tensor:
    rows = arange(scores.shape[-2], device=scores.device).unsqueeze(1)
    return rows >= arange(scores.shape[-1], device=scores.device)


def _repeated(query: Tensor, other: Tensor) -> Tensor:
    """Each head of keys or values as often as queries share it."""
    heads, have = query.shape[-3], other.shape[-3]
    if have == 0 or heads % have:
        raise located(
            ShapeError(
                "grouped attention shares keys and values evenly",
                code="PG112",
                expected="a number of query heads that is a multiple of the key heads",
                found=f"{heads} query heads, {have} key heads",
                hint="choose numbers of heads that divide",
            )
        )
    times = heads // have
    *batch, _, length, size = other.shape
    spread = other.unsqueeze(-3).expand(*batch, have, times, length, size)
    return spread.reshape(*batch, heads, length, size)


def _check(query: Tensor, key: Tensor, value: Tensor) -> None:
    shapes = [list(x.shape) for x in (query, key, value)]
    fits = (
        min(x.ndim for x in (query, key, value)) >= 2
        and query.shape[-1] == key.shape[-1]
        and key.shape[-2] == value.shape[-2]
    )
    if not fits:
        raise located(
            ShapeError(
                "query, key and value do not fit together",
                code="PG113",
                expected="[..., L, E], [..., S, E] and [..., S, Ev]",
                found=", ".join(str(shape) for shape in shapes),
                hint="queries and keys have one size, keys and values one number",
            )
        )
