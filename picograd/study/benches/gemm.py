"""Three ways of computing relu(x @ w + b): derived by passes, scheduled by hand, and in NumPy."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp

from picograd.backends.runtime import device
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import Passes, as_passes
from picograd.compiler.pipelines import pipeline
from picograd.errors import PicogradError
from picograd.passes import PASSES
from picograd.study.benches.measure import OWN_PASSES, Action
from picograd.study.benches.products import linear_operands, linear_text

Array = NDArray[Any]

# Of the repository, not of the package: these kernels are tests of what the loop level can say.
SCHEDULES = Path(__file__).parents[3] / "tests" / "schedules"

# What a schedule leaves to the compiler: the last decisions, which depend on the processor.
FINISHING = ("expand_math", "unroll_tiles")


class ScheduleError(PicogradError):
    """No kernel was scheduled by hand for this size."""


class Runner:
    """A lowered module on the CPU, with its operands in place."""

    def __init__(self, module: ModuleOp, inputs: Sequence[Array], like: Array) -> None:
        self.device = device("cpu")
        self.program = self.device.load(module)
        self.inputs = [self.device.upload(array) for array in inputs]
        self.output = self.device.upload(np.full_like(like, np.nan))

    def __call__(self) -> None:
        self.program.run(self.inputs, [self.output])

    def result(self) -> Array:
        """What the last call computed."""
        return self.device.download(self.output)


def derived(size: int, passes: Passes | None = None) -> ModuleOp:
    """The plain program, lowered by `passes`: by default the CPU's pipeline."""
    module = parse_module(linear_text(size, size, size), "the plain program")
    run_pipeline(module, pipeline("cpu") if passes is None else as_passes(passes))
    return module


def scheduled_by_hand(size: int) -> ModuleOp:
    """The kernel of tests/schedules for this size. Raises ScheduleError when there is none."""
    file = SCHEDULES / f"gemm_{size}.mlir"
    if not file.is_file():
        sizes = sorted(path.stem.removeprefix("gemm_") for path in SCHEDULES.glob("gemm_*.mlir"))
        raise ScheduleError(
            f"no matrix product of size {size} was scheduled by hand",
            code="PG817",
            expected="one of " + ", ".join(one for one in sizes if one.isdigit()),
            found=str(size),
            hint=f"the kernels are those in {SCHEDULES}, in a clone of the repository",
        )
    module = parse_module(file.read_text(encoding="utf-8"), str(file))
    run_pipeline(module, [PASSES[name]() for name in FINISHING], facts=None)
    return module


def prepare(
    size: int, passes: Passes | None = None
) -> tuple[list[Array], dict[str, tuple[Action, Callable[[], Array]]]]:
    """Random inputs, and for each contender how to run it and where its result is.

    `passes` adds a contender that these passes derive.
    """
    x, w, b = inputs = linear_operands(size, size, size, seed=size)
    y = np.full((size, size), np.nan, np.float32)

    def in_numpy() -> None:
        np.matmul(x, w, out=y)
        np.add(y, b, out=y)
        np.maximum(y, 0, out=y)

    runners = {"derived": Runner(derived(size), inputs, y)}
    if passes is not None:
        runners[OWN_PASSES] = Runner(derived(size, passes), inputs, y)
    runners["scheduled by hand"] = Runner(scheduled_by_hand(size), inputs, y)
    return inputs, {
        **{name: (runner, runner.result) for name, runner in runners.items()},
        "NumPy": (in_numpy, lambda: y),
    }


def contenders(size: int, passes: Passes | None = None) -> Mapping[str, Action]:
    """One call of each computes the whole product into memory that is at hand already."""
    return {name: run for name, (run, _) in prepare(size, passes)[1].items()}
