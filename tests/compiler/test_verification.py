"""When passes are verified: picograd's own only where somebody looks, and when something fails."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.compiler.verifier import Verifier
from picograd.dialects.tensor import UnaryOp
from picograd.errors import DTypeError, OptionError, PassError
from picograd.passes.base import Level, Pass
from picograd.passes.dce import DCE

TEXT = """builtin.module {
  func.func @main(%x: tensor<5xf32>) -> tensor<5xf32> {
    %e = pico.unary exp %x : tensor<5xf32>
    %n = pico.unary neg %e : tensor<5xf32>
    func.return %n : tensor<5xf32>
  }
}"""


class Idle(Pass):
    name: ClassVar[str] = "idle"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pass


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each module that was verified, in a program that does not ask for it."""
    monkeypatch.delenv("PICOGRAD_VERIFY")
    modules: list[int] = []
    verify = Verifier.verify

    def counting(self: Verifier, op: ModuleOp) -> None:
        modules.append(1)
        verify(self, op)

    monkeypatch.setattr(Verifier, "verify", counting)
    return modules


def compile_text(**options: Any) -> None:
    compile_module(parse_module(TEXT), "cpu", cached=False, **options)


def test_own_passes_are_trusted(verified: list[int]) -> None:
    module = parse_module(TEXT)
    verified.clear()
    compile_module(module, "cpu", cached=False)
    assert not verified


def test_every_pass_is_verified_where_somebody_asks_or_looks(
    verified: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def after(**options: Any) -> int:
        verified.clear()
        compile_text(**options)
        return len(verified) - 1  # reading the text is one

    count = len(pipeline("cpu")) + 1
    assert after(dump=tmp_path) == count
    # The kernel is verified once more when it goes on by itself.
    assert after(passes=pipeline("cpu").after("dce", Idle())) == count + 1 + 1
    assert after(check=True) >= count
    monkeypatch.setenv("PICOGRAD_VERIFY", "1")
    assert after() == count + 1
    monkeypatch.setenv("PICOGRAD_VERIFY", "ture")
    with pytest.raises(OptionError, match="PICOGRAD_VERIFY says neither yes nor no"):
        compile_text()


def test_a_trusted_pass_that_breaks_ir_is_named_all_the_same(
    verified: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap(self: DCE, ctx: Context, op: ModuleOp) -> None:
        first, second = (inner for inner in op.walk() if isinstance(inner, UnaryOp))
        first.detach()
        Rewriter.insert_op(first, InsertPoint.after(second))

    monkeypatch.setattr(DCE, "apply", swap)
    module = parse_module(TEXT)
    verified.clear()
    with pytest.raises(PassError, match="pass dce left IR that does not verify") as caught:
        compile_module(module, "cpu", cached=False)
    assert caught.value.code == "PG707"
    assert "pico.unary neg" in caught.value.where
    assert verified


def test_what_is_wrong_with_the_program_is_not_looked_for_in_passes(verified: list[int]) -> None:
    module = parse_module(TEXT.replace("f32", "f64"))
    verified.clear()
    with pytest.raises(DTypeError):
        compile_module(module, "reference", passes='legalize_types{target="gpu"}', cached=False)
    assert not verified
