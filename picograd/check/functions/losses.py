"""Losses."""

# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from picograd.check.functions.activations import softplus
from picograd.check.functions.cases import drawn
from picograd.check.functions.table import Case, ErrorCase, Function, Input, View, by_name
from picograd.dialects.literals import Array

Options = Mapping[str, object]


def reduced(each: Any, reduction: str) -> Any:
    """Losses, their sum or mean."""
    return each.mean() if reduction == "mean" else each.sum() if reduction == "sum" else each


def _log_softmax(x: Any, axis: int) -> Any:
    small = x - x.max(axis, keepdims=True, initial=-np.inf)
    return small - np.log(np.exp(small).sum(axis, keepdims=True))


_SHAPES: dict[str, tuple[int, ...]] = {
    "rank 0": (), "size 1": (1,), "odd sizes": (3, 5), "rank 3": (2, 1, 3),
}  # fmt: skip


def _pairs(
    target: Callable[[np.random.Generator, tuple[int, ...]], Array],
    within: tuple[float, float] = (-2.0, 2.0),
    others: Sequence[Options] = (),
    kinks: Sequence[float] = (),
) -> Callable[[np.random.Generator], list[Case]]:
    """Cases of an input and a target of one shape, in all reductions."""

    def cases(rng: np.random.Generator) -> list[Case]:
        def of(label: str, shape: tuple[int, ...], **options: object) -> Case:
            return Case(label, (drawn(rng, shape, within, kinks), target(rng, shape)), options)

        def viewed(kind: Any) -> Case:
            x, y = of("", (3, 2)).inputs
            assert isinstance(x, np.ndarray) and isinstance(y, np.ndarray)
            return Case(f"{kind} view", (View(x, kind), View(y, kind)))

        made = [of(label, shape) for label, shape in _SHAPES.items()]
        made += [of("sum", (3, 2), reduction="sum"), of("none", (3, 2), reduction="none")]
        made += [of("empty, sum", (0, 3), reduction="sum"), viewed("permuted"), viewed("sliced")]
        made += [
            of(", ".join(f"{k}={v}" for k, v in options.items()), (4, 2), **options)
            for options in others
        ]
        x = drawn(rng, (2, 3), within, kinks, np.float64)
        return [*made, Case("double", (x, target(rng, (2, 3)).astype(np.float64)))]

    return cases


