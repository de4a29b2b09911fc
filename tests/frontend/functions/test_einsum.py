"""Equations of einsum: the results stand in the table of functions; here are its mistakes."""

from __future__ import annotations

import numpy as np
import pytest

import picograd as torch
from picograd.errors import OptionError, ShapeError


@pytest.mark.parametrize(
    ("equation", "shapes", "message"),
    [
        ("ij", [(2, 3), (3, 2)], "does not name every operand"),
        ("ij,jk->ik", [(2, 3)], "does not name every operand"),
        ("ij", [(2, 3, 4)], "does not name the axes"),
        ("ijk", [(2, 3)], "does not name the axes"),
        ("ij->ik", [(2, 3)], "occurs in no operand"),
        ("ij->ii", [(2, 3)], "names an axis twice"),
        ("i1->i", [(2, 3)], "names no axis"),
    ],
)
def test_equations_that_say_nothing(
    equation: str, shapes: list[tuple[int, ...]], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        torch.einsum(equation, *(torch.ones(shape) for shape in shapes))


def test_sizes_that_differ() -> None:
    with pytest.raises(ShapeError, match="called 'j' differ"):
        torch.einsum("ij,jk->ik", torch.ones(2, 3), torch.ones(2, 3))
    with pytest.raises(ShapeError, match="of one operand differ"):
        torch.einsum("ii->i", torch.ones(1, 3))


def test_takes_a_list_of_operands_and_sizes_of_one(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(1, 3)), rng.normal(size=(2, 3))
    found = torch.einsum("ij,ij->i", [torch.tensor(a), torch.tensor(b)])
    np.testing.assert_allclose(found.numpy(), (a * b).sum(1), rtol=1e-12)


def test_a_contraction_is_one_matrix_product() -> None:
    @torch.compile
    def attention(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bhqd,bhkd->bhqk", q, k)

    module = attention.trace(torch.ones(2, 3, 4, 5), torch.ones(2, 3, 6, 5)).module
    text = str(module)
    assert text.count("pico.matmul") == 1 and "pico.reduce" not in text
