"""Ready-made cases: the inputs on which most functions go wrong, for a row in a few lines.

Every generator draws from the `rng` that it is given, so that a seed repeats its cases.

    Function("torch.exp", by_name("torch.exp"), np.exp, lambda rng: elementwise_cases(rng, 1))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import DTypeLike

from picograd.check.functions.table import Case, Input, View, ViewKind, base_of
from picograd.dialects.literals import Array

Options: TypeAlias = Mapping[str, object]
Range: TypeAlias = tuple[float, float]

KINDS = (
    "rank 0",
    "empty",
    "size 1",
    "odd sizes",
    "rank 3",
    "permuted view",
    "expanded view",
    "sliced view",
    "ties",
    "NaN and infinity",
    "negative zero",
)
"""The labels of an elementwise function of floats; one of two operands has "broadcast" as well."""

_NEAR = 0.05
"""So far from a kink ordinary elements stay: finite differences must not step over it."""


def drawn(
    rng: np.random.Generator,
    shape: Sequence[int],
    within: Range = (-2.0, 2.0),
    kinks: Sequence[float] = (),
    dtype: DTypeLike = np.float32,
) -> Array:
    """Random floats in a range, not close to the kinks; or integers, the bounds included."""
    low, high = within
    kind = np.dtype(dtype).kind
    if kind == "b":
        return rng.integers(0, 2, shape).astype(np.bool_)
    if kind in "iu":
        return rng.integers(int(low), int(high) + 1, shape).astype(dtype)
    values = rng.uniform(low, high, shape)
    for kink in kinks:
        side = np.where(values >= kink, 1.0, -1.0)
        if kink + _NEAR > high:
            side = np.full_like(values, -1.0)
        if kink - _NEAR < low:
            side = np.full_like(values, 1.0)
        values = np.where(np.abs(values - kink) < _NEAR, kink + side * _NEAR, values)
    return np.asarray(values).astype(dtype)


def distinct(rng: np.random.Generator, shape: Sequence[int], within: Range = (-2.0, 2.0)) -> Array:
    """Random floats no two of which are close: for functions that pick or order elements."""
    count = int(np.prod(shape))
    low, high = within
    steps = np.linspace(low, high, count + 2)[1:-1]
    return rng.permutation(steps).reshape(shape).astype(np.float32)


def case(
    rng: np.random.Generator,
    label: str,
    *shapes: Sequence[int],
    within: Range = (-2.0, 2.0),
    kinks: Sequence[float] = (),
    dtype: DTypeLike = np.float32,
    gradient: bool = True,
    **options: object,
) -> Case:
    """A case with random inputs of these shapes."""
    arrays = tuple(drawn(rng, shape, within, kinks, dtype) for shape in shapes)
    return Case(label, arrays, options, gradient)


def differing(cases: Sequence[Case], reason: str, *labels: str) -> list[Case]:
    """The cases, some of which (all by default) PyTorch is not asked about, for this reason."""
    chosen = labels or tuple(one.label for one in cases)
    return [replace(one, differs=reason) if one.label in chosen else one for one in cases]


def without_gradient(cases: Sequence[Case], *labels: str) -> list[Case]:
    """The cases, some of which have a derivative by convention only, such as PyTorch's."""
    return [replace(one, gradient=one.gradient and one.label not in labels) for one in cases]


def labelled(cases: Sequence[Case], prefix: str) -> list[Case]:
    """The cases under other labels, so that they may stand beside others of the same kinds."""
    return [replace(one, label=f"{prefix}, {one.label}") for one in cases]


LEAST_CASES = 10


def completed(draw: Callable[[np.random.Generator], Sequence[Case]], seed: int) -> list[Case]:
    """The cases of a row, drawn from a seed, and what every row should have.

    Where no input is a view, two more cases show the inputs of another one as permuted and as
    sliced views; where there are less than ten, further ones are drawn.
    """
    rng = np.random.default_rng(seed)
    cases = list(draw(rng))
    cases += _as_views(cases)
    again = labelled(list(draw(rng))[: max(LEAST_CASES - len(cases), 0)], "again")
    return [*cases, *again]


