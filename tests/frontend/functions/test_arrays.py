"""Tensors over arrays of a kind that was met twice are what they were the first time."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import picograd as torch
from picograd.dialects.dtypes import DTYPES, DType
from picograd.frontend.functions import arrays
from picograd.frontend.plans.planned import kind_of
from picograd.frontend.storage.cells import Cell
from picograd.frontend.storage.shared import SharedCell

MAKERS: dict[str, Callable[[Any], torch.Tensor]] = {
    "from_numpy": torch.from_numpy,
    "as_tensor": torch.as_tensor,
}


@pytest.fixture(autouse=True)
def on_the_cpu() -> Iterator[None]:
    arrays._makers.clear()  # pyright: ignore[reportPrivateUsage]
    torch.set_default_device("cpu")
    yield
    torch.set_default_device(None)


def slots(thing: Any) -> dict[str, Any]:
    """What an object holds, but for what holds it weakly."""
    names = [name for base in type(thing).__mro__ for name in vars(base).get("__slots__", ())]
    return {
        name: getattr(thing, name)
        for name in names
        if name not in ("__weakref__", "_block", "_shelf")
    }


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 1, 5)])
@pytest.mark.parametrize("maker", MAKERS)
def test_all_that_is_made_is_the_same(
    maker: str, shape: tuple[int, ...], dtype: DType, rng: np.random.Generator
) -> None:
    array = np.array(3 * rng.random(shape), dtype.numpy)
    first, _, again = (MAKERS[maker](array) for _ in range(3))
    kind_of(first), kind_of(again)
    assert arrays._known(array) is not None  # pyright: ignore[reportPrivateUsage]
    before, now = slots(first), slots(again)
    for name in ("views", "tracked_from", "signature", "shift"):
        assert before[name] == now[name]
    assert vars(again) == {} and type(again) is type(first)
    assert slots(again.history) == slots(first.history) == {"node": None}
    cell, other = first.cell, again.cell
    assert type(cell) is type(other) is SharedCell
    for name in ("type", "device", "version", "era", "trace", "name"):
        assert getattr(cell, name) == getattr(other, name)
    slot: Any = vars(Cell)["value"]
    homes = [slots(slot.__get__(one)) for one in (cell, other)]
    buffers: list[Any] = [home.pop("buffer") for home in homes]
    assert [home.pop("_held") for home in homes] == buffers
    assert homes[0] == homes[1]
    assert [type(buffer) for buffer in buffers] == [type(buffers[0])] * 2
    assert slots(buffers[0]) | {"_array": None} == slots(buffers[1]) | {"_array": None}
    assert slots(buffers[0])["_array"] is slots(buffers[1])["_array"] is array
    assert again.numpy().tobytes() == array.tobytes() and again.dtype is dtype


def again(array: NDArray[Any]) -> torch.Tensor:
    """A tensor over an array of a kind that has been met twice."""
    first, _, last = (torch.from_numpy(array) for _ in range(3))
    assert last is not first and len(arrays._makers) == 1  # pyright: ignore[reportPrivateUsage]
    assert None not in arrays._makers.values()  # pyright: ignore[reportPrivateUsage]
    return last


def test_what_is_written_to_either_is_seen_through_both(rng: np.random.Generator) -> None:
    array = rng.standard_normal((4, 3)).astype(np.float32)
    x = again(array)
    x.add_(1)
    array[1] = 5
    x[2] = 7
    np.testing.assert_array_equal(x.numpy(), array)
    assert array[1:3].tolist() == [[5] * 3, [7] * 3]
    assert x.numpy().ctypes.data == array.ctypes.data


def test_a_compiled_step_updates_the_array(rng: np.random.Generator) -> None:
    array = rng.standard_normal((4, 3)).astype(np.float32)
    expected, x = array.copy(), again(array)

    @torch.compile
    def step() -> None:
        x.mul_(2.0)

    for _ in range(3):
        step()
    np.testing.assert_array_equal(array, 8 * expected)


def test_the_tensor_keeps_the_array_and_nobody_keeps_the_tensor() -> None:
    array = np.arange(6.0)
    held = weakref.ref(array)
    x = again(array)
    del array
    gc.collect()
    assert held() is not None and x.tolist() == [0, 1, 2, 3, 4, 5]
    ends = weakref.ref(x.cell)
    del x
    gc.collect()
    assert held() is None and ends() is None


def test_what_is_unusual_is_not_taken_for_usual(rng: np.random.Generator) -> None:
    array = rng.standard_normal((4, 4)).astype(np.float32)
    again(array)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.from_numpy(array.T).tolist() == array.T.tolist()
        raw = np.zeros(4 * array.nbytes, np.uint8)
        start = 1 - raw.ctypes.data % 4
        odd = raw[start + 4 :][: array.nbytes].view(np.float32).reshape(4, 4)
        odd[...] = array
        assert odd.ctypes.data % 4 == 1
        assert torch.from_numpy(odd).add_(0).tolist() == array.tolist()
    array.flags.writeable = False
    with pytest.warns(UserWarning, match="read-only"):
        x = torch.from_numpy(array)
    before = array.copy()
    x.add_(1)
    np.testing.assert_array_equal(array, before)

    class Own(np.ndarray):
        pass

    own = before.view(Own)
    assert torch.from_numpy(own).tolist() == before.tolist()


def test_a_trace_and_another_device_see_it_their_own_way(rng: np.random.Generator) -> None:
    array = rng.standard_normal(5).astype(np.float32)
    again(array)
    compiled = torch.compile(lambda x: x + torch.from_numpy(array))
    np.testing.assert_array_equal(compiled(torch.zeros(5)).numpy(), array)
    torch.set_default_device("reference")
    x = torch.from_numpy(array)
    assert x.device == "reference" and x.tolist() == array.tolist()
