"""Taking a pass's docstring apart, and writing what the pass does into it."""

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from picograd.errors import PassError
from picograd.passes import PASSES, Level, Pass
from picograd.study.pass_docs import (
    read_pass_docs,
    run_example,
    summary_of,
    with_new_example,
)

DOCSTRING = """Do something, said in
one sentence.

Before:

```mlir
func.func @main() {
  func.return
}
```

After:

```mlir
// nothing
```

Options: nothing{count=3}

Requires: nothing
at all.

Does not: anything.

Source: nowhere.
"""


@dataclass(frozen=True)
class Nothing(Pass):
    """Has no docstring of its module: the tests give it one."""

    name: ClassVar[str] = "nothing"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR
    count: int = 1

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Nothing."""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that the pass claims to come from."""
    module = ModuleType("a_module_of_the_test", DOCSTRING)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Nothing, "__module__", module.__name__)
    return module


def test_the_parts_of_a_docstring(module: ModuleType) -> None:
    docs = read_pass_docs(Nothing)
    assert docs.summary == "Do something, said in one sentence."
    assert docs.before == "func.func @main() {\n  func.return\n}\n"
    assert docs.after == "// nothing\n"
    assert docs.options == "nothing{count=3}"
    assert docs.requires == "nothing at all."
    assert docs.does_not == "anything."
    assert docs.source == "nowhere."
    assert "After `nothing{count=3}`:" in docs.example()


@pytest.mark.parametrize("part", ["Before:", "After:", "Requires:", "Does not:"])
def test_a_missing_part_is_named(part: str, module: ModuleType) -> None:
    module.__doc__ = DOCSTRING.replace(part, "And also")
    with pytest.raises(PassError, match=f"`{part}`|after `{part}`"):
        read_pass_docs(Nothing)


def test_a_block_that_is_not_ir_is_named(module: ModuleType) -> None:
    module.__doc__ = DOCSTRING.replace("```mlir\nfunc", "```python\nfunc")
    with pytest.raises(PassError, match="`Before:`"):
        read_pass_docs(Nothing)


def test_examples_are_run_and_written_back(module: ModuleType) -> None:
    after = run_example(read_pass_docs(Nothing), {**PASSES, "nothing": Nothing})
    assert after == "func.func @main() {\n  func.return\n}\n"
    source = f"'''{DOCSTRING}'''\nimport this\n"
    module.__doc__ = with_new_example(source, after).split("'''")[1]
    assert read_pass_docs(Nothing).after == after
    assert with_new_example(source, after).endswith("import this\n")


def test_every_pass_has_a_summary() -> None:
    for step in PASSES.values():
        assert summary_of(step).endswith(".")
        assert "\n" not in summary_of(step)
