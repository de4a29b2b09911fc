"""Memory that arrays and others share: who keeps it, and where it is."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import picograd
from picograd.backends import loans
from picograd.backends.loans import address_of, lent_block, lent_bytes

ARRAYS: dict[str, Callable[[], NDArray[Any]]] = {
    "rows": lambda: np.zeros((3, 5)),
    "a view": lambda: np.zeros((9, 7), np.int8)[2:, 3:],
    "backwards": lambda: np.arange(10.0)[::-1],
    "a number": lambda: np.array(3.5, np.float32),
    "empty": lambda: np.zeros((0, 4)),
    "read-only": lambda: np.broadcast_to(np.arange(3.0), (4, 3)),
    "of bytes": lambda: np.frombuffer(b"12345678", np.uint8)[3:],
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_address_is_the_one_that_numpy_tells(name: str) -> None:
    array = ARRAYS[name]()
    assert address_of(array) == array.ctypes.data


def test_a_file_in_memory_has_an_address(tmp_path: Path) -> None:
    array = np.memmap(tmp_path / "file", np.float32, "w+", shape=(8, 3))
    assert address_of(array) == array.ctypes.data


def test_numpy_is_asked_where_the_address_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loans, "_place_of_address", lambda: None)
    array = np.zeros((3, 5))[1:]
    assert address_of(array) == array.ctypes.data


class Owner:
    pass


@pytest.mark.parametrize("kind", ["block", "bytes", "read-only"])
def test_all_arrays_and_views_keep_the_loan_and_its_owner(
    kind: str, rng: np.random.Generator
) -> None:
    memory, owner, writable = rng.random(12), Owner(), kind != "read-only"
    given = (owner, memory.ctypes.data, memory.nbytes)
    lent: Any = lent_block(*given) if kind == "block" else lent_bytes(*given, writable)
    array = np.ndarray((3, 4), np.float64, lent)
    loan, held = weakref.ref(lent), weakref.ref(owner)
    del owner, lent, given
    np.testing.assert_array_equal(array, memory.reshape(3, 4))
    assert array.flags.writeable == writable
    view = array[1:].T[::2].view(np.int64)
    del array
    gc.collect()
    assert loan() is not None and held() is not None
    if writable:
        view[...] = 0
        assert not memory[4::2].any()
    del view
    gc.collect()
    assert loan() is None and held() is None


@pytest.mark.parametrize("lend", [lent_block, lent_bytes])
def test_nothing_can_be_lent(lend: Callable[[object, int, int], Any]) -> None:
    array = np.ndarray((0, 3), np.float32, lend(Owner(), 64, 0))
    assert array.shape == (0, 3)


def test_tensors_of_many_sizes_are_lent_by_few_classes() -> None:
    before = loans._block_of.cache_info().currsize  # pyright: ignore[reportPrivateUsage]
    for size in range(2000, 4000):
        array = picograd.zeros(size, device="cpu").numpy()
        assert array.shape == (size,) and array.flags.writeable
    after = loans._block_of.cache_info().currsize  # pyright: ignore[reportPrivateUsage]
    assert after - before <= 16
