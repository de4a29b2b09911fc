"""A transformer in NumPy, its backward pass by hand: the measure of right, and a contender.

The parameters are those that `models` lists, in that order.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from picograd.quick_dataclasses import dataclass

Array: TypeAlias = NDArray[Any]
EPSILON = 1e-5
OF_A_BLOCK = 12
"""How many parameters a block has."""


@dataclass(frozen=True)
class Normed:
    """What the backward pass of a normalization needs."""

    unit: Array
    """(x - mean) / deviation."""
    inverse: Array


@dataclass(frozen=True)
class Block:
    """What a block's backward pass needs of its forward pass."""

    norm1: Normed
    heads: Array
    """Queries, keys and values: [3, N, heads, T, width of a head]."""
    weights: Array
    """Attention's: [N, heads, T, T]."""
    joined: Array
    norm2: Normed
    fed: Array
    tanh: Array
    active: Array


@dataclass(frozen=True)
class Forward:
    """All that the backward pass needs."""

    parameters: Sequence[Array]
    letters: Array
    blocks: Sequence[Block]
    norm: Normed
    scores: Array


def scores(parameters: Sequence[Array], letters: Array, heads: int) -> Array:
    """float[N, T, letters] of int[N, T]."""
    return forward(parameters, letters, heads).scores


def forward(parameters: Sequence[Array], letters: Array, heads: int) -> Forward:
    """The scores, and what led to them."""
    x = parameters[0][letters] + parameters[1][: letters.shape[1]]
    blocks: list[Block] = []
    for start in range(2, len(parameters) - 3, OF_A_BLOCK):
        x, block = _block(x, parameters[start : start + OF_A_BLOCK], heads)
        blocks.append(block)
    weight, bias, last = parameters[-3:]
    norm = _norm(x)
    return Forward(parameters, letters, blocks, norm, (norm.unit * weight + bias) @ last.T)


def _norm(x: Array) -> Normed:
    unit = x - x.mean(-1, keepdims=True)
    inverse = 1 / np.sqrt(np.mean(unit * unit, -1, keepdims=True) + EPSILON)
    unit *= inverse
    return Normed(unit, inverse)


def _block(x: Array, parameters: Sequence[Array], heads: int) -> tuple[Array, Block]:
    w1, b1, mix, mix_bias, join, join_bias, w2, b2, up, up_bias, down, down_bias = parameters
    batch, length, width = x.shape
    norm1 = _norm(x)
    mixed = (norm1.unit * w1 + b1) @ mix.T + mix_bias
    split = mixed.reshape(batch, length, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
    query, key, value = split
    weights = query @ key.swapaxes(-1, -2)
    weights *= 1 / sqrt(width // heads)
    weights[..., ~np.tri(length, dtype=np.bool_)] = -np.inf
    weights -= weights.max(-1, keepdims=True)
    np.exp(weights, out=weights)
    weights /= weights.sum(-1, keepdims=True)
    joined = (weights @ value).swapaxes(1, 2).reshape(batch, length, width)
    x = x + joined @ join.T + join_bias
    norm2 = _norm(x)
    fed = (norm2.unit * w2 + b2) @ up.T + up_bias
    tanh = np.tanh(sqrt(2 / pi) * (fed * (1 + 0.044715 * fed * fed)))
    active = 0.5 * fed * (1 + tanh)
    found = Block(norm1, split, weights, joined, norm2, fed, tanh, active)
    return x + active @ down.T + down_bias, found


def backward(found: Forward, gradient: Array) -> list[Array]:
    """The parameters' gradients, from that of the scores."""
    parameters = found.parameters
    weight, bias, last = parameters[-3:]
    tail = [_outer(gradient, found.norm.unit * weight + bias)]
    gradient, of_weight, of_bias = _norm_back(found.norm, weight, gradient @ last)
    tail = [of_weight, of_bias, *tail]
    for number in reversed(range(len(found.blocks))):
        start = 2 + number * OF_A_BLOCK
        of_block = parameters[start : start + OF_A_BLOCK]
        gradient, gradients = _block_back(found.blocks[number], of_block, gradient)
        tail = [*gradients, *tail]
    of_letters = np.zeros_like(parameters[0])
    np.add.at(of_letters, found.letters, gradient)
    of_places = np.zeros_like(parameters[1])
    of_places[: gradient.shape[1]] = gradient.sum(0)
    return [of_letters, of_places, *tail]


def _block_back(
    block: Block, parameters: Sequence[Array], gradient: Array
) -> tuple[Array, list[Array]]:
    w1, b1, mix, _, join, _, w2, b2, up, _, down, _ = parameters
    # The feed-forward net.
    of_down = [_outer(gradient, block.active), _total(gradient)]
    fed, tanh = block.fed, block.tanh
    slope = sqrt(2 / pi) * (1 + 3 * 0.044715 * fed * fed)
    inner = (gradient @ down) * (0.5 * (1 + tanh) + 0.5 * fed * (1 - tanh * tanh) * slope)
    of_up = [_outer(inner, block.norm2.unit * w2 + b2), _total(inner)]
    through, of_w2, of_b2 = _norm_back(block.norm2, w2, inner @ up)
    gradient = gradient + through
    # Attention.
    batch, length, width = gradient.shape
    of_join = [_outer(gradient, block.joined), _total(gradient)]
    query, key, value = block.heads
    heads = query.shape[1]
    seen = (gradient @ join).reshape(batch, length, heads, -1).swapaxes(1, 2)
    of_weights = seen @ value.swapaxes(-1, -2)
    of_weights -= (of_weights * block.weights).sum(-1, keepdims=True)
    of_weights *= block.weights
    of_weights *= 1 / sqrt(width // heads)
    split = np.stack(
        [
            of_weights @ key,
            of_weights.swapaxes(-1, -2) @ query,
            block.weights.swapaxes(-1, -2) @ seen,
        ]
    )
    mixed = split.transpose(1, 3, 0, 2, 4).reshape(batch, length, 3 * width)
    of_mix = [_outer(mixed, block.norm1.unit * w1 + b1), _total(mixed)]
    through, of_w1, of_b1 = _norm_back(block.norm1, w1, mixed @ mix)
    return gradient + through, [
        *(of_w1, of_b1, *of_mix, *of_join),
        *(of_w2, of_b2, *of_up, *of_down),
    ]


def _norm_back(norm: Normed, weight: Array, gradient: Array) -> tuple[Array, Array, Array]:
    """The gradients of what was normalized, of the weight and of the bias."""
    inner = gradient * weight
    mean = inner.mean(-1, keepdims=True)
    along = (inner * norm.unit).mean(-1, keepdims=True)
    through = (inner - mean - norm.unit * along) * norm.inverse
    return through, _total(gradient * norm.unit), _total(gradient)


def _outer(gradient: Array, x: Array) -> Array:
    """The gradient of a linear layer's weight, [outputs, inputs]."""
    return gradient.reshape(-1, gradient.shape[-1]).T @ x.reshape(-1, x.shape[-1])


def _total(gradient: Array) -> Array:
    return gradient.reshape(-1, gradient.shape[-1]).sum(0)
