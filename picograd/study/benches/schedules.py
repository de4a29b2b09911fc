"""What each pass of a schedule buys: one program, after longer and longer prefixes of the passes.

A step adds passes to those of the step before; the first has none of any step's, the last all of
the CPU's pipeline. Then the other way round: the whole pipeline without one of its decisions. Sums
and tiles are always lowered, because nothing can be run before: until `unroll_tiles` is added it
splits tiles into single elements, without the processor's vectors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.pipelines import pipeline
from picograd.passes import Pass
from picograd.passes.unroll_tiles import UnrollTiles
from picograd.quick_dataclasses import dataclass
from picograd.study.benches.cpu import limits
from picograd.study.benches.cpu.session import CLOCKS
from picograd.study.benches.cpu.turns import Reading, Timer, Times, take_turns
from picograd.study.benches.cpu.workloads import WORKLOADS, Sizes
from picograd.study.benches.measure import SECONDS_A_TURN
from picograd.study.benches.pass_lists import PATIENCE, Compiled

ALWAYS = ("lower_reduce", "legalize_types")
"""Passes of the loop level that no step leaves out."""
REST = "the rest"


@dataclass(frozen=True)
class Step:
    """Passes that are added together: "NAME", or "NAME#2" for the second of that name."""

    name: str
    adds: tuple[str, ...]
    shows: str = ""
    """The pass after which a page shows the IR; the last of those that are added if empty."""

    @property
    def picture(self) -> str:
        """The pass after which a page shows the IR, with its number."""
        shown = self.shows or self.adds[-1]
        return shown if "#" in shown else f"{shown}#1"


@dataclass(frozen=True)
class Schedule:
    """A program and the steps that make it fast."""

    workload: str
    sizes: Sizes
    text: str
    """At tensor level; `{0}` is the first size, and << >> are braces."""
    steps: tuple[Step, ...]
    less: Mapping[str, tuple[str, ...]]
    """Passes that the whole list is measured without, by what that is called."""

    def program(self, sizes: Sizes) -> str:
        """The tensor level of the program at these sizes."""
        return self.text.format(*sizes).replace("<<", "{").replace(">>", "}")


MATMUL = Schedule(
    "matmul NN",
    (1024, 1024, 1024),
    """
func.func @main(%x: tensor<{0}x{2}xf32>, %w: tensor<{2}x{1}xf32>) -> tensor<{0}x{1}xf32> <<
  %y = pico.matmul %x, %w : tensor<{0}x{2}xf32>, tensor<{2}x{1}xf32> -> tensor<{0}x{1}xf32>
  func.return %y : tensor<{0}x{1}xf32>
>>""",
    (
        Step("naive", (), shows="lower_buffers_to_loops"),
        Step("tiled", ("tile_loops", "hoist_reduce")),
        Step("packed", ("stage_operands",)),
        Step("register tiles", ("tile_loops#2",)),
        Step("vectorized", ("vectorize_loops",), shows="lower_reduce"),
        Step("unrolled", ("unroll_tiles",)),
    ),
    {
        "without packing": ("stage_operands",),
        "without blocks": ("tile_loops", "hoist_reduce", "stage_operands"),
        "without register tiles": ("tile_loops#2",),
        "without vectors": ("unroll_tiles",),
    },
)

SOFTMAX = Schedule(
    "softmax",
    (4096, 1024),
    """
func.func @main(%x: tensor<{0}x{1}xf32>) -> tensor<{0}x{1}xf32> <<
  %most = pico.reduce max %x axes [1] : tensor<{0}x{1}xf32> -> tensor<{0}xf32>
  %0 = pico.reshape %most to [{0}, 1] : tensor<{0}xf32> -> tensor<{0}x1xf32>
  %1 = pico.broadcast %0 to [{0}, {1}] : tensor<{0}x1xf32> -> tensor<{0}x{1}xf32>
  %shifted = pico.binary sub %x, %1 : tensor<{0}x{1}xf32>
  %power = pico.unary exp %shifted : tensor<{0}x{1}xf32>
  %total = pico.reduce add %power axes [1] : tensor<{0}x{1}xf32> -> tensor<{0}xf32>
  %one = pico.constant dense<1.0> : tensor<f32>
  %2 = pico.broadcast %one to [{0}] : tensor<f32> -> tensor<{0}xf32>
  %share = pico.binary div %2, %total : tensor<{0}xf32>
  %3 = pico.reshape %share to [{0}, 1] : tensor<{0}xf32> -> tensor<{0}x1xf32>
  %4 = pico.broadcast %3 to [{0}, {1}] : tensor<{0}x1xf32> -> tensor<{0}x{1}xf32>
  %y = pico.binary mul %power, %4 : tensor<{0}x{1}xf32>
  func.return %y : tensor<{0}x{1}xf32>
