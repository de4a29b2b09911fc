"""`picograd bench cpu`: beside other libraries, and beside what the machine can do."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from picograd.backends.runtime import device as find_device
from picograd.cli.bench_report import Benchmarks, json_option, write_json
from picograd.cli.bench_study import size_number
from picograd.cli.commands import show_examples
from picograd.cli.display import print_table, progress
from picograd.errors import OptionError
from picograd.study.benches.cpu import rows as bench_rows
from picograd.study.benches.cpu.contenders import OURS, PEERS, PICOGRAD, Contender, chosen
from picograd.study.benches.cpu.rows import Row, neighbours, select
from picograd.study.benches.cpu.session import CLOCKS, QUICK, Effort, Result, Session
from picograd.study.benches.cpu.turns import Times, quartiles

SAME_RATE = 0.85
"""Of the row's rate: what its neighbours have to hold."""


@dataclass(frozen=True)
class Neighbourhood:
    """A row and those of nearby sizes, measured together."""

    row: Result
    around: Sequence[Result]

    def shares(self) -> dict[str, float]:
        """Each neighbour's rate as a share of the row's."""
        here = self.row.rate
        return {
            one.row.name: one.rate / here for one in self.around if here and one.rate is not None
        }


def add_cpu(benchmarks: Benchmarks) -> argparse.ArgumentParser:
    """Add `bench cpu`."""
    help_text = "the CPU beside other libraries and beside the machine's limits"
    parser = benchmarks.add_parser("cpu", help=help_text, description=help_text)
    parser.add_argument(
        "--peers",
        type=peer_names,
        default=PEERS,
        metavar="NAMES",
        help=f"some of {','.join(PEERS)}, or none (all that are installed)",
    )
    parser.add_argument(
        "--threads",
        type=thread_counts,
        default=(1,),
        metavar="N,N",
        help="measure on so many threads, each count in turn (1)",
    )
    parser.add_argument(
        "--rows", nargs="+", default=(), metavar="NAME", help="rows whose names contain one (all)"
    )
    parser.add_argument(
        "--rounds", type=size_number, help=f"turns of each contender ({Effort.rounds})"
    )
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default=CLOCKS[0],
        help="the wall's, or the time that a contender kept processors busy: it tells more where "
        "others use the machine (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the operands (%(default)s)")
    parser.add_argument(
        "--off-grid", action="store_true", help="each size one off and at three quarters, instead"
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"a look: fewer rows, {QUICK.rounds} rounds"
    )
    json_option(parser)
    show_examples(
        parser,
        "bench cpu --quick --peers numpy",
        "bench cpu --threads 1,2 --json cpu.json",
        "bench cpu --rows softmax 'matmul 1024' --off-grid",
    )
    return parser


def peer_names(text: str) -> tuple[str, ...]:
    """Peers on the command line. Raises ArgumentTypeError for one that nobody knows."""
    names = tuple(part for part in text.split(",") if part and part != "none")
    for name in names:
        if name not in PEERS:
            expected = ", ".join(PEERS)
            raise argparse.ArgumentTypeError(f"expected some of {expected}, found {name!r}")
    return names


def thread_counts(text: str) -> tuple[int, ...]:
    """Numbers of threads on the command line. Raises ArgumentTypeError for what spells none."""
    return tuple(dict.fromkeys(size_number(part) for part in text.split(",")))


def chosen_rows(arguments: argparse.Namespace) -> list[Row]:
    """The rows that are asked for. Raises OptionError when there are none."""
    rows = select(arguments.rows, bench_rows.ROWS)
    if arguments.quick:
        rows = [row for row in rows if row.quick or arguments.rows]
    for word in arguments.rows:
        if not select([word], bench_rows.ROWS):
            raise OptionError(
                f"no row of the benchmark is called {word!r}",
                code="PG819",
                expected="a part of one of: " + "; ".join(row.name for row in bench_rows.ROWS),
                found=repr(word),
                hint="quote names that have spaces: --rows 'matmul 512'",
            )
    return rows


def run_cpu(arguments: argparse.Namespace) -> int:
    """`picograd bench cpu`."""
    rows = chosen_rows(arguments)
    effort = QUICK if arguments.quick else Effort()
    effort = replace(effort, rounds=arguments.rounds or effort.rounds, clock=arguments.clock)
    contenders, absent = chosen(arguments.peers)
    adapter = find_device("cpu").adapter
    print(f"The CPU beside other libraries: {adapter}; medians of {effort.rounds} rounds")
    for name, reason in absent.items():
        print(f"{name} takes no part: {reason}")
    if arguments.off_grid:
        contenders = [PICOGRAD]
    found: list[dict[str, object]] = []
    versions: dict[str, str] = {}
    for threads in arguments.threads:
        with Session(contenders, threads, effort, arguments.seed) as session:
            if arguments.off_grid:
                near = measure_near(session, rows)
                report_near(near, threads)
                found += [near_data(one) for one in near]
            else:
                results = measure(session, rows, contenders)
                report(results, threads, [one.name for one in contenders])
                found += [as_data(one) for one in results]
            versions |= session.versions
    machine = {
        "processor": adapter,
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "llvm": dict(find_device("cpu").details()),
    }
    data = {
        "machine": machine,
        "versions": versions,
        "seed": arguments.seed,
        "effort": asdict(effort),
        "absent": absent,
        "environments": {one.name: dict(one.environment) for one in contenders},
        "rows": found,
    }
    write_json(arguments.json, {"cpu": data})
    return 0


