"""What staging and register tiles are worth on a GPU: one matmul, compiled with and without them.

`python -m picograd.study.benches.gpu_matmul 1024 2048 4096` compiles relu(x @ w + b) twice from
the same module, checks both against NumPy, and prints the times. The two pipelines differ only in
the passes that make blocks; nothing else is hand-written.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace

from picograd.backends.runtime import Buffer, device
from picograd.backends.wgsl.device import GpuDevice
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import Executable, compile_module
from picograd.compiler.pipelines import pipeline
from picograd.errors import DeviceError
from picograd.passes import Pass
from picograd.passes.hoist_reduce import HoistReduce
from picograd.passes.round_up_loops import RoundUpLoops
from picograd.passes.stage_operands import StageOperands
from picograd.passes.tile_loops import TileLoops
from picograd.quick_dataclasses import dataclass
from picograd.study.benches.products import linear_operands, linear_text, share_of_budget

BLOCKING = (TileLoops, RoundUpLoops, HoistReduce, StageOperands)
"""The passes that turn the plain nest into a staged and tiled one."""


@dataclass(frozen=True)
class Timing:
    """One pipeline on one size; `share_of_budget` is the error over what rounding allows."""

    size: int
    pipeline: str
    milliseconds: float
    gigaflops: float
    share_of_budget: float
    compile_seconds: float


def pipelines() -> dict[str, tuple[Pass, ...]]:
    """The GPU's pipeline, and the same without the passes that make blocks."""
    full = pipeline("gpu")
    return {
        "tiled": full,
        "untiled": tuple(step for step in full if not isinstance(step, BLOCKING)),
    }


def time_matmul(size: int, name: str, steps: Sequence[Pass], *, seconds: float = 0.5) -> Timing:
    """Compile, check and time one square matmul. Raises ArithmeticError for a wrong result.

    The time is the best of several runs of ten submissions each, so that waiting for the device is
    paid once for ten.
    """
    gpu = device("gpu")
    if not isinstance(gpu, GpuDevice):
        raise DeviceError(
            "the device 'gpu' is not the WGSL backend's",
            code="PG301",
            expected=GpuDevice.__name__,
            found=type(gpu).__name__,
            hint="measure before another device is registered under this name",
        )
    arrays = linear_operands(size, size, size)
    start = time.perf_counter()
    executable = compile_module(parse_module(linear_text(size, size, size)), "gpu", passes=steps)
    compiled = time.perf_counter() - start
    inputs = [gpu.upload(array) for array in arrays]
    (result,) = executable.run(inputs)
    share = share_of_budget(arrays, gpu.download(result))
    if share > 1:
        raise ArithmeticError(f"{name}, size {size}: wrong by {share:.3g} times what is allowed")
    best = _best_time(gpu, executable, inputs, seconds)
    return Timing(size, name, best * 1e3, 2 * size**3 / best / 1e9, share, compiled)


def _best_time(
    gpu: GpuDevice, executable: Executable, inputs: Sequence[Buffer], seconds: float
) -> float:
    outputs = [gpu.allocate(type) for type in executable.outputs]
    best = float("inf")
    repeats = 1
    stop = time.perf_counter() + seconds
    while True:
        gpu.synchronize()
        start = time.perf_counter()
        for _ in range(repeats):
            executable.program.run(inputs, outputs)
        gpu.synchronize()
        now = time.perf_counter()
        best = min(best, (now - start) / repeats)
        if now > stop:
            return best
        repeats = 10


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: sizes, and a file for the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("sizes", type=int, nargs="*", default=[1024, 2048, 4096])
    parser.add_argument("--json", help="write the timings to this file")
    parser.add_argument("--blocks", help='sizes for tile_loops, such as "i=128 j=128 k=16"')
    parser.add_argument("--tiles", help='sizes of the register tiles, such as "j=8 i=8"')
    options = parser.parse_args(arguments)
    print(f"adapter: {device('gpu').adapter}")
    print(
        f"{'size':>6} {'pipeline':>10} {'ms':>10} {'GF/s':>10} {'error/budget':>13} {'compile':>8}"
    )
    timings: list[Timing] = []
    for size in options.sizes:
        for name, steps in pipelines().items():
            timing = time_matmul(size, name, _with_sizes(steps, options.blocks, options.tiles))
            timings.append(timing)
            print(
                f"{size:6} {name:>10} {timing.milliseconds:10.3f} {timing.gigaflops:10.1f} "
                f"{timing.share_of_budget:13.2g} {timing.compile_seconds:7.2f}s",
                flush=True,
            )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump([asdict(timing) for timing in timings], file, indent=2)


def _with_sizes(steps: Sequence[Pass], blocks: str | None, tiles: str | None) -> tuple[Pass, ...]:
    """The pipeline with other sizes than the cost model's."""
    changed: list[Pass] = []
    for step in steps:
        sizes = (tiles if step.exact else blocks) if isinstance(step, TileLoops) else None
        changed.append(replace(step, sizes=sizes) if sizes else step)
    return tuple(changed)


if __name__ == "__main__":
    main()
