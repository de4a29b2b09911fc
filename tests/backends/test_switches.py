"""Environment variables that turn something on: words that are known, folders, and errors."""

import os
from pathlib import Path

import pytest

from picograd.backends.switches import folder_of, is_on, is_on_or_folder
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import VARIABLE as SANITIZE
from picograd.compiler.executable import compile_module, sanitized
from picograd.compiler.validation.validation import VARIABLE as CHECK
from picograd.compiler.validation.validation import asked_for, folder_for_failures
from picograd.errors import OptionError

NAME = "PICOGRAD_OF_A_TEST"


@pytest.mark.parametrize(
    ("words", "on"),
    [(("1", "true", "On", "YES", " 1 "), True), (("0", "false", "off", "No", "", " "), False)],
)
def test_words_that_are_known(
    words: tuple[str, ...], on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in words:
        monkeypatch.setenv(NAME, word)
        assert is_on(NAME) is on
        assert is_on_or_folder(NAME) is on
        assert folder_of(NAME) is None


def test_what_is_not_set_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    assert not is_on(NAME) and not is_on_or_folder(NAME) and folder_of(NAME) is None


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    for text in ("there", os.path.join(".", "new"), str(tmp_path / "a" / "b")):
        monkeypatch.setenv(NAME, text)
        assert is_on_or_folder(NAME)
        assert folder_of(NAME) == Path(text)
    assert [place.name for place in tmp_path.iterdir()] == ["there"], "nothing is made by asking"


@pytest.mark.parametrize("text", ["garbage", "2", "tru", "file", "./file", "./file/below"])
def test_what_is_no_folder_and_no_word(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("", encoding="utf-8")
    monkeypatch.setenv(NAME, text)
    for ask in (folder_of, is_on_or_folder):
        with pytest.raises(OptionError) as caught:
            ask(NAME)
        error = caught.value
        assert NAME in error.message
        assert (error.code, text in str(error.found), bool(error.hint)) == ("PG801", True, True)


@pytest.mark.parametrize("variable", [CHECK, SANITIZE])
def test_programs_are_not_compiled_while_a_variable_is_mistyped(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = parse_module("func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n"
                          "  %y = pico.unary exp %x : tensor<2xf32>\n"
                          "  func.return %y : tensor<2xf32>\n}")  # fmt: skip
    monkeypatch.setenv(variable, "maybe")
    with pytest.raises(OptionError, match=f"{variable} says neither yes nor no"):
        compile_module(module, "cpu")
    monkeypatch.setenv(variable, "off")
    assert not sanitized() and not asked_for() and folder_for_failures() is None
    assert compile_module(module, "cpu").report.validation is None
