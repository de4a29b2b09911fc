"""Normalization, distances, embedding, and dropout where nothing is random."""

# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from picograd.check.functions.cases import drawn
from picograd.check.functions.table import Case, ErrorCase, Function, View, ViewKind, by_name

Shapes = dict[str, tuple[int, ...]]


def _normal(x: Any, axes: Any, eps: float) -> Any:
    mean = x.mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + eps)


def _cases(
    shapes: Shapes,
    parameters: Callable[[tuple[int, ...]], tuple[int, ...]] | None,
    options: Callable[[tuple[int, ...]], dict[str, object]],
    *,
    view: tuple[int, ...],
) -> Callable[[np.random.Generator], list[Case]]:
    """An input and, unless there are none, a weight and a bias, for every shape; then views."""

    def cases(rng: np.random.Generator) -> list[Case]:
        def rest(shape: tuple[int, ...], dtype: Any = np.float32) -> tuple[Any, ...]:
            if parameters is None:
                return ()
            own = parameters(shape)
            return (drawn(rng, own, (0.5, 2), dtype=dtype), drawn(rng, own, dtype=dtype))

        made = [
            Case(label, (drawn(rng, shape), *rest(shape)), options(shape))
            for label, shape in shapes.items()
        ]
        x = drawn(rng, view)
        kinds: tuple[ViewKind, ...] = ("permuted", "sliced", "expanded")
        made += [
            Case(f"{kind} view", (View(x, kind), *rest(view)), options(view)) for kind in kinds
        ]
        double = (drawn(rng, view, dtype=np.float64), *rest(view, np.float64))
        return [
            *made,
            Case("double", double, options(view)),
            Case("far from 0", ((x + 100).astype(np.float32), *rest(view)), options(view)),
            Case("other eps", (x, *rest(view)), {**options(view), "eps": 0.25}),
        ]

    return cases


def _last(shape: tuple[int, ...]) -> dict[str, object]:
    return {"normalized_shape": shape[-1:]}


def _layer_norm(
    torch: Any, x: Any, weight: Any, bias: Any, *, normalized_shape: Any, eps: float = 1e-5
) -> Any:
    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)


def _layer_norm_numpy(x: Any, w: Any, b: Any, normalized_shape: Any, eps: float = 1e-5) -> Any:
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    return _normal(x, axes, eps) * w + b


def _rms_norm(torch: Any, x: Any, weight: Any, bias: Any, **options: Any) -> Any:
    shape = options.pop("normalized_shape")
    return torch.nn.functional.rms_norm(x, shape, weight, options.get("eps", 1e-5)) + bias


def _rms_norm_numpy(x: Any, w: Any, b: Any, normalized_shape: Any, eps: float = 1e-5) -> Any:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w + b


def _along(w: Any, x: Any) -> Any:
    return w.reshape(-1, *[1] * (x.ndim - 2))


def _group_norm(
    torch: Any, x: Any, weight: Any, bias: Any, *, num_groups: int, eps: float = 1e-5
) -> Any:
    return torch.nn.functional.group_norm(x, num_groups, weight, bias, eps)


