"""Error bounds of modules below the tensors: they hold, they bite, and they follow doubt."""

import numpy as np
import pytest
from hypothesis import given
from xdsl.dialects.builtin import ModuleOp

from picograd.check.generation.strategy import Sample, samples
from picograd.check.meaning import WAY_TO
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import as_passes
from picograd.compiler.validation.error import ValidationError
from picograd.compiler.validation.expectation import types_in_float64
from picograd.compiler.validation.signature import signature_of
from picograd.compiler.validation.validator import Validator
from picograd.dialects.dtypes import bool_, float32, float64, int32, int64
from picograd.dialects.literals import Array
from picograd.passes import Level
from picograd.semantics.accuracy import CPU, FLOAT64
from picograd.semantics.bounds import judge
from picograd.semantics.bounds_levels import analyse_memory
from picograd.semantics.evaluate import entry_of, evaluate
from tests.compiler.validation.spoiling import SpoilLoops

DTYPES = (float32, int32, bool_, int64, float64)


def lowered(module: ModuleOp, level: Level) -> ModuleOp:
    module = module.clone()
    run_pipeline(module, as_passes(WAY_TO[level]))
    return module


@pytest.mark.parametrize("level", [Level.BUFFER, Level.LOOP])
def test_evaluations_of_every_level_lie_within(level: Level) -> None:
    @given(samples(fewest_ops=4, dtypes=DTYPES))
    def run(sample: Sample) -> None:
        module, inputs = lowered(sample.module, level), sample.inputs
        function = entry_of(module)
        found = analyse_memory(function, inputs, CPU)
        types = list(signature_of(function).results)
        for root in (module, sample.module):
            report = judge(found, types, evaluate(root, [a.copy() for a in inputs]))
            assert not report.excesses, report
        close = analyse_memory(function, inputs, FLOAT64)
        for root in (module, sample.module):
            wide = evaluate(root, [a.copy() for a in inputs], precision="float64")
            report = judge(close, types_in_float64(wide), wide)
            assert not report.excesses, report

    run()


KERNEL = """
loop.kernel @k(%x: memref<6x5xf32>, %y: memref<6xf32>) {
  loop.parallel %i = 0 to 6 {
    %sum = loop.reduce add %j = 0 to 5 : f32 {
      %v = loop.load %x[%i, %j] : memref<6x5xf32>
      %e = math.exp %v : f32
      loop.yield %e : f32
    }
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %c = loop.compare gt %sum, %one : f32
    %r = loop.select %c, %sum, %zero : f32
    loop.store %r, %y[%i] : f32, memref<6xf32>
  }
}
func.func @main(%x: memref<6x5xf32>, %y: memref<6xf32> {buffer.output}) {
  loop.launch @k(%x, %y) : memref<6x5xf32>, memref<6xf32>
  func.return
}
"""


def kernel_inputs(rng: np.random.Generator) -> list[Array]:
    return [rng.normal(size=(6, 5)).astype(np.float32)]


def test_a_kernel_written_by_hand_has_budgets_that_bite(rng: np.random.Generator) -> None:
    inputs = kernel_inputs(rng)
    module = parse_module(KERNEL)
    passes = as_passes('tile_loops{sizes="i=4 j=2"},lower_reduce,expand_math,unroll_tiles')
    run_pipeline(module, passes, instruments=[Validator(module, [inputs])], facts=None)
    for number in range(4):
        module = parse_module(KERNEL)
        with pytest.raises(ValidationError):
            watch = Validator(module, [inputs])
            run_pipeline(module, [SpoilLoops(number)], instruments=[watch], facts=None)


def test_a_straddled_condition_lets_the_result_be_either(rng: np.random.Generator) -> None:
    module = parse_module(KERNEL.replace("arith.constant 1.0", "arith.constant 5.0"))
    inputs = [np.zeros((6, 5), np.float32)]
    inputs[0][1:] = rng.normal(size=(5, 5))
    (found,) = analyse_memory(entry_of(module), inputs, CPU)
    # The first row's sum is 5, as far as float32 can tell.
    assert found.error[0] >= 5
    assert (found.error[1:] < 1e-4).all()


def test_a_doubtful_integer_in_memory_makes_all_unknown() -> None:
    module = parse_module("""
    loop.kernel @k(%x: memref<2xf32>, %y: memref<2xi32>) {
      loop.parallel %i = 0 to 2 {
        %v = loop.load %x[%i] : memref<2xf32>
        %e = math.exp %v : f32
        %n = arith.fptosi %e : f32 to i32
        loop.store %n, %y[%i] : i32, memref<2xi32>
      }
    }
    func.func @main(%x: memref<2xf32>, %y: memref<2xi32> {buffer.output}) {
      loop.launch @k(%x, %y) : memref<2xf32>, memref<2xi32>
      func.return
    }
    """)
    function = entry_of(module)
    (sure,) = analyse_memory(function, [np.array([0.5, 1.5], np.float32)], CPU)
    (unsure,) = analyse_memory(function, [np.array([0.0, 1.5], np.float32)], CPU)
    assert not sure.doubtful.any()
    assert unsure.doubtful.all()