def measure(session: Session, rows: Sequence[Row], contenders: Sequence[Contender]) -> list[Result]:
    """The rows, one after another."""
    results: list[Result] = []
    with progress(f"rows, {spell_threads(session.threads)}", len(rows)) as bar:
        for row in rows:
            results.append(session.measure(row))
            bar.advance(row.name)
    return results


def measure_near(session: Session, rows: Sequence[Row]) -> list[Neighbourhood]:
    """The rows, each with its neighbours."""
    found: list[Neighbourhood] = []
    with progress(f"rows, {spell_threads(session.threads)}", len(rows)) as bar:
        for row in rows:
            first, *around = session.measure_together([row, *neighbours(row)], [PICOGRAD])
            found.append(Neighbourhood(first, around))
            bar.advance(row.name)
    return found


def report(results: Sequence[Result], threads: int, names: Sequence[str]) -> None:
    """Print what was measured on so many threads."""
    header = ["", "picograd", "rate", "of limit", "× best", "best peer", "asked", "holds"]
    print_table(f"On {spell_threads(threads)}", header, [list(_row(one)) for one in results])
    peers = [name for name in names if name != OURS]
    if peers:
        print_table(
            "× is a peer's time over picograd's",
            ["", *peers],
            [[one.row.name, *_ratios(one, peers)] for one in results],
        )
    for one in results:
        for name, reason in one.lost.items():
            print(f"{one.row.name}: {name} sat out: {reason}")
    asked = [verdict for one in results if (verdict := one.holds()) is not None]
    print(f"{sum(asked)} of {len(asked)} rows with something asked of them hold")


def _row(one: Result) -> Iterator[str]:
    yield one.row.name
    ours, share, best = one.ours, one.share_of_limit(), one.best()
    yield spell_times(ours) if ours else "—"
    yield spell_rate(one.rate, one.row.flops() is not None)
    yield "—" if share is None else f"{share:.0%}"
    yield f"{best[1]:.2f}" if best else "—"
    yield best[0] if best else "—"
    yield str(one.row.asks(one.threads))
    yield {True: "yes", False: "no", None: ""}[one.holds()]


def _ratios(one: Result, peers: Sequence[str]) -> Iterator[str]:
    found = one.ratios()
    for name in peers:
        yield f"{found[name]:.2f}" if name in found else "—"


def report_near(found: Sequence[Neighbourhood], threads: int) -> None:
    """Print the rates of neighbours."""
    rows: list[list[str]] = []
    for one in found:
        is_flops = one.row.row.flops() is not None
        rows.append([one.row.row.name, spell_rate(one.row.rate, is_flops), "", ""])
        shares = one.shares()
        for near in one.around:
            share = shares.get(near.row.name)
            verdict = "" if share is None else "yes" if share >= SAME_RATE else "no"
            text = "—" if share is None else f"{share:.0%}"
            rows.append([near.row.name, spell_rate(near.rate, is_flops), text, verdict])
    header = ["", "rate", "of the row's", f"at least {SAME_RATE:.0%}"]
    print_table(f"Off the grid, on {spell_threads(threads)}", header, rows)
    for one in found:
        for near in (one.row, *one.around):
            for reason in near.lost.values():
                print(f"{near.row.name} sat out: {reason}")


def spell_threads(threads: int) -> str:
    """The number and its noun."""
    return "one thread" if threads == 1 else f"{threads} threads"


def spell_rate(rate: float | None, is_flops: bool) -> str:
    """A rate with its unit."""
    return "—" if rate is None else f"{rate / 1e9:.1f} {'GF/s' if is_flops else 'GB/s'}"


def spell_times(times: Times) -> str:
    """The median, and half the distance of the quartiles in percent."""
    median = times.median
    low, high = quartiles(times.taken)
    text = f"{median * 1e6:.1f} µs" if median < 1e-3 else f"{median * 1e3:.2f} ms"
    return f"{text} ±{50 * (high - low) / median:.0f}%"


def as_data(one: Result) -> dict[str, object]:
    """A row as JSON has it."""
    asked = one.row.asks(one.threads)
    ratios = one.ratios()
    return {
        "row": one.row.name,
        "workload": one.row.workload,
        "sizes": list(one.row.sizes),
        "threads": one.threads,
        "flops": one.row.flops(),
        "bytes": one.row.nbytes(),
        "contenders": {
            name: {
                **_times_data(times),
                "first call": one.first_calls[name],
                "share of budget": one.shares[name],
                "times ours": ratios.get(name),
            }
            for name, times in one.times.items()
        },
        "sat out": dict(one.lost),
        "limits": {
            limit.name: {**_times_data(limit.times), "a second": limit.work / limit.times.median}
            for limit in one.limits
        },
        "rate": one.rate,
        "share of limit": one.share_of_limit(),
        "asked": {name: value for name, value in asdict(asked).items() if value},
        "holds": one.holds(),
    }


def _times_data(times: Times) -> dict[str, object]:
    low, high = quartiles(times.taken)
    return {
        "seconds": times.median,
        "low": low,
        "high": high,
        "turns": len(times.taken),
        "calls a turn": times.calls,
        "busy processors": times.processors,
        "page faults a call": times.faults_a_call,
    }


def near_data(one: Neighbourhood) -> dict[str, object]:
    """A row and its neighbours as JSON has them."""
    return {**as_data(one.row), "shares of the rate": one.shares()}
