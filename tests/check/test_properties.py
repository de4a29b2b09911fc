"""For every pass, on random modules after random legal passes: meaning, verification, text.

For every device, that what it computes from a random module is what the module means.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue
from xdsl.parser import Parser

from picograd.backends.runtime import device as find_device
from picograd.check.generation.makers import MAKERS
from picograd.check.generation.orders import Walk, suits
from picograd.check.generation.sketch import SIZES
from picograd.check.generation.strategy import Sample, samples
from picograd.compiler.diagnostics import verify_module
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.dialects import new_context
from picograd.dialects.buffer import outputs_of
from picograd.dialects.dtypes import DType, bool_, float32, float64, from_ir, int32, int64, type_of
from picograd.dialects.literals import Array
from picograd.passes import PASSES, Level, Pass
from picograd.semantics.accuracy import ACCURACY, Accuracy
from picograd.semantics.accuracy import CPU as HOST
from picograd.semantics.bounds import compare
from picograd.semantics.evaluate import entry_of, evaluate

# Machines so small that modules of a few hundred elements have reason to be tiled and split.
CPU = "cpu:vector_bits=128,vector_registers=16,cores=3,l1_bytes=512,l2_bytes=1024,l3_bytes=4096"
GPU = "gpu"
# Machines with less of one thing or another than the devices have.
NARROW = {
    "cpu": (
        "cpu:vector_bits=128,vector_registers=8,cores=1",
        "cpu:vector_bits=256,vector_registers=16,cores=5",
        CPU,
    ),
    "gpu": (
        "gpu:storage_buffers=3",
        "gpu:storage_buffers=4,workgroup_bytes=4096",
        "gpu:workgroup_bytes=1024,max_invocations=32",
    ),
}
# Of each property, in the profile `ci`; `explore` draws more, in proportion.
EXAMPLES = 40
CI_EXAMPLES = 50
# So many samples a pass must change, so that its property does not hold vacuously. What Hypothesis
# draws hangs on the sources that are loaded, so where the first samples are too few others follow.
LEAST_CHANGED = 8
MOST_ROUNDS = 6
# Passes that write notes only, where modules are larger than those drawn here: their own tests tell
# that they do. What notes mean is nothing, so that all of it holds here too.
NOTES = frozenset({"prefetch_rows", "stream_stores"})
# The share of samples of which more than 1 % of the elements may be decided either way.
MOST_UNDECIDED = 0.25


@dataclass(frozen=True)
class Work:
    """What samples contain, so that a pass finds work; by default everything."""

    kinds: tuple[str, ...] = tuple(MAKERS)
    sizes: tuple[int, ...] = SIZES


_LOOPS = ("matmul", "reduce", "broadcast", "binary", "permute")
# Little beside rows, so that their reductions are what the results hang on.
_LONG_ROWS = Work(("rows", "rows", "rows", "rows", "smooth"), (100, 67, 81))
WORK = {
    # Among so many kinds of ops chance alone seldom makes two that are equal.
    "cse": Work((*MAKERS, *("repeat",) * 12)),
    "pack_constants": Work(("weights", "weights", "weights", "binary", "smooth"), (7, 5, 3)),
    "merge_launches": Work(("scan", "scan", "binary", "smooth"), (7, 5, 20)),
    "hoist_reduce": Work(("reduce", "matmul", "rows"), (7, 5, 8)),
    "merge_reduce": Work(("smooth", "smooth", "rows", "rows", "rows", "rows"), (7, 5)),
    "split_loops": Work(("pad", "concat", "slice", "binary"), (7, 5, 20)),
    "split_reduce": Work(("reduce", "rows"), (7, 5, 8)),
    "stage_operands": Work(_LOOPS, (7, 5, 3)),
    "vectorize_loops": Work((*_LOOPS, "scan")),
    "lower_reduce": Work(("reduce", "matmul", "rows"), (7, 5, 3)),
    "unroll_tiles": Work(("rows", "reduce", "matmul"), (7, 5, 8)),
    "round_up_loops": Work(("binary", "broadcast", "matmul"), (7, 5, 13)),
    "tree_reduce": _LONG_ROWS,
    "insert_barriers": _LONG_ROWS,
    "expand_math": Work(("smooth", "smooth", "smooth", "smooth", "rows", "matmul")),
}

EVERYTHING: tuple[DType, ...] = (float32, int32, bool_, int64, float64)
NO_DOUBLES: tuple[DType, ...] = (float32, int32, bool_, int64)


@dataclass
class Tally:
    """What a property saw."""

    samples: int = 0
    changed: int = 0
    compared: int = 0
    undecided: int = 0

    def check(self, least_changed: int = 0) -> None:
        """The samples say something. Of those that nobody has seen before chance decides."""
        if settings().derandomize:
            assert self.undecided <= MOST_UNDECIDED * self.compared, self
            assert self.changed >= least_changed, self


def property_of(
    check: Callable[[Sample, Random], None],
    dtypes: tuple[DType, ...],
    work: Work | None = None,
    examples: int = EXAMPLES,
    number: int = 0,
) -> None:
    """Run a check on samples of a few ops, which the profile draws; in `ci` by the round's number.

    Orders and options come from a seed: bits that Hypothesis prefers small would mostly choose the
    first of everything.
    """
    work = work or Work()
    drawn = samples(fewest_ops=4, dtypes=dtypes, makers=work.kinds, sizes=work.sizes)

    @settings(
        max_examples=examples * settings().max_examples // CI_EXAMPLES,
        database=None,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )
    @given(drawn, st.integers(0, 2**64 - 1))
    def run(sample: Sample, seed_of_order: int) -> None:
        check(sample, Random(seed_of_order))

    (seed(number)(run) if settings().derandomize else run)()


def fitted(inputs: list[Array], module: ModuleOp) -> list[Array]:
    """The inputs in the dtypes that the module takes: legalized modules take narrower integers."""
    function = entry_of(module)
    outputs = outputs_of(function)
    types = [argument.type for argument in function.args if argument not in outputs]
    wanted = [from_ir(t.element_type).numpy for t in types]  # pyright: ignore
    return [np.asarray(a, dtype) for a, dtype in zip(inputs, wanted, strict=True)]


def fits_32_bits(sample: Sample) -> bool:
    """Whether no 64-bit integer that a module computes leaves 32 bits."""
    module = sample.module.clone()
    (function,) = (op for op in module.ops if isinstance(op, FuncOp))
    wide: list[SSAValue] = [
        result
        for op in function.body.block.ops
        for result in op.results
        if type_of(result).element_type == int64.ir
    ]
    terminator = function.body.block.last_op
    assert isinstance(terminator, ReturnOp)
    terminator.operands = wide
    limits = np.iinfo(np.int32)
    values = evaluate(module, sample.inputs)
    return all(((v >= limits.min) & (v <= limits.max)).all() for v in values)


def check_meaning(sample: Sample, walk: Walk, tally: Tally) -> None:
    """The module computes what the sample's does: floats within the budget, the rest exactly."""
    outputs = evaluate(walk.module, fitted(sample.inputs, walk.module))
    check_outputs(sample, outputs, tally, HOST, f"after {walk.passes}\n{walk.module}")


