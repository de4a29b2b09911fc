"""Products of matrices, einsum, norms and distances."""

# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from picograd.check.functions.cases import drawn, reduction_cases
from picograd.check.functions.reductions import along
from picograd.check.functions.table import Case, ErrorCase, Formula, Function, View, by_name

_TWO = np.ones((2, 3), np.float32)
_THREE = np.ones((2, 3, 3), np.float32)
_INF = float("inf")


def product(
    name: str,
    numpy: Formula,
    shapes: Sequence[Sequence[Sequence[int]]],
    *,
    errors: tuple[ErrorCase, ...] = (),
    options: Sequence[dict[str, object]] = ({},),
    call: Formula | None = None,
    also: tuple[str, ...] = (),
) -> Function:
    """A row of a product: cases of each of some shapes, with views, integers and NaN."""

    def cases(rng: np.random.Generator) -> list[Case]:
        made: list[Case] = []
        for number, given in enumerate(shapes):
            arrays = tuple(drawn(rng, shape) for shape in given)
            label = " ".join(str(list(shape)) for shape in given)
            made.append(Case(label, arrays, options[number % len(options)]))
        first = [drawn(rng, shape) for shape in shapes[0]]
        for kind in ("permuted", "expanded", "sliced"):
            views = tuple(View(array, kind) for array in first)
            made.append(Case(f"{kind} view", views, options[0]))
        whole = tuple(drawn(rng, shape, (-4, 4), dtype=np.int64) for shape in shapes[0])
        if all(not isinstance(value, float) for value in options[0].values()):
            made.append(Case("int64", whole, options[0], gradient=False))
        double = tuple(array.astype(np.float64) for array in first)
        made.append(Case("double", double, options[0]))
        special = [array.copy() for array in first]
        special[0].reshape(-1)[:2] = [np.nan, np.inf]
        made.append(Case("NaN and infinity", tuple(special), options[0], gradient=False))
        return made

    return Function(name, by_name(name) if call is None else call, numpy, cases, errors, also=also)


def einsum(equation: str, *shapes: Sequence[int]) -> Function:
    """A row of one equation."""
    return product(
        f"torch.einsum, {equation}",
        lambda *arrays: np.einsum(equation, *arrays),
        [shapes],
        call=lambda torch, *tensors: torch.einsum(equation, *tensors),
        errors=(
            ErrorCase("no tensor", (), ValueError, match="operands")
            if "..." in equation
            else ErrorCase("ranks", (np.ones((1,) * 7, np.float32),) * len(shapes), RuntimeError),
        ),
    )


def _added(beta: float = 1, alpha: float = 1) -> dict[str, object]:
    return {"beta": beta, "alpha": alpha}


def _scaled(x: Any, a: Any, b: Any, beta: float = 1, alpha: float = 1) -> Any:
    return beta * x + alpha * (a @ b)


def _norm(x: Any, axis: Any, keepdims: bool, p: float) -> Any:
    size = np.abs(x)
    if np.isinf(p):
        return (np.max if p > 0 else np.min)(size, axis=axis, keepdims=keepdims)
    if p == 0:
        return np.sum((x != 0).astype(x.dtype), axis=axis, keepdims=keepdims)
    return np.sum(size**p, axis=axis, keepdims=keepdims) ** (1 / p)


def norm(p: float) -> Function:
    """A row of one order."""

    def cases(rng: np.random.Generator) -> list[Case]:
        made = reduction_cases(
            rng,
            within=(0.2, 2.0),
            picks=np.isinf(p),
            empty=not np.isinf(p),
            nonfinite=False,
            options={"p": p},
        )
        return made

    return Function(
        f"torch.norm, p = {p}",
        lambda torch, x, p, dim=None, keepdim=False: torch.norm(x, p, dim, keepdim),
        lambda x, p, dim=None, keepdim=False: along(_norm)(x, dim, keepdim, p=p),
        cases,
        (ErrorCase("integers", (np.array([1, 2]),), RuntimeError, {"p": p}, "float"),),
        differentiable=p != 0,
    )


def _distances(a: Any, b: Any, p: float = 2.0) -> Any:
    away = np.abs(a[..., :, None, :] - b[..., None, :, :])
    return away.max(-1) if np.isinf(p) else np.sum(away**p, -1) ** (1 / p)


