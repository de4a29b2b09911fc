"""An operation that only copies compiles nothing, and gives memory of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.dialects.dtypes import DTYPES, DType
from picograd.frontend.plans import program


@pytest.fixture
def nothing_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "compile_module", lambda *_: pytest.fail("compiled"))


def numbers(rng: np.random.Generator, *shape: int) -> Any:
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.usefixtures("nothing_compiles")
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (3, 5), (7, 1, 9)])
def test_a_clone_has_the_same_bits(
    dtype: DType, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    x = torch.tensor((100 * rng.random(shape)).astype(dtype.numpy))
    for _ in range(2):
        copy = x.clone()
        assert copy.dtype is dtype and copy.shape == shape
        assert copy.numpy().tobytes() == x.numpy().tobytes()
        assert copy.numpy().ctypes.data != x.numpy().ctypes.data


@pytest.mark.usefixtures("nothing_compiles")
def test_neither_sees_what_is_written_to_the_other(rng: np.random.Generator) -> None:
    given = numbers(rng, 4, 6)
    x = torch.from_numpy(given.copy())
    copy = x.clone()
    array, own = x.numpy(), copy.numpy()
    array[1] = 0
    np.testing.assert_array_equal(own, given)
    own[2] = 1
    np.testing.assert_array_equal(x.numpy()[2], given[2])


@pytest.mark.usefixtures("nothing_compiles")
def test_rows_of_a_matrix_are_copied_from_where_they_lie(rng: np.random.Generator) -> None:
    given = numbers(rng, 5, 7)
    x = torch.tensor(given)
    for rows in (slice(2, 4), 3, slice(5, 5)):
        np.testing.assert_array_equal(x[rows].clone().numpy(), given[rows])
    target = torch.zeros(7)
    assert target.copy_(x[4]) is target
    np.testing.assert_array_equal(target.numpy(), given[4])


def test_gradients_flow_through_copies(rng: np.random.Generator) -> None:
    x = torch.tensor(numbers(rng, 3, 4)).requires_grad_()
    copy = x.clone()
    assert copy.requires_grad and not copy.is_leaf
    (copy * copy).sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.detach().numpy())


def test_what_changes_the_elements_is_no_copy(rng: np.random.Generator) -> None:
    given = numbers(rng, 3, 4)
    x = torch.tensor(given)
    assert x.T.clone().tolist() == given.T.tolist()
    assert torch.tensor([1, 2]).to(torch.float32).clone().tolist() == [1.0, 2.0]
    target = torch.zeros(3, 4)
    target.copy_(x[0])
    assert target.tolist() == [given[0].tolist()] * 3


def test_copies_are_watched_where_everything_is(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICOGRAD_SANITIZE", "1")
    compiled: list[object] = []
    compile_module = program.compile_module

    def counted(*given: Any) -> Any:
        compiled.append(given)
        return compile_module(*given)

    monkeypatch.setattr(program, "compile_module", counted)
    given = numbers(rng, 11, 13)  # a shape that no other test has
    np.testing.assert_array_equal(torch.tensor(given).clone().numpy(), given)
    assert compiled
