"""Large cases become small ones that fail alike: the same fault, by the same rule on such an op."""

from collections.abc import Sequence

import numpy as np
import pytest

from picograd.check.oracle import Case, Failure, examine, missing
from picograd.check.reduce.look import Seen, family_of, look_here
from picograd.check.reduce.pass_lists import lacks
from picograd.check.reduce.reducer import count_ops, reduce, smaller
from picograd.check.reduce.search import Program
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.fault import Fault
from picograd.dialects.literals import Array
from picograd.errors import CompileError
from picograd.passes import CSE, DCE, Canonicalize, LowerReduce, Pass
from picograd.semantics.evaluate import entry_of
from tests.check.reduce.wrong_passes import (
    Crash,
    DropResult,
    TwoFaults,
    WrongShape,
    WrongValue,
    case_of,
    failing,
)

LARGE = """
func.func @main(%x: tensor<9x14xf64>, %i: tensor<5xi64>) -> (tensor<9xf64>, tensor<14x9xf64>) {
  %e = pico.unary exp %x : tensor<9x14xf64>
  %t = pico.unary tanh %e : tensor<9x14xf64>
  %p = pico.binary mul %t, %x : tensor<9x14xf64>
  %s = pico.reduce add %p axes [1] : tensor<9x14xf64> -> tensor<9xf64>
  %q = pico.unary sqrt %s : tensor<9xf64>
  %r = pico.permute %p by [1, 0] : tensor<9x14xf64> -> tensor<14x9xf64>
  func.return %q, %r : tensor<9xf64>, tensor<14x9xf64>
}
"""


def test_an_interrupted_search_keeps_what_it_has() -> None:
    case, failure = next(failing(Pipeline((CSE(), WrongValue(), DCE())), ops=60, seed=3))
    told: list[str] = []
    looks = 0

    def look(case: Case, like: Failure | None) -> Seen | None:
        nonlocal looks
        looks += 1
        if looks == 12:
            raise KeyboardInterrupt
        return look_here(case, like)

    small = reduce(case, failure, look=look, tell=told.append)
    assert looks == 12
    assert "interrupted: this is the smallest so far" in told
    assert examine(small) is not None
    assert count_ops(small.module) < count_ops(case.module)


@pytest.mark.parametrize(
    ("step", "fault", "most"),
    [
        (WrongValue(), Fault.VALUES, 1),
        (WrongShape(), Fault.INVALID, 2),
        (Crash(), Fault.CRASH, 1),
        (DropResult(), Fault.SIGNATURE, 2),
    ],
)
def test_large_random_modules_become_small(step: Pass, fault: Fault, most: int) -> None:
    passes = Pipeline((CSE(), step, DCE()))
    case, failure = next(failing(passes, ops=60, seed=3))
    family = family_of(case)
    small = reduce(case, failure)
    again = examine(small)
    assert failure.fault == fault
    assert again is not None and again.alike(failure)
    assert family_of(small) == family
    assert count_ops(case.module) >= 40 and count_ops(small.module) <= most, str(small.module)
    assert small.passes == (step,)


def test_three_hundred_ops_become_one() -> None:
    chain = ["%v0 = pico.unary neg %x : tensor<4xf32>"]
    for number in range(1, 300):
        kind = "mul" if number == 170 else "add" if number % 3 else "maximum"
        chain.append(f"%v{number} = pico.binary {kind} %v{number - 1}, %x : tensor<4xf32>")
    text = "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n" + "\n".join(chain)
    case = case_of(text + "\nfunc.return %v299 : tensor<4xf32>\n}", WrongValue())
    failure = examine(case)
    assert failure is not None
    small = reduce(case, failure)
    (op, _) = entry_of(small.module).body.block.ops
    assert "pico.binary mul" in str(op)


def test_all_that_is_left_is_simple() -> None:
    case = case_of(LARGE, Canonicalize(), WrongValue(often=False), DCE())
    failure = examine(case)
    assert failure is not None
    small = reduce(case, failure)
    assert str(small.passes) == "wrong_value"
    function = entry_of(small.module)
    assert [str(argument.type) for argument in function.args] == ["tensor<f32>"] * 2
    assert {float(array) for array in small.inputs} <= {0.0, 1.0}


def test_a_wrong_value_does_not_slip_into_a_crash() -> None:
    case = case_of(LARGE, TwoFaults())
    failure = examine(case)
    assert failure is not None and failure.fault == Fault.VALUES
    small = reduce(case, failure)
    again = examine(small)
    assert again is not None and again.fault == Fault.VALUES
    assert all(argument.type.get_shape() for argument in entry_of(small.module).args)  # type: ignore[attr-defined]
    assert family_of(small) == "product_to_sum on pico.binary mul"


def test_no_candidate_that_is_taken_fails_otherwise() -> None:
    """The reducer may take only what it was told fails alike, by the same rule."""
    case = case_of(LARGE.replace("sqrt", "neg").replace("tanh", "abs"), TwoFaults())
    failure = examine(case)
    assert failure is not None
    alike: list[str] = []

    def look(case: Case, like: Failure | None) -> Seen | None:
        seen = look_here(case, like)
        if seen is not None and seen.family == "product_to_sum on pico.binary mul":
            alike.append(str(case.module))
        return seen

    small = reduce(case, failure, look=look)
    assert str(small.module) == alike[-1]


