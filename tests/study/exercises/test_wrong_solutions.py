"""Mistakes that people make: each is made in the reference, and rejected for the right reason."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from picograd.compiler.validation.fault import Fault
from picograd.passes import Pass
from picograd.study.exercises import EXERCISES, Exercise
from picograd.study.grader.grade import LITTLE_GAIN, NO_GAIN, grade
from picograd.study.grader.report import report

SIMPLIFY, SWAP, IN_PLACE, PLACE = EXERCISES


@dataclass(frozen=True)
class Wrong:
    """The reference with some of its text changed, and what the grader must say about it."""

    exercise: Exercise
    label: str
    changes: tuple[tuple[str, str], ...]
    reason: str
    says: str = ""

    def make(self) -> Pass:
        text = self.exercise.solution
        for old, new in self.changes:
            assert text.count(old) >= 1, f"{self.label}: the reference has no {old!r}"
            text = text.replace(old, new)
        names: dict[str, object] = {"__name__": type(self.exercise.reference).__module__}
        exec(compile(text, "solution.py", "exec"), names)  # noqa: S102
        made = names[type(self.exercise.reference).__name__]
        assert isinstance(made, type) and issubclass(made, Pass)
        return made()


UNUSED_ARGUMENTS_GO = """
        for function in op.ops:
            function.body.block.erase_arg(function.body.block.args[1])
            function.properties["function_type"] = FunctionType.from_lists(
                function.body.block.arg_types, function.function_type.outputs.data)
            function.properties.pop("arg_attrs", None)
"""
FIRST_ELEMENT = """

def first(value):
    found = array_in(value)
    return None if found is None or not found.size else found.flat[0]
