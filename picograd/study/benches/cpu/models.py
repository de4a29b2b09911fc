"""The two models, once for every library that differentiates by itself.

`words` are what libraries spell differently. Parameters are flat lists: of the perceptron a weight
and a bias for each layer; of the transformer the embeddings of letters and places, twelve for each
block, the last normalization's two and the weight of the scores. Weights are [outputs, inputs].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from picograd.quick_dataclasses import dataclass
from picograd.study.benches.cpu.prepared import Sizes


@dataclass(frozen=True)
class ModelWords:
    """What the models are made of."""

    linear: Callable[..., Any]
    """(x, weight, bias or None)"""
    relu: Callable[[Any], Any]
    gelu: Callable[[Any], Any]
    """By its tanh form."""
    layer_norm: Callable[[Any, Any, Any], Any]
    embed: Callable[[Any, Any], Any]
    """(table, numbers)"""
    permute: Callable[[Any, tuple[int, ...]], Any]
    attend: Callable[[Any, Any, Any], Any]
    """Causal attention of query, key and value, [N, heads, T, width]."""
    cross_entropy: Callable[[Any, Any], Any]
    """The mean, of [n, classes] and [n]."""


def mlp_loss(words: ModelWords, parameters: Sequence[Any], x: Any, labels: Any) -> Any:
    """Linear layers with ReLU between them, and cross entropy."""
    w1, b1, w2, b2, w3, b3 = parameters
    x = words.relu(words.linear(x, w1, b1))
    x = words.relu(words.linear(x, w2, b2))
    return words.cross_entropy(words.linear(x, w3, b3), labels)


def gpt_scores(words: ModelWords, parameters: Sequence[Any], letters: Any, heads: int) -> Any:
    """[N, T, letters] of int[N, T]: T is the number of places that there are parameters for."""
    letter_table, place_table, *rest = parameters
    x = words.embed(letter_table, letters) + place_table
    while len(rest) > 3:
        x, rest = _block(words, rest[:12], x, heads), rest[12:]
    weight, bias, last = rest
    return words.linear(words.layer_norm(x, weight, bias), last, None)


def gpt_loss(
    words: ModelWords, parameters: Sequence[Any], letters: Any, following: Any, heads: int
) -> Any:
    """The mean loss in nats a letter."""
    scores = gpt_scores(words, parameters, letters, heads)
    return words.cross_entropy(scores.reshape(-1, scores.shape[-1]), following.reshape(-1))


def loss_of_step(workload: str, words: ModelWords, sizes: Sizes) -> Callable[..., Any]:
    """The loss of a training step, by its parameters, inputs and what is expected."""
    if workload == "MLP step":
        return partial(mlp_loss, words)
    return partial(gpt_loss, words, heads=sizes[2])


def _block(words: ModelWords, parameters: Sequence[Any], x: Any, heads: int) -> Any:
    w1, b1, mix, mix_bias, join, join_bias, w2, b2, up, up_bias, down, down_bias = parameters
    batch, length, width = x.shape
    mixed = words.linear(words.layer_norm(x, w1, b1), mix, mix_bias)
    split = mixed.reshape(batch, length, 3, heads, width // heads)
    split = words.permute(split, (2, 0, 3, 1, 4))
    seen = words.attend(split[0], split[1], split[2])
    joined = words.permute(seen, (0, 2, 1, 3)).reshape(batch, length, width)
    x = x + words.linear(joined, join, join_bias)
    fed = words.gelu(words.linear(words.layer_norm(x, w2, b2), up, up_bias))
    return x + words.linear(fed, down, down_bias)