def _group_norm_numpy(x: Any, w: Any, b: Any, num_groups: int, eps: float = 1e-5) -> Any:
    grouped = x.reshape(x.shape[0], num_groups, x[:1].size // num_groups if x.size else 6)
    return _normal(grouped, 2, eps).reshape(x.shape) * _along(w, x) + _along(b, x)


def _instance_norm(torch: Any, x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    return torch.nn.functional.instance_norm(x, weight=weight, bias=bias, eps=eps)


def _instance_norm_numpy(x: Any, w: Any, b: Any, eps: float = 1e-5) -> Any:
    return _normal(x, tuple(range(2, x.ndim)), eps) * _along(w, x) + _along(b, x)


def _batch_norm(torch: Any, x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    """In training: the result and the running values, which are changed in place."""
    mean = weight.detach() * 0
    var = mean + 1
    result = torch.nn.functional.batch_norm(x, mean, var, weight, bias, True, 0.25, eps)
    return result, mean, var


def _batch_norm_numpy(x: Any, w: Any, b: Any, eps: float = 1e-5) -> Any:
    axes = (0, *range(2, x.ndim))
    count = x.size // x.shape[1]
    result = _normal(x, axes, eps) * _along(w, x) + _along(b, x)
    return result, 0.25 * x.mean(axes), 0.75 + 0.25 * x.var(axes) * count / (count - 1)


def _batch_norm_eval(torch: Any, x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    mean = weight.detach() * 0 + 0.5
    return torch.nn.functional.batch_norm(x, mean, mean * 4, weight, bias, False, 0.1, eps)


def _eval_numpy(x: Any, w: Any, b: Any, eps: float) -> Any:
    return (x - 0.5) / np.sqrt(2 + eps) * _along(w, x) + _along(b, x)


def _channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[1],)


def _none(shape: tuple[int, ...]) -> dict[str, object]:
    return {}


_BATCHES: Shapes = {
    "two examples": (2, 3), "odd sizes": (5, 3), "one channel": (4, 1), "rank 3": (2, 3, 4),
    "rank 4": (2, 3, 2, 2), "one example": (1, 2, 3), "long": (67, 2),
}  # fmt: skip
_IMAGES: Shapes = {
    "rank 3": (2, 4, 3), "rank 4": (2, 4, 3, 2), "one example": (1, 4, 5), "no batch": (0, 4, 3),
    "two channels": (3, 2, 5), "flat": (2, 4, 1, 3), "larger": (3, 6, 7),
}  # fmt: skip
_ROWS: Shapes = {
    "rank 1": (4,), "odd sizes": (3, 5), "rank 3": (2, 3, 4), "empty": (0, 3),
    "long rows": (2, 67), "one row": (1, 6), "rank 4": (2, 1, 2, 3),
}  # fmt: skip


def _normalize(x: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    size = (np.abs(x) ** p).sum(dim, keepdims=True) ** (1 / p)
    return x / np.maximum(size, eps)


def _axis_cases(
    arity: int, others: Sequence[dict[str, object]] = ()
) -> Callable[[np.random.Generator], list[Case]]:
    """Vectors along axes, away from 0."""

    def cases(rng: np.random.Generator) -> list[Case]:
        def of(label: str, shape: tuple[int, ...], **options: object) -> Case:
            pair = [drawn(rng, shape, (0.25, 2)) * rng.choice([-1, 1], shape) for _ in range(arity)]
            return Case(label, tuple(x.astype(np.float32) for x in pair), options)

        def viewed(kind: Any) -> Case:
            return Case(
                f"{kind} view",
                tuple(View(drawn(rng, (3, 2), (0.25, 2)), kind) for _ in range(arity)),
            )

        return [
            of("rank 1", (4,), dim=0), of("odd sizes", (3, 5)), of("first axis", (3, 5), dim=0),
            of("rank 3", (2, 3, 2)), of("last axis", (2, 3, 2), dim=-1), of("size 1", (2, 1)),
            of("empty", (0, 3)), of("long rows", (2, 67)), viewed("permuted"), viewed("sliced"),
            *[of(str(options), (3, 4), **options) for options in others],
        ]  # fmt: skip

    return cases


def _cosine(a: Any, b: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    lengths = np.sqrt((a * a).sum(dim)), np.sqrt((b * b).sum(dim))
    return (a * b).sum(dim) / np.maximum(lengths[0], eps) / np.maximum(lengths[1], eps)


def _distance(a: Any, b: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    return (np.abs(a - b + eps) ** p).sum(-1, keepdims=keepdim) ** (1 / p)


def _distance_cases(rng: np.random.Generator) -> list[Case]:
    def of(label: str, *shapes: tuple[int, ...], **options: object) -> Case:
        a, b = drawn(rng, shapes[0]), drawn(rng, shapes[-1]) + np.float32(5)
        return Case(label, (a, b.astype(np.float32)), options)

    return [
        of("rank 1", (4,)), of("odd sizes", (3, 5)), of("kept", (3, 5), keepdim=True),
        of("rank 3", (2, 3, 4)), of("size 1", (1, 1)), of("empty", (0, 3)), of("long", (2, 67)),
        of("sum of sizes", (3, 4), p=1.0), of("cubes", (3, 4), p=3.0),
        of("other eps", (3, 4), eps=0.5),
    ]  # fmt: skip


def _embedding(torch: Any, index: Any, weight: Any, **options: Any) -> Any:
    return torch.nn.functional.embedding(index, weight, **options)


def _embedding_numpy(index: Any, weight: Any, padding_idx: int | None = None) -> Any:
    return weight[index]


def _embedding_cases(rng: np.random.Generator) -> list[Case]:
    def of(label: str, rows: int, width: int, shape: tuple[int, ...]) -> Case:
        return Case(label, (rng.integers(0, rows, shape), drawn(rng, (rows, width))))

    w = drawn(rng, (4, 3))
    index = np.array([0, 2, 2, 3])
    return [
        of("rank 0", 3, 2, ()), of("rank 1", 5, 3, (4,)), of("rank 2", 5, 3, (2, 3)),
        of("rank 3", 4, 2, (2, 1, 3)), of("one row", 1, 3, (4,)), of("one column", 4, 1, (3,)),
        of("empty", 3, 2, (0,)), of("many", 7, 5, (30,)),
        Case("repeated", (np.zeros(5, np.int64), w)),
        Case("int32", (index.astype(np.int32), w)),
        Case("permuted view", (View(np.array([[0, 1], [2, 3]]), "permuted"), w)),
        Case("padding", (index, w), {"padding_idx": 2}, gradient=False),
        Case("padding from the end", (index, w), {"padding_idx": -1}, gradient=False),
    ]  # fmt: skip


def _calm(torch: Any, x: Any, p: float = 0.5, training: bool = False) -> Any:
    return torch.nn.functional.dropout(x, p, training)


def _calm_cases(rng: np.random.Generator) -> list[Case]:
    shapes = {
        "rank 0": (),
        "size 1": (1,),
        "odd sizes": (3, 5),
        "empty": (0, 3),
        "rank 3": (2, 3, 2),
    }
    return [
        *[Case(label, (drawn(rng, shape),)) for label, shape in shapes.items()],
        *[
            Case(f"p=0, {label}", (drawn(rng, shape),), {"p": 0.0, "training": True})
            for label, shape in shapes.items()
        ],
        Case("p=1", (drawn(rng, (3, 4)),), {"p": 1.0, "training": True}),
    ]


_X = np.ones((2, 4), np.float32)
_W = np.ones(4, np.float32)

FUNCTIONS: tuple[Function, ...] = (
    Function(
        "F.layer_norm", _layer_norm, _layer_norm_numpy,
        _cases(_ROWS, lambda shape: shape[-1:], _last, view=(3, 3)),
        (ErrorCase("another size", (_X, _W, _W), RuntimeError, {"normalized_shape": (3,)}),),
    ),
    Function(
        "F.rms_norm", _rms_norm, _rms_norm_numpy,
        _cases(_ROWS, lambda shape: shape[-1:], _last, view=(3, 3)),
        (ErrorCase("another size", (_X, _W, _W), RuntimeError, {"normalized_shape": (3,)}),),
    ),
    Function(
        "F.group_norm", _group_norm, _group_norm_numpy,
        _cases(_IMAGES, _channels, lambda shape: {"num_groups": 2}, view=(2, 2, 4)),
        (ErrorCase("groups that differ", (_X, _W, _W), RuntimeError, {"num_groups": 3}),),
    ),
    Function(
        "F.instance_norm", _instance_norm, _instance_norm_numpy,
        _cases({k: s for k, s in _IMAGES.items() if s[0]}, _channels, _none, view=(2, 2, 4)),
        (ErrorCase("one element", (np.ones((2, 4, 1), np.float32), _W, _W), ValueError,
                   differs="ours is a ShapeError"),),
    ),
    Function(
        "F.batch_norm", lambda torch, *t, **o: _batch_norm(torch, *t, **o)[0],
        lambda *a, **o: _batch_norm_numpy(*a, **o)[0],
        _cases(_BATCHES, _channels, _none, view=(3, 3)),
        (ErrorCase("one value", (np.ones((1, 4), np.float32), _W, _W), ValueError,
                   differs="ours is a ShapeError"),),
    ),
    Function(
        "F.batch_norm, running values", lambda torch, *t, **o: _batch_norm(torch, *t, **o)[1:],
        lambda *a, **o: _batch_norm_numpy(*a, **o)[1:],
        _cases(_BATCHES, _channels, _none, view=(3, 3)), differentiable=False,
    ),
    Function(
        "F.batch_norm, not training", _batch_norm_eval,
        lambda x, w, b, eps=1e-5: _eval_numpy(x, w, b, eps),
        _cases(_BATCHES, _channels, _none, view=(3, 3)),
    ),
    Function(
        "F.normalize", by_name("F.normalize"), _normalize,
        _axis_cases(1, [{"p": 1.0}, {"p": 3.0}, {"eps": 9.0}]),
        (ErrorCase("no such axis", (_W,), IndexError),),
    ),
    Function(
        "F.cosine_similarity", by_name("F.cosine_similarity"), _cosine, _axis_cases(2),
        (ErrorCase("no such axis", (_W, _W), IndexError),),
    ),
    Function(
        "F.pairwise_distance", by_name("F.pairwise_distance"), _distance, _distance_cases,
        (ErrorCase("other widths", (_X, np.ones((2, 3), np.float32)), RuntimeError),),
    ),
    Function(
        "F.embedding", _embedding, _embedding_numpy, _embedding_cases,
        (
            ErrorCase("no such row", (np.array([4]), _X), IndexError),
            ErrorCase("no such padding", (np.array([1]), _X), ValueError, {"padding_idx": 9},
                      differs="PyTorch raises AssertionError."),
        ),
    ),
    Function(
        "F.dropout, nothing random", _calm,
        lambda x, p=0.5, training=False: x * (0 if p == 1 else 1), _calm_cases,
        (ErrorCase("no probability", (_X,), ValueError, {"p": 1.5}),),
    ),
)  # fmt: skip
