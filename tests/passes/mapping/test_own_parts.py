"""own_parts: no two threads touch one element of a private buffer, and each finds its own again."""

from itertools import product

import numpy as np
import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.dialects.affine import Leaf, Linear, LinearLike
from picograd.dialects.loop import AllocOp, KernelOp, ParallelOp
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.mapping.own_parts import Astray, OwnParts, own_parts
from picograd.passes.rewriting.loops import kernels

BUFFER = 'memref<12x12xf32, "private">'


def threads(dims: str, access: str, inner: str = "0 to 1") -> str:
    """A store of what was loaded from the same place, in each thread, some times."""
    return f"""
      loop.parallel {dims} mapping workgroup {{
        loop.parallel %l = {inner} {{
          %v = loop.load %p[{access}] : {BUFFER}
          loop.store %v, %p[{access}] : f32, {BUFFER}
        }}
      }}"""


def kernel(*bodies: str) -> KernelOp:
    text = f"""
loop.kernel @k() {{
  loop.parallel %i0 = 0 to 12 step 8 mapping grid {{
    %p = loop.alloc : {BUFFER}
    loop.for %k = 0 to 2 {{{"".join(bodies)}
    }}
  }}
}}"""
    return kernels(parse_module(text))[0]


def parts_of(found: KernelOp) -> OwnParts | Astray:
    (alloc,) = (op for op in found.walk() if isinstance(op, AllocOp))
    return own_parts(alloc, LoopFacts())


PAIR = "(%i, %j) = (0, 0) to (4, 3)"


@pytest.mark.parametrize(
    ("bodies", "extents"),
    [
        ((threads(PAIR, "%i * 2 + %l, %j", "0 to 2"),), (2, 1)),
        ((threads("%i = 0 to 12 step 3", "%i + %l, %k", "0 to 3"),), (3, 12)),
        # Blocks whose start cancels, and threads that stand side by side in two loops.
        ((threads("%i = %i0 to %i0 + 4", "%i - %i0, 0"),), (1, 12)),
        ((threads("(%i, %j) = (0, 0) to (3, 4)", "%i * 4 + %j, %l", "0 to 5"),), (1, 12)),
        # One thread in the whole tile and in the tail: nobody else is there.
        (
            (
                threads("%i = 0 to 1", "%i + %l, 0", "0 to 6"),
                threads("%i = 8 to min(%i0 + 9, 12) step 4", "%i - %i0 + %l, 0", "0 to 4"),
            ),
            (12, 12),
        ),
        # Nothing tells the threads apart, but each comes back to its place.
        ((threads("%i = 0 to 4", "-%i + 3, 0"),), (12, 12)),
        ((threads("%i = 0 to 5", "%l floordiv 2, %i mod 5", "0 to 4"),), (12, 12)),
        ((), (12, 12)),
    ],
)
def test_each_thread_has_its_part(bodies: tuple[str, ...], extents: tuple[int, ...]) -> None:
    parts = parts_of(kernel(*bodies))
    assert isinstance(parts, OwnParts)
    assert parts.extents == extents


@pytest.mark.parametrize(
    "bodies",
    [
        # A tail has other strides, or begins elsewhere, or numbers its threads otherwise.
        (
            threads("%i = 0 to 8 step 2", "%i + %l, 0", "0 to 2"),
            threads("%i = 8 to 12", "%i, 0"),
        ),
        (threads("%i = 0 to 4", "%i, 0"), threads("%i = 0 to 4", "%i + 4, 0")),
        (threads(PAIR, "%i, %j"), threads("(%i, %j) = (0, 0) to (4, 2)", "%i, %j")),
        (threads(PAIR, "%i, %j"), threads("(%j, %i) = (0, 0) to (3, 4)", "%i, %j")),
        # Other threads have the parts in the next step.
        (threads("%i = 0 to 4", "%i + %k, 0"),),
        (threads("%i = 0 to 4", "(%i + %k) mod 4, 0"),),
        # All threads read what one has written.
        (threads("%i = 0 to 1", "%i, 0"), threads("%i = 0 to 4", "0, 0")),
    ],
)
def test_what_threads_share_has_no_parts(bodies: tuple[str, ...]) -> None:
    assert isinstance(parts_of(kernel(*bodies)), Astray)


