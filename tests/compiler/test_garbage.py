"""Garbage waits while compiling, but not all of it, and is collected as before afterwards."""

import gc

import pytest

from picograd.backends.llvm import compile_parts
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


def test_what_waits_is_collected_while_llvm_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[int] = []
    monkeypatch.setattr(compile_parts, "_ENOUGH", 1)
    monkeypatch.setattr(garbage.gc, "collect", collected.append)
    garbage.collect_meanwhile()
    assert not collected, "nothing waits"
    compile_module(parse_module(TEXT), "cpu", cached=False)
    assert collected == [0], "only what is new"
    gc.disable()
    try:
        compile_module(parse_module(TEXT), "cpu", cached=False)
    finally:
        gc.enable()
    assert collected == [0], "somebody else has stopped the collector"


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
