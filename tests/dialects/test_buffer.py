"""The buffer dialect parses, prints, verifies, and declares its effects."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser
from xdsl.traits import MemoryEffectKind, get_effects, has_effects, is_side_effect_free
from xdsl.utils.exceptions import VerifyException

from picograd.dialects import buffer, new_context
from picograd.dialects.buffer import (
    ArenaOp,
    ConstantOp,
    KernelOp,
    PlaceOp,
    ReadOp,
    WriteOp,
    outputs_of,
)

PROGRAM = """
func.func @main(
    %x: memref<3xf32> {pico.name = "x"}, %out0: memref<3xf32> {buffer.output, pico.name = "y"}) {
  %m = buffer.arena : memref<64xi8>
  %h = buffer.place %m at 0 : memref<64xi8> to memref<3xf32>
  %g = buffer.place %m at 16 : memref<64xi8> to memref<3xf32>
  %t = buffer.alloc : memref<3xf32>
  %k = buffer.constant dense<[1.0, -0.0, 2.5]> : memref<3xf32>
  buffer.kernel "first" reads(%a = %x : memref<3xf32>, %c = %k : memref<3xf32>)
      writes(%o = %h : memref<3xf32>, %q = %g : memref<3xf32>) absorbs ["sum"] {
    %0 = buffer.read %a : memref<3xf32> -> tensor<3xf32>
    %1 = buffer.read %c : memref<3xf32> -> tensor<3xf32>
    %2 = pico.binary add %0, %1 : tensor<3xf32>
    buffer.write %2, %o : tensor<3xf32>, memref<3xf32>
    buffer.write %0, %q : tensor<3xf32>, memref<3xf32>
  }
  buffer.kernel "second" reads(%a = %h : memref<3xf32>) writes(%o = %out0 : memref<3xf32>) {
    %0 = buffer.read %a : memref<3xf32> -> tensor<3xf32>
    buffer.write %0, %o : tensor<3xf32>, memref<3xf32>
  }
  func.return
}
"""


def parse(text: str) -> ModuleOp:
    return Parser(new_context(), text).parse_module()


def test_round_trip():
    module = parse(PROGRAM)
    module.verify()
    text = str(module)
    again = parse(text)
    again.verify()
    assert again.is_structurally_equivalent(module)
    assert str(again) == text
    first = next(op for op in module.walk() if isinstance(op, KernelOp))
    assert first.absorbed_names == ("sum",)
    assert [a.name_hint for a in first.read_arguments] == ["a", "c"]
    assert [a.name_hint for a in first.write_arguments] == ["o", "q"]


def test_the_example_of_the_documentation_is_valid():
    documentation = buffer.__doc__
    assert documentation is not None
    module = parse(documentation[documentation.index("    func.func") :])
    module.verify()
    assert str(module).count("buffer.kernel") == 2


def test_outputs_are_the_marked_arguments():
    (function,) = parse(PROGRAM).body.ops
    assert isinstance(function, FuncOp)
    assert [value.name_hint for value in outputs_of(function)] == ["out0"]


def test_effects():
    ops = list(parse(PROGRAM).walk())
    first = next(op for op in ops if isinstance(op, KernelOp))
    effects = get_effects(first)
    assert effects is not None
    kinds = {(e.kind, getattr(e.value, "name_hint", None)) for e in effects}
    assert kinds == {
        (MemoryEffectKind.READ, "x"),
        (MemoryEffectKind.READ, "k"),
        (MemoryEffectKind.WRITE, "h"),
        (MemoryEffectKind.WRITE, "g"),
    }
    read = next(op for op in ops if isinstance(op, ReadOp))
    write = next(op for op in ops if isinstance(op, WriteOp))
    assert has_effects(read, MemoryEffectKind.READ) and not has_effects(
        read, MemoryEffectKind.WRITE
    )
    assert has_effects(write, MemoryEffectKind.WRITE)
    pure = [op for op in ops if isinstance(op, PlaceOp | ConstantOp)]
    assert len(pure) == 3 and all(is_side_effect_free(op) for op in pure)


def test_places_know_their_bytes():
    ops = list(parse(PROGRAM).walk())
    assert [op.span for op in ops if isinstance(op, PlaceOp)] == [(0, 12), (16, 28)]
    assert [op.nbytes for op in ops if isinstance(op, ArenaOp)] == [64]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("at 16 :", "at 56 :", "inside the arena"),
        ("at 16 :", "at 14 :", "aligned"),
        ("at 16 :", "at 8 :", "overlap in the arena"),
        ("reads(%a = %h :", "reads(%a = %out0 :", "listed once"),
        ("%q = %g : memref<3xf32>", "%q = %h : memref<3xf32>", "listed once"),
        ("    buffer.write %0, %q : tensor<3xf32>, memref<3xf32>\n", "", "written by one"),
        ("buffer.read %c : memref", "buffer.read %o : memref", "`reads`"),
        (
            "%1 = buffer.read",
            "%9 = buffer.read %c : memref<3xf32> -> tensor<4xf32>\n%1 = buffer.read",
            "one shape and element type",
        ),
        ("buffer.arena : memref<64xi8>", "buffer.arena : memref<8x8xi8>", "memref<BYTESxi8>"),
    ],
)  # fmt: skip
def test_broken_programs_do_not_verify(old: str, new: str, message: str):
    assert old in PROGRAM
    text = PROGRAM.replace(old, new, 1)
    if "8x8" in new:
        text = text.replace("memref<64xi8>", "memref<8x8xi8>")
    with pytest.raises(VerifyException, match=message):
        parse(text).verify()


def test_constants_keep_their_bits():
    constant = next(op for op in parse(PROGRAM).walk() if isinstance(op, ConstantOp))
    assert "buffer.constant dense<[1.0, -0.0, 2.5]> : memref<3xf32>" in str(constant)
