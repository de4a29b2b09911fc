"""Files that register ops: every command reads modules with such ops, and judges them.

What a file registers stays in the process, so each test has one of its own.
"""

import subprocess
import sys
from pathlib import Path

import pytest

CUBES = '''
from typing import ClassVar

from xdsl.irdl import irdl_op_definition

from picograd.compiler.extension import register_elementwise
from picograd.dialects.dtypes import dtype_of
from picograd.dialects.tensor import TensorOp
from picograd.dialects.tensor_base import tensor_operand
from picograd.passes.lowering.arithmetic import binary
from picograd.semantics.bounded import rounding, settle
from picograd.semantics.gradient_call import NotDifferentiable
from picograd.semantics.tensor import evaluate_op


@irdl_op_definition
class CubeOp(TensorOp):
    """x * x * x"""

    name = "pico.cube"
    x = tensor_operand()
    assembly_format = "$x attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x):
        self._build((x,), {})

    @classmethod
    def infer(cls, operand_types, properties):
        return operand_types[0]


def bound(op, operands, accuracy):
    (x,) = operands
    dtype = dtype_of(op.result.type)
    value = evaluate_op(op, [x.value], "float64")
    error = 4 * x.error * x.magnitude**2 + rounding(value, dtype, 4, False) + 1e-30
    return settle(value, error, dtype, lost=x.lost, doubtful=x.doubtful, peak=abs(value),
                  nonfinite=accuracy.nonfinite)


def lower(op, index, at):
    x = at.element(op.x, index)
    return binary(at, "OP", binary(at, "mul", x, x), x)


register_elementwise(
    CubeOp,
    evaluate=lambda op, operands, precision: operands[0] * operands[0] * operands[0],
    bound=bound,
    gradient=NotDifferentiable("only a test"),
    lower=lower,
)
'''

MODULE = """func.func @main(%x: tensor<5xf32>) -> tensor<5xf32> {
  %y = pico.cube %x : tensor<5xf32> -> tensor<5xf32>
  %z = pico.unary tanh %y : tensor<5xf32>
  func.return %z : tensor<5xf32>
}
"""


def picograd(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "picograd", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "right.py").write_text(CUBES.replace("OP", "mul"), encoding="utf-8")
    (tmp_path / "wrong.py").write_text(CUBES.replace("OP", "add"), encoding="utf-8")
    (tmp_path / "module.mlir").write_text(MODULE, encoding="utf-8")
    return tmp_path


def test_nobody_is_to_blame_for_a_right_op(folder: Path) -> None:
    done = picograd(folder, "blame", "module.mlir", "--load", "right.py", "--device", "cpu")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_wrong_lowering_is_blamed_and_made_small(folder: Path) -> None:
    done = picograd(folder, "reduce", "module.mlir", "--load", "wrong.py", "-o", "small")
    assert done.returncode == 1, done.stderr
    assert "blame:    lower_buffers_to_loops on" in done.stdout
    assert "to 1 op" in done.stdout
    again = picograd(folder, "blame", "small/reduced.mlir")
    assert "lower_buffers_to_loops is to blame" in again.stdout, again.stderr


def test_a_file_registers_once_however_often_it_is_named(folder: Path) -> None:
    words = ["fuzz", "--load", "right.py", "--cases", "1", "--seed", "0", "--jobs", "1"]
    done = picograd(folder, *words, "--devices", "reference", "--themes", "scalars")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("rule", "passage", "command"),
    [
        ("evaluate", "operands[0] * operands[0] * operands[0]", "opt module.mlir --run"),
        ("bound", "rounding(value, dtype, 4, False)", "blame module.mlir --passes cse"),
        ("lower", "at.element(op.x, index)", "opt module.mlir --passes {}"),
    ],
)
def test_a_rule_that_raises_is_told_as_the_users(
    rule: str, passage: str, command: str, folder: Path
) -> None:
    assert passage in CUBES
    text = CUBES.replace("OP", "mul").replace(passage, "1 // 0")
    (folder / "raises.py").write_text(text, encoding="utf-8")
    lowering = "outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops"
    done = picograd(folder, *command.format(lowering).split(), "--load", "raises.py")
    assert done.returncode != 0
    line = text.partition("1 // 0")[0].count("\n") + 1
    assert "[PG718]" in done.stderr, done.stderr
    assert f"the rule `{rule}` of pico.cube failed: ZeroDivisionError" in done.stderr
    assert f"raises.py:{line}" in done.stderr
    assert "bug in picograd" not in done.stderr