def test_an_index_into_a_whole_axis_needs_no_proof_but_a_constant_one_is_looked_at() -> None:
    # %i is 0 or 4 and below 4: it is 0, which bounds alone do not tell.
    loop = "%i = %i0 to min(%i0 + 4, 4) step 4"
    assert isinstance(parts_of(kernel(threads(loop, "%i + %l, 0", "0 to 12"))), OwnParts)
    assert isinstance(parts_of(kernel(threads(loop, "12, 0"))), Astray)


def test_an_empty_buffer_has_empty_parts() -> None:
    empty = 'memref<3x0xf32, "private">'
    found = kernels(
        parse_module(f"""
loop.kernel @k() {{
  loop.parallel %i0 = 0 to 12 mapping grid {{
    %p = loop.alloc : {empty}
    loop.parallel (%i, %j) = (0, 0) to (3, 0) mapping workgroup {{
      %v = loop.load %p[2, %j] : {empty}
      loop.store %v, %p[%i, 0] : f32, {empty}
    }}
  }}
}}""")
    )[0]
    parts = parts_of(found)
    assert isinstance(parts, OwnParts)
    assert parts.extents == (3, 0)
    assert all(place == [Linear.of(0)] * 2 for place in parts.places.values())


def test_random_parts_belong_to_one_thread_each() -> None:
    rng = np.random.default_rng(11)
    given = 0
    for _ in range(150):
        found = _random_kernel(rng)
        parts = parts_of(found)
        if isinstance(parts, OwnParts) and parts.extents != (12, 12):
            given += 1
            _check(parts)
    assert given >= 30


def _random_kernel(rng: np.random.Generator) -> KernelOp:
    """One or two nests that touch a buffer somehow; the second is often like the first."""
    bodies: list[str] = []
    numbers = _random_numbers(rng)
    for _ in range(rng.integers(1, 3)):
        m, n, a, b, inner, c = numbers
        dims = f"(%i, %j) = ({c}, 0) to ({m + c}, {n})"
        place = f"%i * {a} - {a * c} + %l, %j * {b}"
        bodies.append(threads(dims, place, f"0 to {inner}"))
        change = int(rng.integers(0, 2 * len(numbers)))
        if change < len(numbers):
            numbers[change] = _random_numbers(rng)[change]
    return kernel(*bodies)


def _random_numbers(rng: np.random.Generator) -> list[int]:
    return [int(rng.integers(low, 4)) for low in (1, 1, 1, 0, 1, 0)]


def _check(parts: OwnParts) -> None:
    owner: dict[tuple[int, ...], tuple[int, tuple[int, ...]]] = {}
    element: dict[tuple[int, tuple[int, ...]], tuple[int, ...]] = {}
    for access, places in parts.places.items():
        inner = access.parent_op()
        assert isinstance(inner, ParallelOp)
        nest = inner.parent_op()
        assert isinstance(nest, ParallelOp)
        dims = [*nest.dims, *inner.dims]
        starts = [dim.lower.constant for dim in dims]
        counts = [dim.extent or 0 for dim in dims]
        for steps in product(*(range(count) for count in counts)):
            values: dict[Leaf, LinearLike] = {
                dim.variable: start + step
                for dim, start, step in zip(dims, starts, steps, strict=True)
            }
            thread = steps[0] * counts[1] + steps[1]
            full = tuple(index.substitute(values).constant for index in access.indices)
            own = (thread, tuple(place.substitute(values).constant for place in places))
            assert all(0 <= p < n for p, n in zip(own[1], parts.extents, strict=True))
            assert owner.setdefault(full, own) == own
            assert element.setdefault(own, full) == full
