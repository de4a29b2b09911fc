"""Digests of modules: equal exactly where structural keys are."""

import itertools
from pathlib import Path

import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Data
from xdsl.parser import AttrParser
from xdsl.printer import Printer

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module
from picograd.dialects.structure_digest import structure_digest
from picograd.passes.base import Level
from picograd.passes.rewriting.structure import structural_key

MODEL = (Path(__file__).parents[2] / "docs" / "examples" / "model.mlir").read_text()
PAD = """func.func @main(%x: tensor<2xf32>, %z: tensor<2xf32>) -> tensor<4xf32> {
  %c = pico.constant dense<FIRST> : tensor<2xf32>
  %a = pico.binary sub %x, %c : tensor<2xf32>
  %b = pico.binary sub %a, %z {at = "model.py:3"} : tensor<2xf32>
  %y = pico.pad %b with SECOND : f32 low [1] high [1] interior [0]
    : tensor<2xf32> -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}"""
NUMBERS = ["0.0", "-0.0", "1.0", "0x7fc00000", "0xffc00000"]


def variants() -> list[ModuleOp]:
    texts = [
        PAD.replace("FIRST", first).replace("SECOND", second)
        for first, second in itertools.product(NUMBERS, NUMBERS)
    ]
    zeros = texts[0]
    for old, new in (
        ("%a, %z", "%z, %a"),
        ("%x, %c", "%c, %x"),
        ("%x, %c", "%x, %x"),
        ("sub %a", "add %a"),
        ("low [1] high [1]", "low [2] high [0]"),
        ("@main", "@other"),
        ("f32", "f64"),
        ("{", "attributes {pico.note} {"),
        ("%x:", '%x {pico.name = "x"}:'),
        ("%b", "%c7"),
        ("model.py:3", "model.py:4"),
        (' {at = "model.py:3"}', ""),
    ):
        assert old in zeros
        texts.append(zeros.replace(old, new, 1 if old == "{" else -1))
    return [parse_module(text) for text in texts if "%x {" not in text]


def test_it_tells_apart_what_structural_keys_do() -> None:
    modules = variants()
    keys, digests = map(structural_key, modules), list(map(structure_digest, modules))
    pairs = list(zip(keys, digests, strict=True))
    for (key, digest), (other_key, other_digest) in itertools.combinations(pairs, 2):
        assert (key == other_key) == (digest == other_digest)


def test_every_level_has_a_digest_that_its_text_keeps() -> None:
    executable = compile_module(parse_module(MODEL), "cpu")
    modules = [executable.module(level) for level in Level]
    digests: set[bytes] = set()
    for module in modules:
        assert module is not None
        digests.add(structure_digest(module))
        assert structure_digest(parse_module(str(module))) == structure_digest(module)
        assert structure_digest(module.clone()) == structure_digest(module)
    assert len(digests) == len(modules)


class Odd(Data[object]):
    """Data that nobody can write down."""

    name = "test.odd"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> object:
        raise NotImplementedError

    def print_parameter(self, printer: Printer) -> None:
        raise NotImplementedError


def test_what_cannot_be_written_down_has_none() -> None:
    module = parse_module(MODEL)
    next(op for op in module.walk() if op.name == "pico.unary").properties["kind"] = Odd(object())
    with pytest.raises(TypeError, match="cannot be written down"):
        structure_digest(module)
