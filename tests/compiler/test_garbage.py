"""Garbage waits while compiling, but not all of it, and is collected as before afterwards."""

import gc

import pytest

from picograd.compiler import garbage
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module

TEXT = """
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %y = pico.unary exp %x : tensor<3xf32>
  func.return %y : tensor<3xf32>
}"""


def test_the_collector_is_as_it_was_afterwards() -> None:
    assert gc.isenabled()
    with pytest.raises(KeyError), garbage.without_garbage_collection():
        assert not gc.isenabled()
        with garbage.without_garbage_collection():
            pass
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


@pytest.mark.parametrize("much", [0, 1 << 40])
def test_much_garbage_is_collected_between_passes(
    monkeypatch: pytest.MonkeyPatch, much: int
) -> None:
    collected: list[bool] = []
    monkeypatch.setattr(garbage, "_MUCH", much)
    monkeypatch.setattr(garbage.gc, "collect", lambda: collected.append(gc.isenabled()))
    compile_module(parse_module(TEXT), "cpu", cached=False)
    assert bool(collected) == (much == 0)
    assert not any(collected)