def check_outputs(
    sample: Sample, outputs: list[Array], tally: Tally, accuracy: Accuracy, how: str
) -> None:
    report = compare(sample.module, sample.inputs, outputs, accuracy)
    tally.compared += 1
    tally.undecided += report.undetermined > report.cap * report.elements
    assert not report.excesses, f"{report}\n{how}"


def check_text(module: ModuleOp) -> None:
    """The module verifies, and its text parses back to the same module."""
    verify_module(module)
    parsed = Parser(new_context(), str(module)).parse_module()
    assert parsed.is_structurally_equivalent(module), f"{module}\nparses back as\n{parsed}"


def machines_for(step: type[Pass]) -> list[str]:
    return [machine for machine in (CPU, GPU) if suits(step, machine)]


@pytest.mark.parametrize("name", [name for name, p in PASSES.items() if not p.adds_results])
def test_a_pass_keeps_the_meaning(name: str) -> None:
    step, tally = PASSES[name], Tally()
    machines = [GPU] if name == "legalize_types" else machines_for(step)

    def check(sample: Sample, rng: Random) -> None:
        assume(machines == [CPU] or fits_32_bits(sample))
        walk = Walk(sample.module.clone(), rng.choice(machines), rng)
        walk.lead_to(step)
        before = walk.module.clone()
        walk.run(step)
        check_text(walk.module)
        check_meaning(sample, walk, tally)
        tally.samples += 1
        tally.changed += not before.is_structurally_equivalent(walk.module)

    dtypes = NO_DOUBLES if GPU in machines else EVERYTHING
    least = 0 if name in NOTES else LEAST_CHANGED
    for number in range(MOST_ROUNDS if settings().derandomize else 1):
        property_of(check, dtypes, WORK.get(name), number=number)
        if tally.changed >= least:
            break
    tally.check(least_changed=least)


