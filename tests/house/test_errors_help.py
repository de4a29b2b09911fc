"""Every error says what to do: each place that makes one passes a hint."""

import ast
from collections.abc import Iterator
from inspect import getmembers, isclass
from pathlib import Path

import pytest

from picograd import errors

PACKAGE = Path(errors.__file__).parents[1]
KINDS = {
    name for name, kind in getmembers(errors, isclass) if issubclass(kind, errors.PicogradError)
}
# They pass on what an op's own verifier says, its remedy included, and add the place in the IR.
WRAPPERS = {"parse_module", "verify_module"}


def constructions(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """The calls that make an error, with the names of the functions around them."""

    def visit(node: ast.AST, function: str) -> Iterator[tuple[str, ast.Call]]:
        if isinstance(node, ast.FunctionDef):
            function = node.name
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) in KINDS:
            yield function, node
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function)

    return visit(ast.parse(path.read_text(encoding="utf-8")), "")


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_every_error_has_a_hint(path: Path) -> None:
    for function, call in constructions(path):
        given = {keyword.arg for keyword in call.keywords}
        verifies = ast.unparse(call.func) == "VerificationError"
        wraps = path.name == "diagnostics.py" and function in WRAPPERS and verifies
        assert "hint" in given or None in given or wraps, f"{path}:{call.lineno} says no remedy"


def test_the_search_finds_errors() -> None:
    found = [call for path in PACKAGE.rglob("*.py") for _, call in constructions(path)]
    assert len(found) > 200