def _as_views(cases: Sequence[Case]) -> list[Case]:
    inputs = [given for one in cases for given in one.inputs]
    ranked = [one for one in cases if any(_has_rank(given) for given in one.inputs)]
    if not ranked or any(isinstance(given, View) for given in inputs):
        return []
    model = max(ranked[:6], key=lambda one: sum(base_of(given).size for given in one.inputs))

    def seen(given: Input, kind: ViewKind) -> Input:
        return View(base_of(given), kind) if _has_rank(given) else given

    kinds: tuple[ViewKind, ...] = ("permuted", "sliced")
    return [
        replace(model, label=f"{kind} view", inputs=tuple(seen(one, kind) for one in model.inputs))
        for kind in kinds
    ]


def _has_rank(given: Input) -> bool:
    return base_of(given).ndim > 0


def elementwise_cases(
    rng: np.random.Generator,
    arity: int = 1,
    *,
    domain: Range | Sequence[Range] = (-2.0, 2.0),
    kinks: Sequence[float] = (),
    ties: bool = False,
    floats: bool = True,
    integers: bool = True,
    bools: bool = False,
    overflow: bool = False,
    nonfinite: bool = True,
    options: Options | None = None,
) -> list[Case]:
    """Cases of a function of one element each of `arity` tensors.

    `domain`: the range of ordinary floats, for all operands or one for each. `kinks`: where the
    derivative jumps, which the case "ties" meets exactly; `ties`: the derivative also jumps where
    two operands are equal. `floats`, `integers`, `bools`: what the function takes; without floats
    the shapes are tried with integers. `overflow`: the
    case "integer overflow" with the extremes of int32 and int64, for functions that wrap around.
    `nonfinite`: whether NaN and infinities are tried.
    """
    made = _Elementwise(rng, arity, _ranges(domain, arity), kinks, dict(options or {}))
    cases = made.shapes(np.float32 if floats else np.int64)
    if floats:
        cases += made.ordinary(ties)
        if nonfinite:
            cases += made.special()
    if integers:
        cases += made.integers(floats)
    if overflow:
        cases += made.overflow()
    if bools:
        cases += made.bools()
    return cases


def _ranges(domain: Range | Sequence[Range], arity: int) -> list[Range]:
    if isinstance(domain[0], tuple):
        return [(float(low), float(high)) for low, high in cast(Sequence[Range], domain)]
    low, high = cast(Range, domain)
    return [(float(low), float(high))] * arity