@pytest.mark.parametrize("machine", [CPU, GPU])
@pytest.mark.parametrize("level", [Level.TENSOR, Level.KERNEL, Level.BUFFER, Level.LOOP])
def test_random_legal_orders_agree(machine: str, level: Level) -> None:
    tally = Tally()

    def check(sample: Sample, rng: Random) -> None:
        assume(machine == CPU or fits_32_bits(sample))
        walk = Walk(sample.module.clone(), machine, rng)
        walk.descend(level)
        check_text(walk.module)
        check_meaning(sample, walk, tally)

    property_of(check, EVERYTHING if machine == CPU else NO_DOUBLES)
    tally.check()


def narrowed(steps: Sequence[Pass], machine: str) -> tuple[Pass, ...]:
    """The passes for a machine with less of one thing or another."""
    return tuple(
        replace(step, target=machine) if any(f.name == "target" for f in fields(step)) else step
        for step in steps
    )


def run_on_narrow(sample: Sample, device: str, rng: Random) -> list[Array]:
    """What the device's pipeline for a lesser machine makes of a sample, in the reference."""
    module = sample.module.clone()
    for step in narrowed(pipeline(device), rng.choice(NARROW[device])):
        step.apply(new_context(), module)
    check_text(module)
    return evaluate(module, fitted(sample.inputs, module))


def run_on_device(sample: Sample, device: str, rng: Random) -> list[Array]:
    """What the device makes of a sample, now and then with the schedule of a lesser machine.

    The evaluator of loops runs all iterations at once, so that only a device shows what comes of
    updates in place when they run one after the other.
    """
    place = find_device(device)
    steps = narrowed(pipeline(device), rng.choice(NARROW[device])) if rng.random() < 0.4 else None
    executable = compile_module(sample.module, device, passes=steps)
    buffers = [place.upload(array) for array in sample.inputs]
    results = [place.download(result) for result in executable.run(buffers)]
    donated = set(executable.donated.values())
    for number, (buffer, array) in enumerate(zip(buffers, sample.inputs, strict=True)):
        kept = number in donated or place.download(buffer).tobytes() == array.tobytes()
        assert kept, f"input {number} was overwritten"
    return results


@pytest.mark.parametrize(
    ("device", "run", "examples"),
    [
        ("cpu", run_on_narrow, 40),
        ("gpu", run_on_narrow, 40),
        ("cpu", run_on_device, 200),
        pytest.param("gpu", run_on_device, 120, marks=pytest.mark.gpu),
    ],
)
def test_pipelines_keep_the_meaning(
    device: str, run: Callable[[Sample, str, Random], list[Array]], examples: int
) -> None:
    tally = Tally()

    def check(sample: Sample, rng: Random) -> None:
        assume(device == "cpu" or fits_32_bits(sample))
        outputs = run(sample, device, rng)
        check_outputs(sample, outputs, tally, ACCURACY[device], f"on {device}")

    property_of(check, EVERYTHING if device == "cpu" else NO_DOUBLES, examples=examples)
    tally.check()
