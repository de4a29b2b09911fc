"""Where a module begins."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from picograd.errors import VerificationError


def entry_of(module: ModuleOp | FuncOp) -> FuncOp:
    """`@main`, or the only function. Raises VerificationError when the module has neither."""
    if isinstance(module, FuncOp):
        return module
    functions = [op for op in module.body.ops if isinstance(op, FuncOp) and not op.is_declaration]
    for function in functions:
        if function.sym_name.data == "main":
            return function
    if len(functions) != 1:
        raise VerificationError(
            "the module has no entry",
            code="PG604",
            expected="a function @main, or one function only",
            found=", ".join("@" + f.sym_name.data for f in functions) or "no function with a body",
            hint="name the entry function @main",
        )
    return functions[0]
