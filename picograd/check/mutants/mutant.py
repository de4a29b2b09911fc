"""A mutant: one function of picograd's with one place in it made wrong, for as long as it is asked.

    mutant = Mutant(
        "double_negation",
        "picograd.passes.rules.algebra:undo_unary",
        "neg neg x becomes neg x",
        "return inner.x",
        "return op.x",
        ...
    )
    with applied(mutant):
        ...  # whoever calls undo_unary, by whatever name, calls the wrong one

The wrong variant is the file's own text with one passage exchanged. The file is compiled anew, and
the function takes over the code of its twin in there. So the function stays the same object:
tables, methods and modules that imported it by name all see the change, and all see it undone.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Generator
from contextlib import contextmanager
from difflib import get_close_matches
from types import CodeType, FunctionType
from typing import Any, cast

from picograd.backends.disk.settings import SWITCH
from picograd.check.mutants.killer import Killer
from picograd.compiler.validation.fault import Fault
from picograd.errors import OptionError
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One named function, what is wrong with it now, and who is expected to notice how."""

    name: str
    target: str
    """Module and function, `picograd.passes.cse:number_of`; methods as `module:Class.method`."""
    wrong: str
    """What is wrong, in a few words."""
    old: str
    """A passage of the function's text that occurs in it once."""
    new: str
    """What stands in its place."""
    killer: Killer
    fault: Fault
    """As what the killer is expected to see it."""
    blames: str = ""
    """The pass or device that the killer is expected to name; "" where it names none."""


@contextmanager
def applied(mutant: Mutant) -> Generator[None]:
    """The function is the wrong one inside of the `with`, and itself again after it.

    Raises OptionError where there is no such function, or no such passage in it.
    """
    holder = find(mutant.target)
    function = innermost(holder)
    wrong = mutated_code(mutant, function)
    right = function.__code__
    kept = os.environ.get(SWITCH)
    os.environ[SWITCH] = "0"  # programs on disk are told apart by sources, which say nothing of it
    function.__code__ = wrong
    _forget(holder)
    try:
        yield
    finally:
        function.__code__ = right
        _forget(holder)
        if kept is None:
            del os.environ[SWITCH]
        else:
            os.environ[SWITCH] = kept


def find(target: str) -> Any:
    """The function, method or property that a target names. Raises OptionError."""
    module_name, _, path = target.partition(":")
    try:
        found: object = importlib.import_module(module_name)
    except ImportError as error:
        raise OptionError(
            f"there is no module {module_name!r}",
            code="PG716",
            expected="a target such as picograd.passes.cse:number_of",
            found=repr(target),
            hint="name a module of picograd's",
        ) from error
    for name in path.split("."):
        inside: dict[str, object] = dict(vars(found))
        if name not in inside:
            close = get_close_matches(name, inside, n=1)
            raise OptionError(
                f"{module_name} has no {path}",
                code="PG716",
                expected="the name of a function, or of a class and its method",
                found=repr(target),
                hint=f"did you mean {close[0]!r}?" if close else "see the module's source",
            )
        found = inside[name]
    return found


def innermost(holder: Any) -> FunctionType:
    """The function inside of properties, caches and decorators."""
    for name in ("fget", "func", "__func__", "__wrapped__"):
        while (inner := getattr(holder, name, None)) is not None:
            holder = inner
    if not isinstance(holder, FunctionType):
        raise OptionError(
            "only functions can be mutated",
            code="PG716",
            expected="a function or a method written in Python",
            found=f"{holder!r}",
            hint="mutate the function that reads it",
        )
    return holder


def _forget(holder: Any) -> None:
    """What a cached function knows was computed by its other variant."""
    clear = getattr(holder, "cache_clear", None)
    if clear is not None:
        clear()


def mutated_code(mutant: Mutant, function: FunctionType) -> CodeType:
    """The code of the function as the mutant has it. Raises OptionError."""
    file = inspect.getsourcefile(function)
    assert file is not None
    lines, _ = inspect.findsource(function)
    first = function.__code__.co_firstlineno
    own = "".join(inspect.getblock(lines[first - 1 :]))
    count = own.count(mutant.old)
    if count != 1:
        raise OptionError(
            f"the mutant {mutant.name} does not fit {mutant.target} any more",
            code="PG716",
            expected=f"the passage {mutant.old!r} once in the function",
            found=f"it occurs {count} times",
            hint="the function has changed: change the mutant's passage too",
        )
    before, after = "".join(lines[: first - 1]), "".join(lines[first - 1 :])
    text = before + after.replace(mutant.old, mutant.new, 1)
    try:
        whole = compile(text, file, "exec")
    except SyntaxError as error:
        raise OptionError(
            f"the mutant {mutant.name} is no Python: {error.msg}",
            code="PG716",
            expected="a passage that fits in the place of the old one",
            found=mutant.new,
            hint="write it with the indentation of the function",
        ) from error
    code = _code_at(whole, function.__code__.co_qualname, first)
    if code is None or code.co_freevars != function.__code__.co_freevars:
        raise OptionError(
            f"the mutant {mutant.name} is another function than {mutant.target}",
            code="PG716",
            expected=f"the free variables {function.__code__.co_freevars}",
            found="none such" if code is None else f"{code.co_freevars}",
            hint="leave the first line and the variables from outside as they are",
        )
    return code


def _code_at(code: CodeType, qualname: str, line: int) -> CodeType | None:
    """The code of a function inside of some code, by its name and first line."""
    for inner in cast("tuple[object, ...]", code.co_consts):
        if not isinstance(inner, CodeType):
            continue
        if inner.co_qualname == qualname and inner.co_firstlineno == line:
            return inner
        found = _code_at(inner, qualname, line)
        if found is not None:
            return found
    return None
