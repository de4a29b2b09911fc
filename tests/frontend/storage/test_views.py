"""Aliasing: whatever is written through a view or its base, both see."""

from __future__ import annotations

import numpy as np
import pytest

import picograd as torch
from picograd.errors import ShapeError
from picograd.frontend.storage.views import Layout, dense, reshaped_strides


def random_view(
    rng: np.random.Generator, x: torch.Tensor, a: np.ndarray
) -> tuple[torch.Tensor, np.ndarray]:
    """The same random view of a tensor and of an array."""
    kind = rng.integers(4)
    if kind == 0:
        order = tuple(int(i) for i in rng.permutation(a.ndim))
        return x.permute(order), a.transpose(order)
    if kind == 1 and a.ndim:
        axis, step = int(rng.integers(a.ndim)), int(rng.integers(1, 3))
        start = int(rng.integers(a.shape[axis]))
        index = (slice(None),) * axis + (slice(start, None, step),)
        return x[index], a[index]
    if kind == 2 and a.ndim > 1:
        axis = int(rng.integers(a.ndim))
        index = (slice(None),) * axis + (int(rng.integers(a.shape[axis])),)
        return x[index], a[index]
    if kind == 3:
        flat = a.reshape(-1)
        if x.is_contiguous() and np.shares_memory(flat, a):
            return x.view(-1), flat
    return x.unsqueeze(0), a[None]


@pytest.mark.parametrize("seed", range(25))
def test_random_chains_of_views_alias_as_in_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((3, 4, 2))
    pairs = [(torch.tensor(base), base)]
    for _ in range(6):
        pairs.append(random_view(rng, *pairs[int(rng.integers(len(pairs)))]))
    for _ in range(8):
        x, a = pairs[int(rng.integers(len(pairs)))]
        value = rng.standard_normal(a.shape[-1:])
        if rng.random() < 0.5:
            x += torch.tensor(value)
            a += value
        else:
            x[...] = torch.tensor(value)
            a[...] = value
    for x, a in pairs:
        np.testing.assert_allclose(x.numpy(), a, rtol=1e-12)


def test_a_view_sees_later_changes() -> None:
    x = torch.zeros(3)
    view = x[1:]
    assert view.tolist() == [0, 0]
    x.add_(1)
    assert view.tolist() == [1, 1]


def test_expanded_tensors_are_not_written() -> None:
    with pytest.raises(ShapeError, match="several elements share memory"):
        torch.ones(3, 1).expand(3, 2).add_(1)


@pytest.mark.parametrize("part", ["[1:]", "[0]", "[:1, 2:]", "[-1].reshape(2, 2)"])
def test_parts_of_expanded_tensors_are_not_written(part: str) -> None:
    expanded = torch.ones(4).expand(2, 4)
    with pytest.raises(ShapeError, match="several elements share memory") as raised:
        eval(f"x{part}", {"x": expanded}).mul_(2)
    assert ".clone()" in raised.value.hint
    expanded[:, 4:].add_(1)  # there is nothing to write
    torch.ones(1, 4).expand(1, 4)[0].add_(1)  # nothing is repeated


def test_copies_do_not_alias() -> None:
    x = torch.zeros(2)
    for copy in (x.clone(), torch.tensor(x), x.flip(0), x + 0, x[torch.tensor([0])]):
        copy.add_(1)
    assert x.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("layout", "shape", "expected"),
    [
        (dense((2, 6)), (3, 4), (4, 1)),
        (Layout((2, 3), (1, 2)), (6,), None),
        (Layout((2, 3), (1, 2)), (2, 3, 1), (1, 2, 2)),
        (Layout((4, 3), (6, 1)), (2, 2, 3), (12, 6, 1)),
        (Layout((4, 3), (6, 2)), (12,), (2,)),
        (Layout((4, 2), (6, 2)), (8,), None),
        (dense(()), (1, 1), (1, 1)),
        (dense((0, 3)), (3, 0), (1, 1)),
    ],
)
def test_strides_of_reshapes(
    layout: Layout, shape: tuple[int, ...], expected: tuple[int, ...] | None
) -> None:
    assert reshaped_strides(layout, shape) == expected
