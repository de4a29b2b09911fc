"""Every error has a code, says what was expected and found, and what to do."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from picograd import errors

PACKAGE = Path(errors.__file__).parents[1]
FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def kinds() -> set[str]:
    """The names of all classes in the package that derive from PicogradError."""
    classes = [node for file in FILES for node in ast.walk(parsed(file))]
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for node in classes
        if isinstance(node, ast.ClassDef)
    }
    known = {"PicogradError"}
    while more := {name for name, above in bases.items() if above & known} - known:
        known |= more
    return known


KINDS = kinds()


def gives_its_own_code(node: ast.ClassDef) -> bool:
    """Whether the class is of one situation, and its constructor says which."""
    calls = [inner for inner in ast.walk(node) if isinstance(inner, ast.Call)]
    return any(
        ast.unparse(call.func) == "super().__init__"
        and any(
            keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
            for keyword in call.keywords
        )
        for call in calls
    )


OF_ONE_SITUATION = {
    node.name
    for file in FILES
    for node in ast.walk(parsed(file))
    if isinstance(node, ast.ClassDef) and node.name in KINDS and gives_its_own_code(node)
}


def constructions(path: Path) -> Iterator[ast.Call]:
    """The calls that make an error."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) in KINDS:
            yield node


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_error_has_all_its_parts(path: Path) -> None:
    for call in constructions(path):
        given = {keyword.arg for keyword in call.keywords}
        if None in given:
            continue
        place = f"{path}:{call.lineno}"
        assert "hint" in given, f"{place} says no remedy"
        assert "code" in given or ast.unparse(call.func) in OF_ONE_SITUATION, f"{place}: no code"
        # xDSL's messages say themselves what was expected.
        if path.name != "diagnostics.py":
            assert {"expected", "found"} <= given, f"{place}: what was expected, and found?"


def test_the_search_finds_errors() -> None:
    assert {"PicogradError", "ShapeError", "UsageError", "SanitizerError"} <= KINDS
    assert sum(1 for path in FILES for _ in constructions(path)) > 450