"""

WRONG = (
    Wrong(
        SIMPLIFY,
        "a float times zero is taken for zero",
        (("    if not dtype_of_value(op.a).is_int:\n        return None\n", ""),),
        Fault.VALUES,
        "should be nan",
    ),
    Wrong(
        SIMPLIFY,
        "zero minus x is taken for x",
        (("COMMUTES = (", "COMMUTES = (BinaryKind.SUB, "),),
        Fault.VALUES,
    ),
    Wrong(
        SIMPLIFY,
        "one divided by x is taken for x",
        (("COMMUTES = (", "COMMUTES = (BinaryKind.DIV, "),),
        Fault.VALUES,
    ),
    Wrong(
        SIMPLIFY,
        "of a constant only the first element is looked at",
        (
            ("splat_in(op.b) == NEUTRAL[kind]", "first(op.b) == NEUTRAL[kind]"),
            ("import defining,", "import array_in, defining,"),
            ("COMMUTES = (BinaryKind.ADD, BinaryKind.MUL)", f"COMMUTES = (){FIRST_ELEMENT}"),
        ),
        Fault.VALUES,
    ),
    Wrong(
        SIMPLIFY,
        "any op under a negation is taken for one",
        (("op.kind.data == inner.kind.data == UnaryKind.NEG", "op.kind.data == UnaryKind.NEG"),),
        Fault.VALUES,
    ),
    Wrong(
        SIMPLIFY,
        "zero has the wrong shape",
        (
            ("filled(build, 0, type_of(op.result))", "filled(build, 0, tensor_type((4,), int32))"),
            ("import type_of", "import int32, tensor_type, type_of"),
        ),
        Fault.INVALID,
    ),
    Wrong(
        SIMPLIFY,
        "an argument that nobody reads goes",
        (
            ("(simplify_unary,)})\n", "(simplify_unary,)})\n" + UNUSED_ARGUMENTS_GO),
            ("import ModuleOp", "import FunctionType, ModuleOp"),
        ),
        Fault.SIGNATURE,
        "(tensor<",
    ),
    Wrong(
        SIMPLIFY,
        "it raises",
        (("inner = defining(op.x)", "inner = defining(op.operand)"),),
        Fault.CRASH,
        "no attribute 'operand'",
    ),
    Wrong(
        SIMPLIFY,
        "rules that undo each other",
        (("    if kind in NEUTRAL", "    return build(op.clone())\n    if kind in NEUTRAL"),),
        Fault.CRASH,
        "do not come to an end",
    ),
    Wrong(SIMPLIFY, "only one side is looked at", (("return op.b", "return None"),), LITTLE_GAIN),
    Wrong(
        SWAP,
        "a second reader gets what the first wants",
        (
            (" or not source.has_one_use()", ""),
            (
                "    Rewriter.erase_op(bias)\n",
                ("    for one in (bias, product):\n"
                "        one.outputs[0].replace_all_uses_with(joined.outputs[0])\n"
                "    Rewriter.erase_op(bias)\n"),
            ),
        ),
        Fault.VALUES,
    ),
    Wrong(
        SWAP,
        "a bias of rows is broadcast like one of columns",
        (
            ("isinstance(row, BroadcastOp) and outside(kernel, row.x) is not None", "is_row(row)"),
            ("    return None\n\n\ndef join", "    return None\n\n\ndef join"),
            (
                "return producer(kernel, value) if type_of(row.x).get_num_dims() == 1 else None",
                "return producer(kernel, value)",
            ),
            (
                "            block.add_op(op.clone(inside))\n",
                ("            if isinstance(op, ReshapeOp):\n"
                "                inside[op.result] = inside[op.x]\n"
                "            else:\n"
                "                block.add_op(op.clone(inside))\n"),
            ),
            ("BroadcastOp, MatmulOp\n", "BroadcastOp, MatmulOp, ReshapeOp\n"),
            ("def join", "def is_row(op):\n    return isinstance(op, BroadcastOp)\n\n\ndef join"),
        ),
        Fault.VALUES,
    ),
    Wrong(
        SWAP,
        "a NaN becomes zero",
        (
            (
                "            block.add_op(op.clone(inside))\n",
                ("            copy = op.clone(inside)\n"
                "            block.add_op(copy)\n"
                "            if isinstance(copy, BinaryOp) and kernel is kernels[-1]:\n"
                "                positive = CompareOp('gt', copy.a, copy.b)\n"
                "                chosen = SelectOp(positive, copy.a, copy.b)\n"
                "                block.add_ops([positive, chosen])\n"
                "                inside[op.result] = chosen.result\n"),
            ),
            ("BroadcastOp, MatmulOp\n", "BroadcastOp, CompareOp, MatmulOp, SelectOp\n"),
        ),
        Fault.VALUES,
        "should be nan",
    ),
    Wrong(
        SWAP,
        "any constant is taken for zero",
        (("splat_in(other) == 0", "splat_in(other) is not None"),),
        Fault.RULE,
        "a maximum with 0",
    ),
    Wrong(
        SWAP,
        "any op is taken for a maximum",
        (("or op.kind.data != BinaryKind.MAXIMUM", ""),),
        Fault.RULE,
        "a maximum with 0",
    ),
    Wrong(
        SWAP,
        "the new kernel stands where the product stood",
        (
            (
                "    Rewriter.replace_op(relu, joined)\n",
                ("    Rewriter.insert_op(joined, InsertPoint.before(product))\n"
                "    relu.outputs[0].replace_all_uses_with(joined.outputs[0])\n"
                "    Rewriter.erase_op(relu)\n"),
            ),
            ("import Rewriter", "import InsertPoint, Rewriter"),
        ),
        Fault.INVALID,
    ),
    Wrong(SWAP, "another label", (('"linear_relu"', '"fused"'),), Fault.RULE, "labelled"),
    Wrong(
        SWAP,
        "the product is kept",
        (("    Rewriter.erase_op(product)\n", ""), ("    Rewriter.erase_op(bias)\n", "")),
        NO_GAIN,
    ),
    Wrong(
        IN_PLACE,
        "later readers are forgotten",
        (
            (
                "    if any(operand in other.operands for other in later):\n        return\n",
                "",
            ),
        ),
        Fault.VALUES,
    ),
    Wrong(
        IN_PLACE,
        "only the next kernel is asked",
        (("for other in later)", "for other in later[:1])"),),
        Fault.VALUES,
    ),
    Wrong(
        IN_PLACE,
        "the caller's argument is overwritten",
        (("not isinstance(operand.owner, AllocOp) or ", ""),),
        Fault.RULE,
        "an argument",
    ),
    Wrong(
        IN_PLACE,
        "a constant is overwritten",
        (
            ("(operand.owner, AllocOp)", "(operand.owner, AllocOp | ConstantOp)"),
            ("import AllocOp", "import AllocOp, ConstantOp"),
        ),
        Fault.RULE,
        "writes into a constant",
    ),
    Wrong(
        IN_PLACE,
        "a result of the function is never written",
        (
            (" or not isinstance(result.owner, AllocOp)", ""),
            ("    Rewriter.erase_op(alloc)\n", ("    if isinstance(alloc, AllocOp):\n"
             "        Rewriter.erase_op(alloc)\n")),
        ),
        Fault.VALUES,
    ),
    Wrong(
        IN_PLACE,
        "elements that move are overwritten",
        (("isinstance(a.owner, ReadOp) and ", ""),),
        Fault.RULE,
        "pico.permute",
    ),
    Wrong(IN_PLACE, "memory is not given back", (("    Rewriter.erase_op(alloc)\n", ""),), NO_GAIN),
    Wrong(
        IN_PLACE,
        "memory is given back too early",
        (
            ("    result.replace_all_uses_with(operand)\n    Rewriter.erase_op(alloc)\n",
             "    Rewriter.erase_op(alloc)\n    result.replace_all_uses_with(operand)\n"),
        ),
        Fault.CRASH,
    ),
    Wrong(
        PLACE,
        "a buffer dies as the last kernel begins",
        (("self.first <= other.last and other.first <= self.last",
          "self.first < other.last and other.first < self.last"),),
        Fault.INVALID,
        "overlap",
    ),
    Wrong(
        PLACE,
        "a buffer dies at its first reader",
        (("touching[-1])", "touching[:2][-1])"),),
        Fault.RULE,
        "finds both alive",
    ),
    Wrong(
        PLACE,
        "alignment is ignored",
        (("ALIGNMENT = 64", "ALIGNMENT = 8"),),
        Fault.RULE,
        "no multiple of 64",
    ),
    Wrong(
        PLACE,
        "elements are taken for bytes",
        (("nbytes_of(alloc.result.type)", "alloc.result.type.element_count()"),),
        Fault.INVALID,
    ),
    Wrong(
        PLACE,
        "the arena is too small",
        (("max(offset + life.size for offset, life in taken)",
          "max(life.size for offset, life in taken)"),),
        Fault.INVALID,
        "inside the arena",
    ),
    Wrong(
        PLACE,
        "one buffer is left out",
        (("lives = [life_of(alloc, kernels) for alloc in allocs]",
          "lives = [life_of(alloc, kernels) for alloc in allocs[1:] or allocs]"),),
        Fault.RULE,
        "still a buffer.alloc",
    ),
    Wrong(
        PLACE,
        "every buffer has a place of its own",
        (("        return self.first", "        return True or self.first"),),
        NO_GAIN,
    ),
    Wrong(
        PLACE,
        "every buffer goes behind all that it meets",
        (("                break\n", "                pass\n"),
         ("key=lambda life: -life.size", "key=lambda life: life.size")),
        LITTLE_GAIN,
    ),
    Wrong(
        PLACE,
        "it raises where there is nothing to place",
        (("                if allocs:\n", "                if allocs is not None:\n"),),
        Fault.CRASH,
    ),
)  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda one: f"{one.exercise.number} {one.label}")
def test_a_mistake_is_rejected_for_the_right_reason(wrong: Wrong) -> None:
    found = grade(wrong.exercise, wrong.make(), "solution.py")
    text = report(wrong.exercise, found)
    assert found.reason == wrong.reason, text
    assert wrong.says in text
    assert "not yet" in text
    if found.reason in (Fault.VALUES, Fault.RULE, Fault.INVALID):
        assert found.before and found.after
        assert len(text.splitlines()) < 60, text
    if found.reason == Fault.CRASH:
        assert found.place.startswith("solution.py:") or "come to an end" in text


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)
def test_there_are_mistakes_enough(exercise: Exercise) -> None:
    assert sum(wrong.exercise is exercise for wrong in WRONG) >= 5


def test_the_page_shows_what_is_printed() -> None:
    (wrong,) = (one for one in WRONG if one.label == "a float times zero is taken for zero")
    printed = report(wrong.exercise, grade(wrong.exercise, wrong.make()))
    page = Path(__file__).parents[3] / "docs" / "exercises" / "index.md"
    (shown,) = re.findall(
        r"```text\n(Exercise 1.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
    )
    assert printed.startswith(shown.rstrip())


def test_a_counterexample_is_small() -> None:
    (wrong,) = (one for one in WRONG if one.label == "a float times zero is taken for zero")
    found = grade(wrong.exercise, wrong.make())
    assert found.before.count("pico.") - found.before.count("pico.name") <= 2
