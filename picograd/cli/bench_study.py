"""`picograd bench modes`, `reductions` and `linear`: what a decision of the compiler is worth."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product

from picograd.backends.runtime import device as find_device
from picograd.cli.bench_options import (
    Benchmarks,
    device_option,
    json_option,
    numbers_option,
    plot_option,
    rounds_option,
    size_number,
    spell,
)
from picograd.cli.bench_report import write_json
from picograd.cli.commands import show_examples
from picograd.cli.display import print_table, progress
from picograd.study.benches import ladder as ladder_bench
from picograd.study.benches import linear as linear_bench
from picograd.study.benches import reductions as reductions_bench
from picograd.study.benches.ladder import Point, Size, Sweep
from picograd.study.benches.linear import Shape
from picograd.study.benches.measure import Spread
from picograd.study.benches.pass_lists import Comparison
from picograd.study.benches.plots import check_plot, write_plot

_ROUNDS = 15
_QUICK_ROUNDS = 3


def add_modes(benchmarks: Benchmarks) -> argparse.ArgumentParser:
    """Add `bench modes`."""
    help_text = "a perceptron in every mode of the ladder, against width and depth"
    parser = benchmarks.add_parser("modes", help=help_text, description=help_text)
    device_option(parser)
    full, quick = ladder_bench.FULL, ladder_bench.QUICK
    numbers_option(parser, "--widths", full.widths, "features in a hidden layer")
    numbers_option(parser, "--depths", full.depths, "hidden layers")
    parser.add_argument(
        "--modes",
        nargs="+",
        choices=ladder_bench.MODES,
        default=ladder_bench.MODES,
        metavar="MODE",
        help="modes to compare (all)",
    )
    rounds_option(parser, _ROUNDS, "mode", quick=True)
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"a look: widths {spell(quick.widths)}, depths {spell(quick.depths)}, "
        f"{_QUICK_ROUNDS} rounds",
    )
    json_option(parser)
    plot_option(parser)
    show_examples(
        parser,
        "bench modes --quick",
        "bench modes --device gpu --plot modes.svg --json modes.json",
        "bench modes --modes cached graph compiled --widths 1024 2048 --depths 2",
    )
    return parser


def add_reductions(benchmarks: Benchmarks) -> argparse.ArgumentParser:
    """Add `bench reductions`."""
    help_text = "sums and softmax in a single pass, and as trees"
    parser = benchmarks.add_parser("reductions", help=help_text, description=help_text)
    device_option(parser)
    numbers_option(parser, "--rows", (512,), "rows of the operand")
    numbers_option(parser, "--columns", (64, 512, 4096), "columns of the operand")
    rounds_option(parser, _ROUNDS)
    json_option(parser)
    show_examples(
        parser,
        "bench reductions",
        "bench reductions --device gpu --rows 8 --columns 100000 --json reductions.json",
    )
    return parser


def add_linear(benchmarks: Benchmarks) -> argparse.ArgumentParser:
    """Add `bench linear`."""
    help_text = "a linear layer: naive, tiled, register-blocked"
    parser = benchmarks.add_parser("linear", help=help_text, description=help_text)
    device_option(parser)
    parser.add_argument(
        "--sizes",
        type=layer_shape,
        nargs="+",
        default=[layer_shape(text) for text in ("128", "512", "64x784x512")],
        metavar="SIZE",
        help="N, or rows x inputs x outputs (128 512 64x784x512)",
    )
    rounds_option(parser, _ROUNDS)
    json_option(parser)
    show_examples(
        parser,
        "bench linear",
        "bench linear --device gpu --sizes 1024 32x1000x10 --json linear.json",
    )
    return parser


def layer_shape(text: str) -> Shape:
    """A layer's sizes on the command line. Raises ArgumentTypeError for what spells none."""
    sizes = [size_number(part) for part in text.split("x")]
    if len(sizes) == 1:
        sizes *= 3
    if len(sizes) != 3:
        raise argparse.ArgumentTypeError(f"expected N or rows x inputs x outputs, found {text!r}")
    rows, depth, columns = sizes
    return Shape(rows, columns, depth)