>>""",
    (
        Step("naive", (), shows="outline_kernels"),
        Step("fused", ("fuse",), shows="lower_buffers_to_loops"),
        Step("tiled", ("tile_loops#2",)),
        Step("vectorized", ("vectorize_loops",), shows="lower_reduce"),
        Step("polynomials", ("expand_math",)),
        Step("unrolled", ("unroll_tiles",)),
    ),
    {
        "without fusion": ("fuse",),
        "without polynomials": ("expand_math",),
        "without prefetching": ("prefetch_rows",),
        "without vectors": ("unroll_tiles",),
    },
)

SCHEDULES = {"matmul": MATMUL, "softmax": SOFTMAX}


def numbered(passes: Sequence[Pass]) -> dict[str, Pass]:
    """The passes by name and number: "tile_loops#2" is the second of that name."""
    found: dict[str, Pass] = {}
    for step in passes:
        number = 1 + sum(1 for name in found if name.partition("#")[0] == step.name)
        found[f"{step.name}#{number}"] = step
    return found


def steps_of(schedule: Schedule) -> list[Step]:
    """The schedule's steps, and a last one with the passes of the loop level that none has."""
    named = {_numbered(name) for step in schedule.steps for name in step.adds}
    passes = numbered(pipeline("cpu"))
    in_loops = list(passes)[list(passes).index("lower_buffers_to_loops#1") + 1 :]
    rest = [
        name.removesuffix("#1")
        for name in in_loops
        if name not in named and passes[name].name not in ALWAYS
    ]
    return [*schedule.steps, *([Step(REST, tuple(rest))] if rest else [])]


def _numbered(name: str) -> str:
    return name if "#" in name else f"{name}#1"


def pass_lists(schedule: Schedule) -> dict[str, Pipeline]:
    """The passes of each step, which include those of the steps before."""
    steps = steps_of(schedule)
    return {
        step.name: _without([name for one in steps[number + 1 :] for name in one.adds])
        for number, step in enumerate(steps)
    }


def lists_with_less(schedule: Schedule) -> dict[str, Pipeline]:
    """The whole list of passes without some."""
    return {name: _without(names) for name, names in schedule.less.items()}


def _without(names: Sequence[str]) -> Pipeline:
    """The CPU's passes without some; what splits tiles makes single elements instead."""
    gone = {_numbered(name) for name in names}
    chosen: list[Pass] = []
    for name, one in numbered(pipeline("cpu")).items():
        if name not in gone:
            chosen.append(one)
        elif isinstance(one, UnrollTiles):
            chosen.append(replace(one, width=1))
    return Pipeline(chosen)


@dataclass(frozen=True)
class Measured:
    """What the steps came to, and the whole list with less."""

    times: Mapping[str, Times]
    share_of_budget: Mapping[str, float]
    work: int
    """Operations or bytes of a call."""
    is_flops: bool
    limits: Mapping[str, float]
    """What the machine managed in the same turns, in operations or bytes a second."""

    def rate(self, step: str) -> float:
        """Operations or bytes a second."""
        return self.work / self.times[step].median

    def share_of_limit(self, step: str) -> float:
        """Of the better one."""
        return self.rate(step) / max(self.limits.values())


def measure(
    schedule: Schedule, sizes: Sizes, rounds: int, *, clock: str = CLOCKS[0], seed: int = 0
) -> Measured:
    """Compile after each step, check each result, then measure on the threads that there are.

    Raises ArithmeticError for a result that is wrong.
    """
    workload = WORKLOADS[schedule.workload]
    operands = workload.make_operands(sizes, seed)
    exact = workload.exactly(sizes, operands)
    module = parse_module(schedule.program(sizes), "the schedule's program")
    timers: dict[str, Timer] = {}
    shares: dict[str, float] = {}
    for name, passes in {**pass_lists(schedule), **lists_with_less(schedule)}.items():
        compiled = Compiled(module, "cpu", passes, operands)
        compiled()
        shares[name] = workload.share_of_budget(operands, exact, [compiled.result()])
        if not shares[name] <= 1:
            raise ArithmeticError(f"{name}: wrong by {shares[name]:.3g} times what is allowed")
        timers[name] = _timer(compiled, clock)
    flops = None if workload.flops is None else workload.flops(sizes)
    works: dict[str, int]
    if flops is None:
        work = 0 if workload.nbytes is None else workload.nbytes(sizes)
        copy = [work // 8, 1]
        works = dict.fromkeys((limits.COPY, limits.STREAM), 8 * limits.copied(copy))
    else:
        work, copy = flops, [1]
        works = {limits.FMA: limits.fma_flops([1])}
    for name in works:
        timers[name] = _timer(limits.LIMITS[name](copy).call, clock)
    found = take_turns(timers, rounds, turn=SECONDS_A_TURN, patience=PATIENCE)
    return Measured(
        {name: found[name] for name in shares},
        shares,
        work,
        flops is not None,
        {name: its_work / found[name].median for name, its_work in works.items()},
    )


def _timer(call: Callable[[], object], clock: str) -> Timer:
    def timer(calls: int) -> Reading:
        busy, start = time.process_time(), time.perf_counter()
        for _ in range(calls):
            call()
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        return Reading(seconds if clock == CLOCKS[0] else busy, busy, 0)

    return timer
