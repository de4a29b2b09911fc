"""What `picograd bench cpu` prints, draws and writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from picograd.cli.display import print_table
from picograd.quick_dataclasses import dataclass
from picograd.study.benches.cpu.contenders import OURS
from picograd.study.benches.cpu.session import Result
from picograd.study.benches.cpu.turns import Times, quartiles
from picograd.study.benches.dots import DotRow, Dots

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
    all_shares = [share for one in found for share in one.shares().values()]
    hold = sum(share >= SAME_RATE for share in all_shares)
    print(f"{hold} of {len(all_shares)} neighbours keep {SAME_RATE:.0%} of their row's rate")
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
                **times_data(times),
                "first call": one.first_calls[name],
                "share of budget": one.shares[name],
                "times ours": ratios.get(name),
            }
            for name, times in one.times.items()
        },
        "sat out": dict(one.lost),
        "limits": {
            limit.name: {**times_data(limit.times), "a second": limit.work / limit.times.median}
            for limit in one.limits
        },
        "rate": one.rate,
        "share of limit": one.share_of_limit(),
        "asked": {name: value for name, value in asdict(asked).items() if value},
        "holds": one.holds(),
    }


def times_data(times: Times) -> dict[str, object]:
    """A contender's turns as JSON has them."""
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


def report_memory(peaks: Mapping[str, int], lost: Mapping[str, str], row: str) -> None:
    """Print the peaks of memory in processes of their own."""
    ours = peaks.get(OURS)
    rows = [
        [
            name,
            f"{peak / 2**20:,.0f} MiB",
            f"{ours / peak:.0%}" if ours and name != OURS else "",
            ("yes" if ours <= peak else "no") if ours and name == "torch" else "",
        ]
        for name, peak in peaks.items()
    ]
    header = ["", "peak beyond import", "picograd's is", "at most torch's"]
    print_table(f"{row}, in a process of its own", header, rows)
    for name, reason in lost.items():
        print(f"{row}: {name} sat out: {reason}")


def figure(results: Sequence[Result], adapter: str) -> Dots:
    """The ratios of all rows."""
    several = len({one.threads for one in results}) > 1
    rows = [
        DotRow(
            f"{one.row.name}, {spell_threads(one.threads)}" if several else one.row.name,
            one.ratios(),
            one.row.asks(one.threads).times,
        )
        for one in results
        if one.ours
    ]
    return Dots(
        "Other libraries' time over picograd's",
        f"{adapter}; float32; the upright marks are what is asked",
        "× (more is slower than picograd)",
        rows,
    )
