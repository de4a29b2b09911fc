"""Attention, and the layers made of it."""

# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.

from __future__ import annotations

from typing import Any

import numpy as np

from picograd.check.functions.cases import drawn
from picograd.check.functions.table import Case, ErrorCase, Function, View, by_name


def _softmax(x: Any) -> Any:
    powers = np.exp(x - np.maximum(x.max(-1, keepdims=True, initial=-np.inf), -1e30))
    total = powers.sum(-1, keepdims=True)
    return powers / np.where(total == 0, 1, total)


def _attention(
    q: Any, k: Any, v: Any, mask: Any = None, *, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    if enable_gqa:
        times = q.shape[-3] // k.shape[-3]
        k, v = np.repeat(k, times, -3), np.repeat(v, times, -3)
    scores = q @ np.swapaxes(k, -1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        mask = np.tril(np.ones(scores.shape[-2:], bool))
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    return _softmax(scores) @ v


def _cases(rng: np.random.Generator) -> list[Case]:
    def of(
        label: str, q: tuple[int, ...], k: tuple[int, ...], width: int, *mask: Any, **options: Any
    ) -> Case:
        inputs = (drawn(rng, q), drawn(rng, k), drawn(rng, (*k[:-1], width)))
        return Case(label, (*inputs, *mask), options)

    seen = rng.random((3, 5)) < 0.6
    seen[0], seen[1] = True, False  # a row that sees everything, and one that sees nothing
    added = np.where(seen, rng.uniform(-1, 1, (3, 5)), -np.inf).astype(np.float32)
    square = drawn(rng, (3, 3))
    return [
        of("rank 2", (3, 4), (5, 4), 2),
        of("rank 3", (2, 3, 4), (2, 5, 4), 4),
        of("heads", (2, 2, 3, 4), (2, 2, 5, 4), 3),
        of("one key", (3, 4), (1, 4), 2),
        of("one query", (1, 4), (5, 4), 2),
        of("width 1", (3, 1), (5, 1), 1),
        of("no queries", (0, 4), (5, 4), 2),
        of("causal", (2, 4, 3), (2, 4, 3), 3, is_causal=True),
        of("causal, more keys", (3, 2), (5, 2), 2, is_causal=True),
        of("causal, more queries", (5, 2), (3, 2), 2, is_causal=True),
        of("bool mask", (2, 3, 4), (2, 5, 4), 4, seen),
        of("float mask", (2, 3, 4), (2, 5, 4), 4, np.where(seen, 0.5, -1.5).astype(np.float32)),
        Case("infinite mask", (*of("", (3, 4), (5, 4), 2).inputs, added), gradient=False),
        of("scaled", (3, 4), (5, 4), 2, scale=0.25),
        of("grouped heads", (2, 4, 3, 2), (2, 2, 5, 2), 3, enable_gqa=True),
        Case("permuted views", tuple(View(square, "permuted") for _ in range(3))),
        Case("sliced views", tuple(View(square, "sliced") for _ in range(3)), {"is_causal": True}),
        Case("far from 0", tuple(np.float32(50) * drawn(rng, (2, 3)) for _ in range(3)), {}, False),
    ]


_Q = np.ones((2, 3), np.float32)


def _heads(
    torch: Any, x: Any, w: Any, b: Any, out: Any, *, causal: bool = False, heads: int = 2,
    batch_first: bool = False,
) -> Any:  # fmt: skip
    size = out.shape[0]
    layer = torch.nn.MultiheadAttention(size, heads, batch_first=batch_first)
    state = {
        "in_proj_weight": w, "in_proj_bias": b, "out_proj.weight": out, "out_proj.bias": b[:size],
    }  # fmt: skip
    mask = None
    length = x.shape[1 if batch_first and x.ndim == 3 else 0]
    if causal:
        places = torch.arange(length)
        mask = places.unsqueeze(1) < places
    given = {name: value.detach() for name, value in state.items()}
    layer.load_state_dict(given)
    for parameter in layer.parameters():
        parameter.requires_grad_(False)
    return layer(x, x, x, attn_mask=mask)


def _heads_numpy(
    x: Any, w: Any, b: Any, out: Any, causal: bool = False, heads: int = 2,
    batch_first: bool = False,
) -> Any:  # fmt: skip
    alone, size = x.ndim == 2, out.shape[0]
    rows = x[None] if alone else x if batch_first else np.swapaxes(x, 0, 1)
    n, length, _ = rows.shape
    parts = (rows @ w.T + b).reshape(n, length, 3, heads, size // heads).transpose(2, 0, 3, 1, 4)
    scores = parts[0] @ np.swapaxes(parts[1], -1, -2) / np.sqrt(size // heads)
    if causal:
        scores = np.where(np.tril(np.ones((length, length), bool)), scores, -np.inf)
    weights = _softmax(scores)
    result = (weights @ parts[2]).swapaxes(1, 2).reshape(n, length, size) @ out.T + b[:size]
    mean = weights.mean(1)
    if alone:
        return result[0], mean[0]
    return (result if batch_first else np.swapaxes(result, 0, 1)), mean


def _heads_cases(rng: np.random.Generator) -> list[Case]:
    def of(label: str, shape: tuple[int, ...], **options: object) -> Case:
        size = shape[-1]
        rest = [drawn(rng, s, (-1, 1)) for s in ((3 * size, size), (3 * size,), (size, size))]
        return Case(label, (drawn(rng, shape), *rest), options)

    return [
        of("odd sizes", (3, 2, 4)), of("batch first", (2, 3, 4), batch_first=True),
        of("one example", (3, 4)), of("causal", (3, 2, 4), causal=True),
        of("one head", (3, 2, 4), heads=1), of("as many heads as columns", (3, 2, 4), heads=4),
        of("one letter", (1, 2, 4)), of("one batch", (3, 1, 4)), of("wider", (2, 2, 6), heads=3),
        of("causal, batch first", (2, 5, 2), causal=True, batch_first=True),
        of("causal, one example", (4, 2), causal=True),
    ]  # fmt: skip


FUNCTIONS: tuple[Function, ...] = (
    Function(
        "F.scaled_dot_product_attention",
        by_name("F.scaled_dot_product_attention"),
        _attention,
        _cases,
        (
            ErrorCase("other widths", (_Q, np.ones((2, 4), np.float32), _Q), RuntimeError),
            ErrorCase(
                "causal with a mask",
                (_Q, _Q, _Q, np.ones((2, 2), np.bool_)),
                ValueError,
                {"is_causal": True},
                differs="PyTorch raises RuntimeError.",
            ),
        ),
    ),
    Function("nn.MultiheadAttention", _heads, _heads_numpy, _heads_cases, differentiable=False),
)
