"""Products of matrices in parts: each is NumPy's, whatever the sizes."""

from __future__ import annotations

import numpy as np
import pytest

from picograd.semantics.matrix_products import ALONE, WORTH_SHARING, product

SHAPES = [
    ((3, 4), (4, 5)),
    ((64, 64), (64, 128)),
    ((64, 65), (65, 64)),
    ((2, 3000), (3000, 61)),
    ((1, 1000), (1000, 301)),
    ((301, 1000), (1000, 1)),
    ((2, 1, 70, 64), (3, 64, 67)),
    ((0, 1000), (1000, 700)),
    ((500, 0), (0, 700)),
    ((2, ALONE), (ALONE, 2)),
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_in_parts_is_numpys(
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    dtype: type[np.floating],
    rng: np.random.Generator,
) -> None:
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    found = product(a, b)
    expected = np.matmul(a.astype(np.float64), b.astype(np.float64))
    assert found.dtype == dtype and found.shape == expected.shape
    most = np.matmul(np.abs(a.astype(np.float64)), np.abs(b.astype(np.float64)))
    assert (np.abs(found - expected) <= a.shape[-1] * np.finfo(dtype).eps * most).all()


def test_products_of_integers_and_views(rng: np.random.Generator) -> None:
    a, b = rng.integers(-9, 9, (130, 90)), rng.integers(-9, 9, (90, 70))
    np.testing.assert_array_equal(product(a, b), a @ b)
    floats, others = a.astype(np.float32), b.astype(np.float32)
    views = product(floats[::-1].T.copy().T, np.asfortranarray(others))
    np.testing.assert_array_equal(views, a[::-1] @ b)


def test_the_parts_are_as_small_as_they_must_be(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has at most as many multiplications as OpenBLAS computes alone, and several rows."""
    matmul, seen = np.matmul, list[tuple[int, int, int]]()

    def watched(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        seen.append((a.shape[-2], a.shape[-1], b.shape[-1]))
        return matmul(a, b)

    monkeypatch.setattr(np, "matmul", watched)
    for rows, inner, columns in ((64, 64, 128), (3, 700, 900), (255, 256, 255), (900, 700, 3)):
        seen.clear()
        product(rng.random((rows, inner)), rng.random((inner, columns)))
        assert rows * inner * columns < WORTH_SHARING and len(seen) > 1
        assert all(r * i * c <= ALONE and i == inner for r, i, c in seen)
