"""`picograd bench`: the compiler beside the alternatives, in one process, on one thread.

Contenders take turns, so that a busy machine disturbs all alike; what counts is the ratios.
"""

import argparse
from collections.abc import Callable

from picograd.cli import (
    bench_accuracy,
    bench_compile,
    bench_cpu,
    bench_host,
    bench_schedule,
    bench_study,
)
from picograd.cli.bench_options import json_option, rounds_option
from picograd.cli.bench_report import ratios, report, write_json
from picograd.cli.commands import Commands, show_examples
from picograd.cli.own_passes import add_pipeline_options, chosen_pipeline
from picograd.study.benches import digits as digits_bench
from picograd.study.benches import gemm as gemm_bench
from picograd.study.benches.measure import interleave, on_one_thread


def add_parser(commands: Commands) -> None:
    """Add `bench` to the command."""
    parser = commands.add_parser(
        "bench",
        help="compare with NumPy, with a schedule written by hand, and with fewer passes",
        description="Interleaved measurements on one thread: medians and ratios.",
    )
    benchmarks = parser.add_subparsers(metavar="BENCHMARK", required=True)
    for name, run, help_text in (
        ("demo", run_demo, "the demo's training step: compiled, eager, and in NumPy"),
        ("gemm", run_gemm, "relu(x @ w + b): derived by passes, scheduled by hand, in NumPy"),
    ):
        one = benchmarks.add_parser(name, help=help_text, description=help_text)
        rounds_option(one, 25)
        add_pipeline_options(one)
        json_option(one)
        one.set_defaults(run=_alone(run))
        show_examples(
            one,
            f"bench {name}",
            f"bench {name} --rounds 50 --json {name}.json",
            f"bench {name} --load my_pass.py --insert 'my_pass after canonicalize'",
        )
    bench_study.add_modes(benchmarks).set_defaults(run=_alone(bench_study.run_modes))
    # Threads are one of the things that these compare.
    bench_study.add_reductions(benchmarks).set_defaults(run=bench_study.run_reductions)
    bench_study.add_linear(benchmarks).set_defaults(run=_alone(bench_study.run_linear))
    bench_accuracy.add_accuracy(benchmarks).set_defaults(run=bench_accuracy.run_accuracy)
    bench_schedule.add_schedule(benchmarks).set_defaults(run=_alone(bench_schedule.run_schedule))
    bench_host.add_host(benchmarks).set_defaults(run=_alone(bench_host.run_host))
    # Its contenders run in processes of their own.
    bench_cpu.add_cpu(benchmarks).set_defaults(run=bench_cpu.run_cpu)
    bench_compile.add_compile(benchmarks).set_defaults(run=bench_compile.run_compile)
    show_examples(
        parser,
        "bench demo",
        "bench gemm --sizes 256 512",
        "bench modes --device gpu --plot modes.svg",
        "bench linear --sizes 1024",
    )
    gemm = benchmarks.choices["gemm"]
    gemm.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[512, 1024],
        metavar="N",
        help="rows, columns and depth (512 1024)",
    )


def _alone(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The benchmark, in a process of its own whose libraries were started on one thread."""

    def command(arguments: argparse.Namespace) -> int:
        status = on_one_thread(arguments.argv)
        return run(arguments) if status is None else status

    return command


def run_demo(arguments: argparse.Namespace) -> int:
    """`picograd bench demo`."""
    passes = chosen_pipeline(arguments, "cpu")
    seconds = interleave(digits_bench.contenders(passes=passes), arguments.rounds)
    report("The digits training step, batch 64, one thread", seconds, "compiled")
    write_json(arguments.json, {"demo": ratios(seconds, "compiled")})
    return 0


def run_gemm(arguments: argparse.Namespace) -> int:
    """`picograd bench gemm`."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    passes = chosen_pipeline(arguments, "cpu")
    for size in arguments.sizes:
        seconds = interleave(gemm_bench.contenders(size, passes), arguments.rounds)
        gigaflops = {name: 2e-9 * size**3 / value for name, value in seconds.items()}
        report(f"relu(x @ w + b), n = {size}, float32, one thread", seconds, "derived", gigaflops)
        results[str(size)] = ratios(seconds, "derived")
    write_json(arguments.json, {"gemm": results})
    return 0