class _Elementwise:
    """The cases of one elementwise function."""

    def __init__(
        self,
        rng: np.random.Generator,
        arity: int,
        ranges: Sequence[Range],
        kinks: Sequence[float],
        options: dict[str, object],
    ) -> None:
        self._rng = rng
        self._arity = arity
        self._ranges = ranges
        self._kinks = kinks
        self._options = options

    def _of(self, label: str, inputs: Sequence[Input], gradient: bool = True) -> Case:
        return Case(label, tuple(inputs), self._options, gradient)

    def _arrays(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> list[Array]:
        """Operands of one shape that are nowhere close to one another."""
        arrays: list[Array] = []
        for within in self._ranges:
            if np.dtype(dtype).kind in "iu":
                within = (float(np.ceil(within[0])), float(np.floor(within[1])))
            array = drawn(self._rng, shape, within, self._kinks, dtype)
            for other in arrays:
                close = np.abs(array.astype(np.float64) - other) < _NEAR
                middle = 0.5 * (within[0] + within[1])
                moved = np.where(array > middle, array - 2 * _NEAR, array + 2 * _NEAR)
                if np.dtype(dtype).kind == "f":
                    array = np.where(close, moved, array).astype(dtype)
            arrays.append(array)
        return arrays

    def shapes(self, dtype: DTypeLike) -> list[Case]:
        def arrays(*shape: int) -> list[Array]:
            return self._arrays(shape, dtype)

        first, *others = arrays(2, 3)
        cases = [
            self._of("rank 0", arrays()),
            self._of("empty", arrays(0, 3)),
            self._of("size 1", arrays(1)),
            self._of("odd sizes", arrays(3, 5)),
            self._of("rank 3", arrays(2, 1, 3)),
            self._of("permuted view", [View(one, "permuted") for one in arrays(3, 2)]),
            self._of("expanded view", [View(first, "expanded"), *others]),
            self._of("sliced view", [View(one, "sliced") for one in arrays(3, 2)]),
        ]
        if self._arity > 1:
            shapes = [(3, 1), (1, 4), (2, 1, 1)]
            spread = [arrays(*shapes[i % 3])[i] for i in range(self._arity)]
            cases.append(self._of("broadcast", spread))
            mixed = [arrays(*([] if i else [3]))[i] for i in range(self._arity)]
            cases.append(self._of("rank 0 among others", mixed))
        return cases

    def ordinary(self, ties: bool) -> list[Case]:
        smooth = not self._kinks and not ties
        return [
            self._of("ties", [self._tied()] * self._arity, gradient=smooth),
            self._of("double", self._arrays((2, 2), np.float64)),
        ]

    def _tied(self) -> Array:
        low = max(within[0] for within in self._ranges)
        high = min(within[1] for within in self._ranges)
        inside = [kink for kink in self._kinks if low <= kink <= high]
        values = [*inside, *inside, 0.25 * low + 0.75 * high, 0.75 * low + 0.25 * high]
        return np.asarray([values, values[::-1]], np.float32)

    def special(self) -> list[Case]:
        values = np.array([np.nan, np.inf, -np.inf, 0.5, 1.5], np.float32)
        grid = np.meshgrid(*[values] * self._arity, indexing="ij")
        zeros = np.array([-0.0, 0.0, 1.0, -1.0], np.float32)
        signs = np.meshgrid(*[zeros] * self._arity, indexing="ij")
        return [
            self._of("NaN and infinity", grid, gradient=False),
            self._of("negative zero", signs, gradient=False),
        ]

    def integers(self, floats: bool) -> list[Case]:
        ranges = [(np.ceil(low), np.floor(high)) for low, high in self._ranges]
        cases = [
            self._of(
                name, [drawn(self._rng, (3, 3), within, dtype=dtype) for within in ranges], False
            )
            for name, dtype in (("int64", np.int64), ("int32", np.int32))
        ]
        if self._arity > 1:
            types = (np.float32 if floats else np.int32, np.int64, np.int32)
            mixed = [
                drawn(self._rng, (3, 3), within, self._kinks, dtype)
                for within, dtype in zip(ranges, types, strict=False)
            ]
            cases.append(self._of("mixed dtypes", mixed, False))
        return cases

    def overflow(self) -> list[Case]:
        cases: list[Case] = []
        for dtype in (np.int32, np.int64):
            limits = np.iinfo(dtype)
            values = np.array([limits.min, limits.max, limits.max - 1, -1, 2], dtype)
            grid = np.meshgrid(*[values] * self._arity, indexing="ij")
            cases.append(self._of(f"integer overflow {limits.dtype}", grid, False))
        return cases

    def bools(self) -> list[Case]:
        arrays = [drawn(self._rng, (3, 5), dtype=np.bool_) for _ in self._ranges]
        return [self._of("bools", arrays, False)]


def reduction_cases(
    rng: np.random.Generator,
    *,
    within: Range = (-2.0, 2.0),
    axes: bool = True,
    several_axes: bool = True,
    keepdim: bool = True,
    empty: bool = True,
    picks: bool = False,
    floats: bool = True,
    integers: bool = False,
    bools: bool = False,
    nonfinite: bool = True,
    options: Options | None = None,
) -> list[Case]:
    """Cases of a function that reduces axes, named by `dim` and left in by `keepdim`.

    `axes`: whether `dim` may be left out; `several_axes`: whether it may be a tuple. `empty`:
    whether the empty axis has a result. `picks`: the result is one of the elements, so that the
    elements must be distinct where a gradient is taken.
    """
    base = dict(options or {})

    def values(shape: Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        if picks and np.dtype(dtype).kind == "f":
            return distinct(rng, shape, within).astype(dtype)
        return drawn(rng, shape, within, dtype=dtype)

    def of(label: str, given: Input, gradient: bool = True, **more: object) -> Case:
        return Case(label, (given,), {**base, **more}, gradient)

    whole: dict[str, Any] = {} if axes else {"dim": 0}
    kept: dict[str, Any] = {"keepdim": True} if keepdim else {}
    cases: list[Case] = []
    if floats:
        cases += [
            of("rank 0", values(()), **whole),
            of("size 1", values((1, 1)), dim=1),
            of("odd sizes", values((3, 5)), **whole),
            of("first axis", values((3, 5)), dim=0),
            of("last axis", values((3, 5)), dim=-1, **kept),
            of("rank 3", values((2, 3, 2)), dim=1, **kept),
            of("empty", np.zeros((2, 0, 3), np.float32), dim=1 if empty else 0),
            of("empty result", np.zeros((2, 0, 3), np.float32), dim=0 if picks else 2),
            of("long rows", values((2, 67)), dim=1),
            of("permuted view", View(values((3, 4)), "permuted"), dim=0),
            of("expanded view", View(values((3, 4)), "expanded"), not picks, dim=1),
            of("sliced view", View(values((3, 2)), "sliced"), dim=0, **kept),
            of("ties", np.array([[1, 0.5, 1], [0.5, 0.5, 0.5]], np.float32), not picks, dim=1),
            of("double", values((3, 4), np.float64), dim=1),
        ]
        if not empty:
            cases = [one for one in cases if one.label != "empty"]
            cases.append(of("empty", np.zeros((0, 3), np.float32), dim=1))
        if several_axes:
            cases.append(of("several axes", values((2, 3, 2)), dim=(0, -1), **kept))
        if nonfinite:
            cases += [
                of("NaN and infinity", _SPECIAL_ROWS, False, dim=1),
                of("negative zero", np.array([[-0.0, 0.0], [0.0, -0.0]], np.float32), False, dim=1),
            ]
    if integers:
        cases += [
            of("int64", values((3, 5), np.int64), False, dim=1),
            of("int32", values((3, 5), np.int32), False, **whole),
        ]
    if bools:
        cases.append(of("bools", values((4, 3), np.bool_), False, dim=1))
    return cases


_SPECIAL_ROWS = np.array(
    [
        [np.nan, 1.0, 0.5],
        [np.inf, 1.0, 0.5],
        [-np.inf, 1.0, 0.5],
        [np.inf, -np.inf, 0.5],
        [1.0, np.inf, np.nan],
        [0.5, -1.0, 0.25],
    ],
    np.float32,
)


def shape_cases(
    rng: np.random.Generator,
    calls: Mapping[str, tuple[Sequence[int], Options]],
    *,
    views: Sequence[int] = (3, 2),
    options: Options | None = None,
    dtypes: bool = True,
) -> list[Case]:
    """Cases of a function that only moves elements.

    `calls`: for each label the shape and the options; beside those, with a tensor of shape `views`
    and `options`: the three views, and (`dtypes`) elements of other dtypes, NaN and infinity.
    """
    shared = dict(options or {})
    cases = [
        Case(label, (drawn(rng, shape),), dict(given)) for label, (shape, given) in calls.items()
    ]
    cases += [
        Case("permuted view", (View(drawn(rng, views), "permuted"),), shared),
        Case("expanded view", (View(drawn(rng, views), "expanded"),), shared),
        Case("sliced view", (View(drawn(rng, views), "sliced"),), shared),
    ]
    if dtypes:
        special = np.resize(np.array([np.nan, -0.0, np.inf, -np.inf, 1], np.float32), views)
        cases += [
            Case("NaN and infinity", (special,), shared, gradient=False),
            Case("int64", (drawn(rng, views, (-9, 9), dtype=np.int64),), shared),
            Case("int32", (drawn(rng, views, (-9, 9), dtype=np.int32),), shared),
            Case("bools", (drawn(rng, views, dtype=np.bool_),), shared),
            Case("double", (drawn(rng, views, dtype=np.float64),), shared),
        ]
    return cases


def array(values: Any, dtype: DTypeLike = np.float32) -> Array:
    """Given elements, for a case that is written out."""
    return np.asarray(values, dtype)
