"""The options that benchmarks share, and how their values are read."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from picograd.cli.values import new_file
from picograd.study.benches.cpu.session import CLOCKS


class Benchmarks(Protocol):
    """The place where benchmarks are added; argparse gives its own class no public name."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
        """A parser for a new benchmark."""
        ...


def json_option(parser: argparse.ArgumentParser) -> None:
    """Let the numbers be written to a file."""
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the numbers as data")


def plot_option(parser: argparse.ArgumentParser) -> None:
    """Let the numbers be drawn."""
    parser.add_argument("--plot", type=new_file, metavar="FILE", help="draw them: .svg or .png")


def rounds_option(
    parser: argparse.ArgumentParser, default: int, of: str = "contender", *, quick: bool = False
) -> None:
    """Let contenders take more turns, or fewer.

    With `quick` it is None where nobody says, as `--quick` has a number of its own.
    """
    parser.add_argument(
        "--rounds",
        type=size_number,
        default=None if quick else default,
        metavar="N",
        help=f"turns of each {of} ({default})",
    )


def clock_option(parser: argparse.ArgumentParser) -> None:
    """Let the time of processors be taken instead of the wall's."""
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default=CLOCKS[0],
        help="the wall's, or the time that a contender kept processors busy: it tells more where "
        "others use the machine (%(default)s)",
    )


def peers_option(parser: argparse.ArgumentParser, peers: Sequence[str]) -> None:
    """Let some libraries take part only."""
    parser.add_argument(
        "--peers",
        type=_some_of(peers),
        default=tuple(peers),
        metavar="NAMES",
        help=f"some of {','.join(peers)}, or none (all that are installed)",
    )


def device_option(parser: argparse.ArgumentParser) -> None:
    """Let the benchmark run on one of the devices."""
    parser.add_argument(
        "--device",
        choices=("cpu", "gpu"),  # the reference has no passes to compare
        default="cpu",
        help="where to measure (%(default)s)",
    )


def numbers_option(
    parser: argparse.ArgumentParser, name: str, default: Sequence[int], help_text: str
) -> None:
    """An option that takes sizes."""
    parser.add_argument(
        name,
        type=size_number,
        nargs="+",
        default=tuple(default),
        metavar="N",
        help=f"{help_text} ({spell(default)})",
    )


def _some_of(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Names with commas on the command line; it raises ArgumentTypeError for an unknown one."""

    def names(text: str) -> tuple[str, ...]:
        found = tuple(part for part in text.split(",") if part and part != "none")
        for name in found:
            if name not in known:
                expected = ", ".join(known)
                raise argparse.ArgumentTypeError(f"expected some of {expected}, found {name!r}")
        return found

    return names


def size_number(text: str) -> int:
    """A size or count on the command line. Raises ArgumentTypeError unless it is 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of 1 or more, found {text!r}")
    return int(text)


def spell(numbers: Iterable[int]) -> str:
    """The numbers as they are typed."""
    return " ".join(map(str, numbers))