FUNCTIONS: tuple[Function, ...] = (
    product(
        "torch.mm",
        np.matmul,
        [((3, 3), (3, 3)), ((2, 5), (5, 3)), ((1, 1), (1, 1)), ((2, 0), (0, 3)), ((0, 2), (2, 3))],
        errors=(ErrorCase("a batch", (_THREE, _TWO), RuntimeError, match="mm takes"),),
    ),
    product(
        "torch.bmm",
        np.matmul,
        [((2, 2, 2), (2, 2, 2)), ((2, 3, 5), (2, 5, 1)), ((0, 2, 3), (0, 3, 2)), ((1, 1, 1),) * 2],
        errors=(
            ErrorCase("sizes", (_THREE, np.ones((3, 3, 3), np.float32)), RuntimeError, match="one"),
            ErrorCase("matrices", (_TWO, _TWO), RuntimeError),
        ),
    ),
    product(
        "torch.mv",
        np.matmul,
        [((3, 3), (3,)), ((2, 5), (5,)), ((0, 3), (3,)), ((2, 0), (0,))],
        errors=(ErrorCase("two matrices", (_TWO, _TWO), RuntimeError, match="mv takes"),),
    ),
    product(
        "torch.addmm",
        _scaled,
        [((3, 3),) * 3, ((3,), (2, 5), (5, 3)), ((), (2, 2), (2, 2)), ((1, 2), (2, 2), (2, 2))],
        options=[_added(), _added(0.5, 2.0)],
        errors=(ErrorCase("a batch", (_TWO, _THREE, _THREE), RuntimeError, match="addmm"),),
    ),
    product(
        "torch.baddbmm",
        _scaled,
        [((2, 2, 2),) * 3, ((3,), (2, 2, 5), (2, 5, 3))],
        options=[_added(), _added(0.5, 2.0)],
        errors=(ErrorCase("sizes", (_TWO, _THREE, np.ones((3, 3, 3), np.float32)), RuntimeError),),
    ),
    product(
        "torch.outer",
        np.outer,
        [((3,), (3,)), ((2,), (5,)), ((1,), (1,)), ((0,), (2,))],
        errors=(ErrorCase("a matrix", (_TWO, _TWO), RuntimeError, match="outer"),),
    ),
    product(
        "torch.inner",
        np.inner,
        [((3,), (3,)), ((2, 3), (4, 3)), ((), (2, 3)), ((2, 3), (3,))],
        errors=(ErrorCase("sizes", (_TWO, _TWO.T.copy()), RuntimeError),),
    ),
    product(
        "torch.tensordot",
        lambda a, b, dims: np.tensordot(a, b, dims),
        [((3, 3), (3, 3)), ((2, 3, 4), (3, 4, 5)), ((2, 3), (3, 2)), ((2, 3), (4,))],
        options=[{"dims": 1}, {"dims": 2}, {"dims": ([0, 1], [1, 0])}, {"dims": 0}],
        errors=(ErrorCase("sizes", (_TWO, _TWO), RuntimeError, {"dims": 1}, "differ"),),
    ),
    product(
        "torch.kron", np.kron, [((2, 2), (2, 2)), ((2, 3), (3, 1)), ((2,), (2, 2)), ((), (2,))]
    ),
    einsum("bij,bjk->bik", (2, 2, 2), (2, 2, 2)),
    einsum("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    einsum("ii->i", (3, 3)),
    einsum("ii", (3, 3)),
    einsum("...ij,...jk->...ik", (2, 1, 3, 2), (2, 2, 3)),
    einsum("ij,ij->j", (2, 3), (2, 3)),
    einsum("i,j->ji", (2,), (3,)),
    einsum("ba", (2, 3)),
    einsum("iij,jk->ki", (3, 3, 2), (2, 4)),
    einsum("ij->", (2, 3)),
    *(norm(p) for p in (2.0, 1.0, 3.0, 0.0, _INF, -_INF)),
    Function(
        "torch.linalg.norm",
        lambda torch, x, **options: torch.linalg.norm(x, **options),
        lambda x, ord=None, dim=None, keepdim=False: (
            np.linalg.norm(x.reshape(-1) if dim is None and ord is None else x, ord, dim, keepdim)
            if dim is not None or ord is not None or not keepdim
            else np.linalg.norm(x.reshape(-1)).reshape((1,) * x.ndim)
        ),
        lambda rng: [
            Case("all", (drawn(rng, (2, 3, 2)),)),
            Case("rank 0", (drawn(rng, (), (0.5, 1)),)),
            Case("an axis", (drawn(rng, (3, 4)),), {"dim": 1}),
            Case("kept", (drawn(rng, (3, 4)),), {"dim": 0, "keepdim": True}),
            Case("order 3", (drawn(rng, (3, 4), (0.2, 2)),), {"dim": 1, "ord": 3}),
            Case("two axes", (drawn(rng, (2, 3, 4)),), {"dim": (0, 2)}),
            *(
                Case(f"matrix, {ord}", (drawn(rng, (3, 4)),), {"ord": ord, "keepdim": keep})
                for ord, keep in (("fro", False), (1, True), (-1, False), (_INF, True))
            ),
            Case("permuted view", (View(drawn(rng, (3, 4)), "permuted"),), {"dim": -1}),
            Case("zeros", (np.zeros((2, 3), np.float32),), {"dim": 1}, gradient=False),
        ],
        (ErrorCase("integers", (np.array([1, 2]),), RuntimeError, match="float"),),
    ),
    product(
        "torch.dist",
        lambda a, b, p=2.0: _norm(a - b, None, False, p),
        [((2, 3), (2, 3)), ((3,), (2, 3)), ((1,), (1,)), ((2, 2), ())],
        options=[{"p": 2.0}, {"p": 1.0}],
        errors=(ErrorCase("sizes", (_TWO, np.ones((2, 2), np.float32)), RuntimeError),),
    ),
    product(
        "torch.cdist",
        _distances,
        [((3, 3), (3, 3)), ((2, 3), (4, 3)), ((2, 2, 3), (2, 4, 3)), ((1, 1), (1, 1))],
        options=[{"p": 2.0}, {"p": 1.0}, {"p": _INF}],
        errors=(ErrorCase("sizes", (_TWO, np.ones((2, 2), np.float32)), RuntimeError),),
    ),
)