def _away(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Targets far from all inputs, on either side."""
    return (rng.uniform(2.75, 4, shape) * rng.choice([-1, 1], shape)).astype(np.float32)


def _near(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return drawn(rng, shape)


def _shares(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(0.1, 0.9, shape).astype(np.float32)


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.choice([-1, 1], shape).astype(np.int64)


def _of_signs(rng: np.random.Generator) -> list[Case]:
    # PyTorch refuses targets of float dtype that require a gradient.
    return [one for one in _pairs(_signs)(rng) if one.label != "double"]


_X, _Y = np.ones((2, 3), np.float32), np.ones((2, 4), np.float32)
_REDUCTION = ErrorCase("another reduction", (_X, _X), ValueError, {"reduction": "most"})
_REDUCTION_OF_THREE = ErrorCase(
    "another reduction", (_X, _X, _X), ValueError, {"reduction": "most"}
)
_SHAPE = ErrorCase("shapes that differ", (_X, _Y), RuntimeError)
_BINARY_SHAPE = ErrorCase(
    "shapes that differ", (_X, _Y), ValueError, differs="ours is a RuntimeError"
)


def pair(
    name: str,
    each: Callable[..., Any],
    cases: Callable[[np.random.Generator], list[Case]],
    errors: Sequence[ErrorCase] = (_REDUCTION, _SHAPE),
    differences: str = "",
) -> Function:
    """A row of a loss of two tensors; `each` gives the losses of single elements."""

    def numpy(*arrays: Any, reduction: str = "mean", **options: Any) -> Any:
        return reduced(each(*arrays, **options), reduction)

    return Function(name, by_name(name), numpy, cases, tuple(errors), differences=differences)


def _smooth(x: Any, y: Any, beta: float = 1.0) -> Any:
    d = np.abs(x - y)
    return np.where(d < beta, d * d / (2 * (beta or 1)), d - beta / 2)


def _huber(x: Any, y: Any, delta: float = 1.0) -> Any:
    d = np.abs(x - y)
    return np.where(d <= delta, d * d / 2, delta * (d - delta / 2))


def _bce(p: Any, t: Any, weight: Any = None) -> Any:
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)) * (1 if weight is None else weight)


def _bce_logits(x: Any, t: Any, pos_weight: Any = 1.0) -> Any:
    return t * pos_weight * softplus(-x, 1, np.inf) + (1 - t) * softplus(x, 1, np.inf)


def _logit_cases(rng: np.random.Generator) -> list[Case]:
    far = np.array([-100.0, -20.0, 20.0, 100.0], np.float32)
    made = _pairs(_shares)(rng)
    return [*made, Case("far from 0", (far, np.array([1, 0, 1, 0], np.float32)))]


# Weights are no leaves: PyTorch has no gradients for them.
def _as_tensor(torch: Any, weights: Sequence[float]) -> Any:
    return torch.tensor(weights, dtype=torch.float32)


def _eighths(rng: np.random.Generator, count: int) -> tuple[float, ...]:
    return tuple((rng.integers(4, 17, count) / 8).tolist())


def _weighted_logits(torch: Any, x: Any, t: Any, *, weights: Any, **options: Any) -> Any:
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    return loss(x, t, pos_weight=_as_tensor(torch, weights), **options)


def _weighted_cases(rng: np.random.Generator) -> list[Case]:
    return [
        replace(one, options={**one.options, "weights": _eighths(rng, _last(one))})
        for one in _pairs(_shares)(rng)
        if one.label not in ("double", "rank 0")
    ]


def _last(one: Case) -> int:
    return _array(one.inputs[0]).shape[-1]


def _array(given: Input) -> Array:
    return given.array if isinstance(given, View) else np.asarray(given)


def _kl(x: Any, t: Any, log_target: bool = False) -> Any:
    return np.exp(t) * (t - x) if log_target else t * np.log(t) - t * x


def _kl_numpy(x: Any, t: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    each = _kl(x, t, log_target)
    return each.sum() / len(x) if reduction == "batchmean" else reduced(each, reduction)


def _classes(
    call_options: Sequence[Options], floats: bool
) -> Callable[[np.random.Generator], list[Case]]:
    """Cases of scores and class indices."""

    def cases(rng: np.random.Generator) -> list[Case]:
        made: list[Case] = []

        def of(label: str, shape: tuple[int, ...], classes: tuple[int, ...], **o: object) -> None:
            axis = 0 if len(shape) == 1 else 1
            y = rng.integers(0, shape[axis], classes)
            made.append(Case(label, (drawn(rng, shape, (-3, 3)), y), o))

        of("rank 1", (4,), ())
        of("odd sizes", (5, 3), (5,))
        of("one class", (3, 1), (3,))
        of("one example", (1, 4), (1,))
        of("more axes", (2, 3, 4), (2, 4))
        of("images", (2, 3, 2, 2), (2, 2, 2))
        of("sum", (5, 3), (5,), reduction="sum")
        of("none", (2, 3, 2), (2, 2), reduction="none")
        of("empty, sum", (0, 3), (0,), reduction="sum")
        of("ignored", (6, 3), (6,), ignore_index=1)
        of("ignored, none", (6, 3), (6,), ignore_index=0, reduction="none")
        for options in call_options:
            of(", ".join(f"{k}={v}" for k, v in options.items()), (4, 3), (4,), **options)
        x = drawn(rng, (3, 4))
        made.append(Case("permuted view", (View(x, "permuted"), np.array([0, 3, 1]))))
        made.append(Case("minus 100", (x, np.array([0, -100, 1]))))
        far = np.array([[1e4, 0.0, -1e4], [0.0, 100.0, -100.0]], np.float32)
        if floats:
            made.append(Case("far from 0", (far, np.array([1, 2]))))
        return made

    return cases


def _picked(scores: Any, y: Any, axis: int) -> Any:
    index = np.expand_dims(np.asarray(y), axis)
    return np.take_along_axis(scores, index, axis).squeeze(axis)


def _nll(
    x: Any, y: Any, *, weights: Any = None, ignore_index: int = -100, reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    axis = 0 if x.ndim == 1 else 1
    counts = np.asarray(y != ignore_index)
    known = np.where(counts, y, 0)
    each_class = np.ones(x.shape[axis]) if weights is None else np.array(weights)
    spread = each_class.reshape(-1, *[1] * (x.ndim - axis - 1)) * np.ones(x.shape)
    share = np.where(counts, _picked(spread, known, axis), 0)
    each = np.where(counts, -_picked(x * spread, known, axis), 0)
    if label_smoothing:
        smooth = np.where(counts, -(x * spread).sum(axis), 0) / x.shape[axis]
        each = (1 - label_smoothing) * each + label_smoothing * smooth
    return each.sum() / share.sum() if reduction == "mean" else reduced(each, reduction)


def _cross_entropy(x: Any, y: Any, **options: Any) -> Any:
    return _nll(_log_softmax(x, 0 if x.ndim == 1 else 1), y, **options)


def _weighted(name: str) -> Callable[..., Any]:
    def call(torch: Any, x: Any, y: Any, *, weights: Any, **options: Any) -> Any:
        function = getattr(torch.nn.functional, name)
        return function(x, y, _as_tensor(torch, weights), **options)

    return call


def _with_weights(rng: np.random.Generator) -> list[Case]:
    found: list[Case] = []
    for one in _classes([], True)(rng):
        shape = _array(one.inputs[0]).shape
        weights = _eighths(rng, shape[0 if len(shape) == 1 else 1])
        found.append(replace(one, options={**one.options, "weights": weights}))
    return found


def _soft_cases(rng: np.random.Generator) -> list[Case]:
    return [
        Case(label, (drawn(rng, shape), _shares(rng, shape)), options)
        for label, shape, options in (
            ("rank 1", (4,), {}), ("odd sizes", (3, 5), {}), ("one class", (3, 1), {}),
            ("one example", (1, 4), {}), ("more axes", (2, 3, 4), {}), ("images", (2, 3, 2, 2), {}),
            ("sum", (3, 5), {"reduction": "sum"}), ("none", (2, 3, 2), {"reduction": "none"}),
            ("empty, sum", (0, 3), {"reduction": "sum"}), ("double size", (6, 2), {}),
            ("smoothed", (3, 4), {"label_smoothing": 0.25}),
        )
    ]  # fmt: skip


def _soft(x: Any, t: Any, reduction: str = "mean", label_smoothing: float = 0.0) -> Any:
    axis = 0 if x.ndim == 1 else 1
    t = t * (1 - label_smoothing) + label_smoothing / x.shape[axis]
    return reduced(-(_log_softmax(x, axis) * t).sum(axis), reduction)


_SCORES = np.ones((2, 3), np.float32)
_CLASS_ERRORS = (
    ErrorCase(
        "too few classes", (_SCORES, np.array([0])), ValueError, differs="ours is a ShapeError"
    ),
    ErrorCase("another reduction", (_SCORES, np.array([0, 1])), ValueError, {"reduction": "most"}),
)


def _cosine(a: Any, b: Any, axis: int) -> Any:
    return (a * b).sum(axis) / np.sqrt((a * a).sum(axis) * (b * b).sum(axis))


def _cosine_embedding(a: Any, b: Any, y: Any, margin: float = 0.0) -> Any:
    cos = _cosine(a, b, -1)
    return np.where(y == 1, 1 - cos, np.maximum(cos - margin, 0))


def _triples(
    shapes: Callable[[int], tuple[tuple[int, ...], ...]],
    last: Callable[[np.random.Generator, tuple[int, ...]], Array],
    others: Sequence[Options] = (),
    gap: float = 0.0,
) -> Callable[[np.random.Generator], list[Case]]:
    """Cases of two inputs and a target, or three inputs, for several numbers of rows."""

    def cases(rng: np.random.Generator) -> list[Case]:
        made: list[Case] = []
        sizes = {"one row": 1, "two rows": 2, "three rows": 3, "five rows": 5, "seven rows": 7}
        options: list[tuple[str, int, Options]] = [(k, n, {}) for k, n in sizes.items()]
        options += [("sum", 3, {"reduction": "sum"}), ("none", 4, {"reduction": "none"})]
        options += [("empty, none", 0, {"reduction": "none"}), ("nine rows", 9, {})]
        options += [(", ".join(f"{k}={v}" for k, v in o.items()), 3, o) for o in others]
        for label, rows, given in options:
            first, second, third = shapes(rows)
            a = drawn(rng, first)
            b = (drawn(rng, second) + gap * rng.choice([-1, 1], second)).astype(np.float32)
            made.append(Case(label, (a, b, last(rng, third)), given))
        rows = shapes(3)
        a, b, c = drawn(rng, rows[0]), drawn(rng, rows[1]), last(rng, rows[2])
        return [*made, Case("sliced view", (View(a, "sliced"), b + np.float32(gap), c))]

    return cases


def _vectors(rows: int) -> tuple[tuple[int, ...], ...]:
    return (rows, 4), (rows, 4), (rows,)


def _flat(rows: int) -> tuple[tuple[int, ...], ...]:
    return (rows,), (rows,), (rows,)


def _matrices(rows: int) -> tuple[tuple[int, ...], ...]:
    return (rows, 4), (rows, 4), (rows, 4)


def _distance(a: Any, b: Any, p: float = 2.0) -> Any:
    return (np.abs(a - b + 1e-6) ** p).sum(-1) ** (1 / p)


def _triplet(
    a: Any, b: Any, c: Any, margin: float = 1.0, p: float = 2.0, swap: bool = False
) -> Any:
    far = np.minimum(_distance(a, c, p), _distance(b, c, p)) if swap else _distance(a, c, p)
    return np.maximum(_distance(a, b, p) - far + margin, 0)


def _positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(0.5, 2, shape).astype(np.float32)


def _poisson(x: Any, t: Any, log_input: bool = True, eps: float = 1e-8) -> Any:
    return np.exp(x) - t * x if log_input else x - t * np.log(x + eps)


FUNCTIONS: tuple[Function, ...] = (
    pair("F.mse_loss", lambda x, y: (x - y) ** 2, _pairs(_near), (_REDUCTION, _SHAPE)),
    pair("F.l1_loss", lambda x, y: np.abs(x - y), _pairs(_away)),
    pair(
        "F.smooth_l1_loss", _smooth, _pairs(_away, others=[{"beta": 0.25}, {"beta": 0.0}]),
        (_REDUCTION, ErrorCase("beta below 0", (_X, _X), RuntimeError, {"beta": -1.0})),
    ),
    pair(
        "F.huber_loss", _huber, _pairs(_away, others=[{"delta": 0.25}, {"delta": 9.0}]),
        (_REDUCTION, ErrorCase("delta 0", (_X, _X), RuntimeError, {"delta": 0.0})),
    ),
    pair("F.binary_cross_entropy", _bce, _pairs(_shares, (0.1, 0.9)), (_REDUCTION, _BINARY_SHAPE)),
    pair(
        "F.binary_cross_entropy_with_logits", _bce_logits, _logit_cases, (_REDUCTION, _BINARY_SHAPE)
    ),
    Function(
        "F.binary_cross_entropy_with_logits, weighted",
        _weighted_logits,
        lambda x, t, weights, reduction="mean": reduced(
            _bce_logits(x, t, np.array(weights)), reduction
        ),
        _weighted_cases,
    ),
    Function(
        "F.kl_div",
        by_name("F.kl_div"),
        _kl_numpy,
        _pairs(
            _shares, others=[{"reduction": "batchmean"}, {"log_target": True}]
        ),
        (_REDUCTION,),
    ),
    pair("F.soft_margin_loss", lambda x, t: softplus(-t * x, 1, np.inf), _of_signs),
    pair(
        "F.poisson_nll_loss", _poisson,
        _pairs(_positive, (0.5, 2.0), [{"log_input": False}]), (_REDUCTION,),
    ),
    pair(
        "F.hinge_embedding_loss",
        lambda x, t, margin=1.0: np.where(t == 1, x, np.maximum(margin - x, 0)),
        _pairs(_signs, kinks=(1.0, 0.5), others=[{"margin": 0.5}]),
        (_REDUCTION,),
    ),
    Function(
        "F.cross_entropy",
        by_name("F.cross_entropy"),
        _cross_entropy,
        _classes([{"label_smoothing": 0.25}, {"label_smoothing": 1.0, "reduction": "none"}], True),
        _CLASS_ERRORS,
    ),
    Function(
        "F.cross_entropy, weighted", _weighted("cross_entropy"), _cross_entropy, _with_weights
    ),
    Function("F.cross_entropy, probabilities", by_name("F.cross_entropy"), _soft, _soft_cases),
    Function("F.nll_loss", by_name("F.nll_loss"), _nll, _classes([], False), _CLASS_ERRORS),
    Function("F.nll_loss, weighted", _weighted("nll_loss"), _nll, _with_weights),
    pair(
        "F.cosine_embedding_loss", _cosine_embedding,
        _triples(_vectors, _signs, [{"margin": -0.5}]), (_REDUCTION_OF_THREE,),
    ),
    pair(
        "F.margin_ranking_loss",
        lambda a, b, y, margin=0.0: np.maximum(-y * (a - b) + margin, 0),
        _triples(_flat, _signs, [{"margin": 0.5}], gap=5.0),
        (_REDUCTION_OF_THREE,),
    ),
    pair(
        "F.triplet_margin_loss", _triplet,
        _triples(_matrices, _near, [{"margin": 9.0}, {"swap": True, "margin": 9.0}, {"p": 3.0}]),
        (_REDUCTION_OF_THREE,),
    ),
    pair(
        "F.gaussian_nll_loss",
        lambda x, t, v, full=False: (np.log(v) + (x - t) ** 2 / v) / 2
        + (np.log(2 * np.pi) / 2 if full else 0),
        _triples(_matrices, _positive),
        (_REDUCTION_OF_THREE,),
    ),
)  # fmt: skip
