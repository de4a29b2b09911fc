"""Objects made by recipes are those that constructors make, and nothing is held too long."""

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from picograd.backends.llvm import objects, python_functions
from picograd.backends.recipes import Argument, Constant, Earlier, Made, Taken
from picograd.backends.runtime import device
from picograd.dialects.dtypes import float32, tensor_type
from picograd.frontend.core import TensorCore
from picograd.frontend.fresh import fresh_tensors
from picograd.frontend.shown import History
from picograd.frontend.storage.cells import Cell
from picograd.frontend.storage.shared import SharedCell
from picograd.frontend.storage.signature import signature_of_type


class Inner:
    __slots__ = ("__weakref__", "left", "right")


class Outer(Inner):
    __slots__ = ("inner", "last")


class Loose(Outer):
    """With a dictionary, like tensors."""


def pair(kind: type[Inner] = Loose) -> Callable[..., Any]:
    recipe = (
        Made(Inner, {"left": Argument(1), "right": Constant("right")}),
        Made(kind, {"inner": Earlier(0), "left": Argument(0), "last": Earlier(0, "left")}),
    )
    make = objects.maker(recipe, 2)
    assert make is not None
    return make


@pytest.mark.parametrize("kind", [Outer, Loose])
def test_slots_hold_what_the_recipe_says(kind: type[Inner]) -> None:
    first, second = object(), object()
    made: Any = pair(kind)(first, second)
    assert made.__class__ is kind and made.inner.__class__ is Inner
    assert made.left is first and made.inner.left is second and made.last is second
    assert made.inner.right == "right"
    assert not hasattr(made, "right")
    assert gc.is_tracked(made) and weakref.ref(made)() is made
    if kind is Loose:
        made.more = 1
        assert vars(made) == {"more": 1}


def test_nothing_is_held_or_lost() -> None:
    first, second, make = object(), object(), pair()
    before = [sys.getrefcount(one) for one in (first, second, Inner, Loose)]
    many = [make(first, second) for _ in range(100)]
    ends = [weakref.ref(one) for made in many for one in (made, made.inner)]
    del many
    assert all(end() is None for end in ends)
    assert [sys.getrefcount(one) for one in (first, second, Inner, Loose)] == before


def test_the_recipe_lives_as_long_as_the_function() -> None:
    class Own:
        __slots__ = ("value",)

    constant, kind = Inner(), weakref.ref(Own)
    held = weakref.ref(constant)
    make = objects.maker((Made(Own, {"value": Constant(constant)}),))
    assert make is not None
    del constant, Own
    gc.collect()
    assert make().value is held()
    objects.offsets_in.cache_clear()  # which knows the class as well
    del make
    gc.collect()
    assert held() is None and kind() is None


def test_what_is_taken_comes_from_the_other_function_after_an_error() -> None:
    free, made = ["a"], list[str]()

    def new() -> str:
        made.append("new")
        return made[-1]

    recipe = (Taken(free.pop, new, Inner), Made(Outer, {"inner": Earlier(0)}))
    make = objects.maker(recipe)
    assert make is not None
    assert [make().inner for _ in range(3)] == ["a", "new", "new"]

    def fails() -> str:
        raise MemoryError("none left")

    make = objects.maker((Made(Inner, {}), Taken(free.pop, fails, Inner)))
    assert make is not None
    with pytest.raises(MemoryError, match="none left"):
        make()


def test_other_numbers_of_arguments_are_an_error() -> None:
    for given in ((), (1,), (1, 2, 3)):
        with pytest.raises(TypeError):
            pair()(*given)


def test_a_python_without_the_interface_makes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "can_launch", lambda: False)
    objects.offsets_in.cache_clear()
    try:
        assert objects.maker((Made(Inner, {}),)) is None
    finally:
        objects.offsets_in.cache_clear()
    assert python_functions.can_launch()


def test_slots_are_found_past_properties() -> None:
    known, plain = objects.offsets_in(SharedCell), objects.offsets_in(Cell)
    assert (
        known == plain
        and known is not None
        and set(known)
        == {
            *("value", "type", "device", "version", "era", "trace", "name"),
        }
    )


@pytest.mark.parametrize("fast", [True, False])
def test_tensors_are_those_of_the_constructors(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fast:
        monkeypatch.setattr(type(device("cpu")), "object_maker", lambda *_: None)
    type_ = tensor_type((2, 3), float32)
    value, signature = device("cpu").allocate(type_), signature_of_type(type_)
    made = fresh_tensors(type_, "cpu", signature=signature)(value)
    other = TensorCore.result_class(Cell(value, type_, "cpu"), (), History(), 0)
    for name in ("views", "tracked_from", "shift", "grad_slot", "shape"):
        assert getattr(made, name) == getattr(other, name)
    for name in Cell.__slots__:
        if name != "__weakref__":
            assert getattr(made.cell, name) is getattr(other.cell, name)
    assert made.history.node is None and made.signature is signature


@pytest.mark.parametrize("fast", [True, False])
def test_buffers_come_from_the_pool_and_go_back(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast:
        monkeypatch.setattr(objects, "maker", lambda *_: None)
    make: Callable[[], Any] = type(device("cpu"))().maker(tensor_type((5, 7), float32))
    first, second = make(), make()
    addresses = {first.address, second.address}
    assert len(addresses) == 2 and first.nbytes == 140 and first.device.name == "cpu"
    assert all(address % 64 == 0 for address in addresses)
    del first, second
    assert {one.address for one in (make(), make())} <= addresses


def test_threads_make_objects_at_once() -> None:
    make: Callable[[], Any] = type(device("cpu"))().maker(tensor_type((5, 7), float32))
    seen: list[bool] = []

    def work() -> None:
        for _ in range(2000):
            held = [make() for _ in range(3)]
            seen.append(len({one.address for one in held}) == 3)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8000 and all(seen)