def run_modes(arguments: argparse.Namespace) -> int:
    """`picograd bench modes`."""
    if arguments.plot is not None:
        check_plot(arguments.plot)
    adapter = find_device(arguments.device).adapter
    sweep, rounds = Sweep(arguments.widths, arguments.depths), _ROUNDS
    if arguments.quick:
        sweep, rounds = ladder_bench.QUICK, _QUICK_ROUNDS
    rounds = arguments.rounds or rounds
    with progress("sizes", len(sweep.sizes())) as bar:
        points = ladder_bench.measure(
            arguments.device,
            sweep,
            rounds,
            arguments.modes,
            lambda size: bar.advance(f"{size.width} features, {size.depth} deep"),
        )
    title = f"The modes of the ladder on the device {arguments.device!r}"
    subtitle = f"{adapter}; batch {ladder_bench.BATCH}, medians of {rounds} rounds"
    print(f"{title}: {subtitle}")
    report_modes(points)
    disorder = ladder_bench.out_of_order(points)
    for line in disorder or ["compiled ≤ graph ≤ cached ≤ immediate at every size"]:
        print(line)
    write_json(
        arguments.json,
        {
            "modes": {
                "device": arguments.device,
                "adapter": adapter,
                "points": ladder_bench.as_data(points),
                "out of order": disorder,
            }
        },
    )
    if arguments.plot is not None:
        write_plot(ladder_bench.figure(points, sweep, title, subtitle), arguments.plot)
    return 0


def run_reductions(arguments: argparse.Namespace) -> int:
    """`picograd bench reductions`."""
    device = arguments.device
    print(f"Reductions on the device {device!r}: {find_device(device).adapter}")
    found: list[dict[str, object]] = []
    for name in reductions_bench.REDUCTIONS:
        for rows, columns in product(arguments.rows, arguments.columns):
            done = reductions_bench.measure(device, name, rows, columns, arguments.rounds)
            read = 4e-9 * rows * columns
            title = f"{name}, float32[{rows}, {columns}]"
            report_comparison(title, done, "GB/s", read)
            place = {"reduction": name, "rows": rows, "columns": columns}
            found.append({**place, "pass lists": comparison_data(done, "gigabytes a second", read)})
    write_json(arguments.json, {"reductions": {"device": device, "comparisons": found}})
    return 0


def run_linear(arguments: argparse.Namespace) -> int:
    """`picograd bench linear`."""
    device = arguments.device
    print(f"relu(x @ w + b) on the device {device!r}: {find_device(device).adapter}")
    found: list[dict[str, object]] = []
    for shape in arguments.sizes:
        done = linear_bench.measure(device, shape, arguments.rounds)
        work = 1e-9 * shape.flops
        title = f"{shape.rows} rows, from {shape.depth} to {shape.columns} features, float32"
        report_comparison(title, done, "GFLOP/s", work)
        place = {"rows": shape.rows, "inputs": shape.depth, "outputs": shape.columns}
        found.append({**place, "pass lists": comparison_data(done, "gigaflops", work)})
    write_json(arguments.json, {"linear": {"device": device, "comparisons": found}})
    return 0


def report_comparison(title: str, done: Comparison, unit: str, work: float) -> None:
    """Print a row for each list of passes; `work` is done in each call, in units."""
    fastest = min(spread.median for spread in done.seconds.values())
    rows = [
        [
            name,
            spell_time(spread),
            f"{spread.median / fastest:.2f}",
            f"{work / spread.median:.3g}",
            f"{done.share_of_budget[name]:.2g}",
        ]
        for name, spread in done.seconds.items()
    ]
    print_table(title, ["", "time", "times the fastest", unit, "error / allowed"], rows)


def comparison_data(done: Comparison, unit: str, work: float) -> dict[str, dict[str, object]]:
    """The comparison as JSON has it."""
    return {
        name: {
            **asdict(spread),
            unit: work / spread.median,
            "share of budget": done.share_of_budget[name],
        }
        for name, spread in done.seconds.items()
    }


def report_modes(points: Sequence[Point]) -> None:
    """Print the tables."""
    for workload in ladder_bench.WORKLOADS:
        print_times(f"One {workload}", {p.size: p.modes[workload] for p in points})
    print_times("One training step without some passes", {p.size: p.passes for p in points})
    names = list(points[0].memory)
    rows = [
        [_row(point.size), *(f"{m.nbytes:,} in {m.kernels}" for m in point.memory.values())]
        for point in points
    ]
    print_table("Bytes of intermediates, in so many kernels", ["features × layers", *names], rows)


def print_times(title: str, times: Mapping[Size, Mapping[str, Spread]]) -> None:
    """Print a row of times for each size."""
    names = list(next(iter(times.values())))
    rows = [[_row(size), *map(spell_time, spreads.values())] for size, spreads in times.items()]
    print_table(title, ["features × layers", *names], rows)


def _row(size: Size) -> str:
    return f"{size.width} × {size.depth}"


def spell_time(spread: Spread) -> str:
    """The median with a unit that suits it, and half the distance of the quartiles in percent."""
    median = spread.median
    text = f"{median * 1e6:.1f} µs" if median < 1e-3 else f"{median * 1e3:.2f} ms"
    if median >= 1:
        text = f"{median:.2f} s"
    scatter = 50 * (spread.high - spread.low) / median
    return f"{text} ±{scatter:.0f}%" if spread.turns > 1 else text
