"""Notes at arguments: which are kept, and which contradict one another."""

import pytest

from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.dialects.argument_notes import KEPT, kept_arguments
from picograd.dialects.structure_digest import structure_digest
from picograd.errors import VerificationError
from picograd.semantics.evaluate import entry_of

TEXT = """builtin.module {
  func.func @main(%x: tensor<3xf32>, %w: tensor<3xf32> {pico.kept, pico.name = "w"})
      -> tensor<3xf32> {
    %y = pico.binary mul %x, %w : tensor<3xf32>
    func.return %y : tensor<3xf32>
  }
}
"""


def test_kept_arguments_in_order() -> None:
    function = entry_of(parse_module(TEXT))
    assert kept_arguments(function) == (function.args[1],)
    assert parse_module(str(parse_module(TEXT))).is_structurally_equivalent(parse_module(TEXT))


def test_a_function_without_notes_keeps_nothing() -> None:
    text = TEXT.replace(' {pico.kept, pico.name = "w"}', "")
    assert kept_arguments(entry_of(parse_module(text))) == ()


def test_the_note_tells_modules_apart() -> None:
    other = parse_module(TEXT.replace("pico.kept, ", ""))
    assert structure_digest(parse_module(TEXT)) != structure_digest(other)


@pytest.mark.parametrize(
    ("notes", "found"),
    [
        ("pico.kept, pico.donated = 0", "pico.donated"),
        ("pico.kept = 1", "has a value"),
        ("pico.kept, buffer.output", "buffer.output"),
    ],
)
def test_a_note_that_cannot_be(notes: str, found: str) -> None:
    with pytest.raises(VerificationError, match=found) as caught:
        verify_module(parse_module(TEXT.replace("pico.kept", notes)))
    assert "argument 1 of @main" in str(caught.value) and KEPT in str(caught.value)
