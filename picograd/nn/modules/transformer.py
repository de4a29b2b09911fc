"""Attention and the transformer's encoder as modules, as in `torch.nn`."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from math import inf

from picograd.dialects.dtypes import DType
from picograd.errors import DTypeError, OptionError, ShapeError
from picograd.frontend.functions.creation import zeros
from picograd.frontend.functions.joining import where
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.nn import functional, init
from picograd.nn.modules.containers import ModuleList
from picograd.nn.modules.layers import Linear
from picograd.nn.modules.module import Module, Parameter
from picograd.nn.modules.normalization import Dropout, LayerNorm


class MultiheadAttention(Module):
    """Attention of several heads, between linear maps (Vaswani et al., 2017).

    As in PyTorch the inputs are [L, N, E] unless `batch_first`, and a bool mask tells which keys
    are *hidden* (F.scaled_dot_product_attention's tells which are seen).
    """

    in_proj_bias: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        batch_first: bool = False,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise located(
                OptionError(
                    "the heads of an attention are equally wide",
                    code="PG112",
                    expected="an embed_dim that num_heads divides",
                    found=f"embed_dim {embed_dim}, num_heads {num_heads}",
                    hint="choose a num_heads that divides embed_dim",
                )
            )
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.dropout, self.batch_first = dropout, batch_first
        self.head_dim = embed_dim // num_heads
        self.in_proj_weight = Parameter(zeros(3 * embed_dim, embed_dim, device=device, dtype=dtype))
        self.in_proj_bias = (
            Parameter(zeros(3 * embed_dim, device=device, dtype=dtype)) if bias else None
        )
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        init.xavier_uniform_(self.in_proj_weight)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The attended values, and the weights [N, L, S] (of each head [N, heads, L, S] unless
        averaged) or None.

        `attn_mask` is [L, S] or [N * heads, L, S], `key_padding_mask` [N, S]: bool (true hides), or
        float and added. `is_causal` only hints at what attn_mask holds, and needs it.
        """
        self._check(query, key, value)
        if is_causal and attn_mask is None:
            raise located(
                OptionError(
                    "is_causal is a hint about attn_mask",
                    code="PG803",
                    expected="an attn_mask",
                    found="None",
                    hint="pass attn_mask=torch.ones(L, S).triu(1).bool(), which hides what follows",
                )
            )
        alone = query.ndim == 2
        inputs = [
            x.unsqueeze(0 if self.batch_first else 1) if alone else x for x in (query, key, value)
        ]
        if not self.batch_first:
            inputs = [x.transpose(0, 1) for x in inputs]
        heads = [self._heads(x, part) for part, x in enumerate(inputs)]
        batch, length, many = inputs[0].shape[0], inputs[0].shape[1], inputs[1].shape[1]
        shape = (batch, length, many)
        mask = self._mask(attn_mask, key_padding_mask, shape, query.dtype)
        dropout_p = self.dropout if self.training else 0.0
        weights: Tensor | None = None
        if need_weights:
            scores = (heads[0] * self.head_dim**-0.5) @ heads[1].transpose(-2, -1)
            shares = (scores if mask is None else scores + mask).softmax(-1)
            if dropout_p:
                shares = functional.dropout(shares, dropout_p)
            attended = shares @ heads[2]
            weights = shares.mean(1) if average_attn_weights else shares
        else:
            attended = functional.scaled_dot_product_attention(
                heads[0], heads[1], heads[2], mask, dropout_p
            )
        joined = attended.transpose(1, 2).reshape(batch, length, self.embed_dim)
        result = self.out_proj(joined)
        if not self.batch_first:
            result = result.transpose(0, 1)
        if alone:
            result = result.squeeze(0 if self.batch_first else 1)
            weights = None if weights is None else weights.squeeze(0)
        return result, weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        shapes = [x.shape for x in (query, key, value)]
        fits = len({len(shape) for shape in shapes}) == 1 and len(shapes[0]) in (2, 3)
        if not fits or any(shape[-1] != self.embed_dim for shape in shapes):
            raise located(
                ShapeError(
                    "query, key and value do not fit the attention",
                    code="PG113",
                    expected=f"three inputs [L, N, {self.embed_dim}], or [L, {self.embed_dim}]",
                    found=", ".join(str(list(shape)) for shape in shapes),
                    hint="their last axis is embed_dim; batch_first puts the batch in front",
                )
            )

    def _heads(self, x: Tensor, part: int) -> Tensor:
        """One third of the input map, as [N, heads, length, head_dim]."""
        size = self.embed_dim
        weight = self.in_proj_weight.narrow(0, part * size, size)
        bias = None if self.in_proj_bias is None else self.in_proj_bias.narrow(0, part * size, size)
        mapped = functional.linear(x, weight, bias)
        batch, length = x.shape[:2]
        return mapped.reshape(batch, length, self.num_heads, self.head_dim).transpose(1, 2)

    def _mask(
        self,
        attn_mask: Tensor | None,
        padding: Tensor | None,
        shape: tuple[int, int, int],
        dtype: DType,
    ) -> Tensor | None:
        """Both masks as numbers to add, broadcastable to [N, heads, L, S]."""
        batch, length, many = shape
        total: Tensor | None = None
        if attn_mask is not None:
            allowed = {(length, many), (batch * self.num_heads, length, many)}
            _check_mask(attn_mask, allowed, "attn_mask")
            if attn_mask.ndim == 3:
                attn_mask = attn_mask.reshape(batch, self.num_heads, length, many)
            total = _added(attn_mask, dtype)
        if padding is not None:
            _check_mask(padding, {(batch, many), (many,)}, "key_padding_mask")
            hidden = _added(padding.reshape(-1, 1, 1, many), dtype)
            total = hidden if total is None else total + hidden
        return total


def _check_mask(mask: Tensor, shapes: set[tuple[int, ...]], name: str) -> None:
    if mask.shape not in shapes:
        raise located(
            ShapeError(
                f"{name} does not fit the attention",
                code="PG113",
                expected=" or ".join(str(list(shape)) for shape in sorted(shapes)),
                found=list(mask.shape),
                hint="a mask has a row for each query and a column for each key",
            )
        )
    if not (mask.dtype.is_bool or mask.dtype.is_float):
        raise located(
            DTypeError(
                f"{name} hides keys or is added to scores",
                code="PG206",
                expected="bool or a float dtype",
                found=mask.dtype.name,
                hint="convert it: mask.bool()",
            )
        )


def _added(mask: Tensor, dtype: DType) -> Tensor:
    """A mask as numbers to add: -inf where a bool mask hides."""
    if not mask.dtype.is_bool:
        return mask.to(dtype)
    return where(mask, -inf, 0.0).to(dtype)


class TransformerEncoderLayer(Module):
    """Self-attention and two linear maps, each with a residual, dropout and layer norm."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        named = {"relu": functional.relu, "gelu": functional.gelu}
        if isinstance(activation, str) and activation not in named:
            raise located(
                OptionError(
                    "an encoder layer knows two activations by name",
                    code="PG801",
                    expected="'relu', 'gelu', or a function",
                    found=repr(activation),
                    hint="pass the function itself, such as F.silu",
                )
            )
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first, device, dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, True, bias, device, dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, True, bias, device, dtype)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.norm_first = norm_first
        self.activation = named[activation] if isinstance(activation, str) else activation

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The layer's output, of the shape of `src`; masks as in MultiheadAttention."""
        masks = (src_mask, src_key_padding_mask, is_causal)
        if self.norm_first:
            src = src + self._attend(self.norm1(src), *masks)
            return src + self._feed(self.norm2(src))
        src = self.norm1(src + self._attend(src, *masks))
        return self.norm2(src + self._feed(src))

    def _attend(
        self, x: Tensor, mask: Tensor | None, padding: Tensor | None, is_causal: bool
    ) -> Tensor:
        result, _ = self.self_attn(x, x, x, padding, False, mask, is_causal=is_causal)
        return self.dropout1(result)

    def _feed(self, x: Tensor) -> Tensor:
        hidden = self.dropout(self.activation(self.linear1(x)))
        return self.dropout2(self.linear2(hidden))


class TransformerEncoder(Module):
    """Equal layers, one after another: copies of the given one, which keep its initial values."""

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = ModuleList([deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The last layer's output; the masks are each layer's."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal)
        return src if self.norm is None else self.norm(src)