def test_one_rules_mistake_does_not_slip_into_anothers() -> None:
    """Two rules are wrong; the rewrite that is to blame at first is to blame at the end."""
    families: set[str] = set()
    for first, second in (("mul", "div"), ("div", "mul")):
        text = LARGE.replace("binary mul", f"binary {first}")
        case = case_of(text.replace("unary sqrt %s", f"binary {second} %s, %s"), TwoFaults())
        failure = examine(case)
        assert failure is not None
        families.add(family_of(case))
        assert family_of(reduce(case, failure)) == family_of(case)
    assert len(families) == 2


def test_what_is_small_already_stays() -> None:
    text = """
    func.func @main(%x: tensor<f32>, %y: tensor<f32>) -> tensor<f32> {
      %z = pico.binary mul %x, %y : tensor<f32>
      func.return %z : tensor<f32>
    }
    """
    case = case_of(text, WrongValue())
    case = Case(case.module, (np.zeros((), np.float32), np.ones((), np.float32)), case.passes)
    failure = examine(case)
    assert failure is not None
    small = reduce(case, failure)
    assert count_ops(small.module) == 1 and len(small.inputs) == 2


def test_what_does_not_fail_is_not_reduced() -> None:
    case = case_of(LARGE, Canonicalize())
    failure = Failure(Fault.VALUES, "canonicalize", 0, "")
    assert reduce(case, failure) is case


def test_the_same_case_gives_the_same_result() -> None:
    texts: set[str] = set()
    for _ in range(2):
        case = case_of(LARGE, WrongShape())
        failure = examine(case)
        assert failure is not None
        texts.add(str(reduce(case, failure).module))
    assert len(texts) == 1


def test_a_program_shrinks_for_any_reason() -> None:
    """`smaller` knows no passes: here, whatever computes a tanh of something large fails."""
    case = case_of(LARGE)

    def fails(module: object, inputs: Sequence[Array]) -> bool:
        return "tanh" in str(module)

    found = smaller(Program(case.module, case.inputs), fails)
    assert count_ops(found.module) == 1
    assert [array.shape for array in found.inputs] == [()]


def test_nothing_is_tried_when_the_time_is_over() -> None:
    case = case_of(LARGE, WrongValue())
    failure = examine(case)
    assert failure is not None
    assert str(reduce(case, failure, seconds=0.0).module) == str(case.module)


WAY_TO_LOOPS = (
    "legalize_types{target=gpu},outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops"
)


@pytest.mark.parametrize(
    ("left", "is_lacking"),
    [
        ("", False),  # then the device's own pipeline runs
        ("canonicalize,legalize_types{target=gpu}", False),
        ("canonicalize,cse", False),
        ("legalize_types{target=gpu},outline_kernels", False),
        ("outline_kernels,lower_kernels_to_buffers", True),
        (WAY_TO_LOOPS, True),
    ],
)
def test_passes_that_a_device_needs_do_not_go_while_it_refuses_what_they_leave(
    left: str, is_lacking: bool
) -> None:
    whole = pipeline("gpu")
    text = "func.func @main(%x: tensor<2xi8>) -> tensor<2xi8> { func.return %x : tensor<2xi8> }"
    module = parse_module(text)
    x = np.array([3, -7], np.int8)
    assert lacks(Case(module, (x,), as_passes(left), "gpu"), whole) == is_lacking
    assert not lacks(Case(module, (x,), whole, "gpu"), whole)
    assert not lacks(Case(module, (x,), as_passes(left)), whole)


def test_passes_for_another_kind_of_machine_do_not_count() -> None:
    module = parse_module("func.func @main() { func.return }")
    for_gpu = as_passes("legalize_types{target=gpu},outline_kernels")
    for_cpu = as_passes("legalize_types,outline_kernels")
    assert lacks(Case(module, (), for_cpu, "gpu"), for_gpu)
    assert not lacks(Case(module, (), for_gpu, "gpu"), for_gpu)
    assert not lacks(Case(module, (), for_cpu, "cpu"), for_cpu)


ROWS = """
func.func @main(%x: tensor<3x2xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %e = pico.unary exp %x : tensor<3x2xf32>
  %s = pico.reduce add %e axes [1] : tensor<3x2xf32> -> tensor<3xf32>
  %q = pico.unary sqrt %s : tensor<3xf32>
  func.return %q, %s : tensor<3xf32>, tensor<3xf32>
}
"""


def leave_alone(*arguments: object) -> None:
    """A pass that forgets what it is there for."""


def test_a_refusal_of_a_whole_pipeline_does_not_slip_into_one_of_an_incomplete_pipeline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LowerReduce, "apply", leave_alone)
    given = case_of(ROWS, *pipeline("cpu"), device="cpu")
    failure = examine(given)
    assert failure is not None and isinstance(failure.error, CompileError)
    small = reduce(given, failure, seconds=20)
    again = examine(small)
    assert again is not None and again.alike(failure)
    assert not missing(small)
    assert len(small.passes) < len(given.passes)
    assert count_ops(small.module) < count_ops(given.module)
