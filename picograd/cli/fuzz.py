"""`picograd fuzz`: random programs through random passes on every device; and one case again."""

import argparse
import secrets
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from picograd.backends.runtime import device as find_device
from picograd.check.fuzz.examiner import ALL_THEMES, themes_for
from picograd.check.fuzz.findings import Findings, kind_of
from picograd.check.fuzz.session import Session
from picograd.check.fuzz.worker import Settings
from picograd.check.oracle import examination
from picograd.check.replay import installed_versions, read
from picograd.cli.cases import loads_of
from picograd.cli.commands import Commands, show_examples
from picograd.cli.display import print_table
from picograd.cli.files import UsageError, load_python, read_text
from picograd.cli.own_passes import add_load_option, load_passes
from picograd.cli.values import new_file, new_folder, seed
from picograd.compiler.pass_list import Pipeline, as_passes

EXIT_FOUND = 1
_MINUTES = 5.0
_SHOWN = 8
"""Of each table of counts, the most frequent so many are shown."""


def add_parser(commands: Commands) -> None:
    """Add `fuzz` to the command."""
    parser = commands.add_parser(
        "fuzz",
        help="look for faults with random programs and random passes",
        description="Draws programs and orders of passes, holds the program after every pass "
        "against the one before it, and runs what is left on each device. Every kind of failure "
        "is saved as one file, which --replay runs again. Ends with 1 when something is wrong.",
    )
    parser.add_argument(
        "--passes",
        default="",
        metavar="LIST",
        help="run these passes in every case, where they may stand, on programs that they change; "
        "of those in loaded files no others run; by default all come by chance",
    )
    add_load_option(parser)
    parser.add_argument(
        "--devices",
        default="reference,cpu,gpu",
        metavar="LIST",
        help="where cases run; on reference, passes in any legal order (%(default)s)",
    )
    parser.add_argument(
        "--themes",
        default="",
        metavar="LIST",
        help="what the programs are about (default: all): " + ", ".join(ALL_THEMES),
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help=f"stop after this time ({_MINUTES:g}, unless --cases is given)",
    )
    parser.add_argument("--cases", type=int, metavar="N", help="stop after so many programs")
    parser.add_argument("--seed", type=seed, help="of all chance (default: a new one)")
    parser.add_argument("--only", type=int, metavar="N", help="program number N of that seed alone")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side (%(default)s)")
    parser.add_argument(
        "--case-seconds",
        type=float,
        default=Settings.case_seconds,
        metavar="S",
        help="a program that takes longer hangs (%(default)g)",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=new_folder,
        default=Path("picograd-fuzz"),
        metavar="DIR",
        help="the folder for failing cases (%(default)s)",
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write all counts there")
    parser.add_argument(
        "--replay", metavar="FILE", help="examine the case in this file again, and stop"
    )
    parser.set_defaults(run=run)
    show_examples(
        parser,
        "fuzz --minutes 30",
        "fuzz --devices cpu --themes 'reductions,ties' --cases 500 --seed 7",
        "fuzz --seed 7 --only 123 --devices gpu",
        "fuzz --load my_pass.py --passes my_pass --devices reference,cpu",
        "fuzz --replay picograd-fuzz/values-in-fuse.mlir",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    if arguments.replay is not None:
        return replay(arguments.replay, arguments.load)
    settings = _settings(arguments)
    session = Session(settings, Findings(arguments.out), jobs=arguments.jobs)
    minutes = arguments.minutes
    if minutes is None and arguments.cases is None and arguments.only is None:
        minutes = _MINUTES
    print(f"fuzz: seed {settings.seed}, devices {', '.join(settings.devices)}", flush=True)
    session.run(
        minutes=minutes,
        programs=arguments.cases,
        only=arguments.only,
        progress=lambda line: print(f"fuzz: {line}", flush=True),
    )
    report(session)
    if arguments.json is not None:
        session.write_json(arguments.json)
    return 0 if session.ok else EXIT_FOUND


def _settings(arguments: argparse.Namespace) -> Settings:
    """What the options ask for. Raises UsageError or another of picograd's errors for nonsense."""
    for option in ("minutes", "cases", "jobs", "case_seconds"):
        number = getattr(arguments, option)
        if number is not None and not number > 0:
            raise UsageError(
                f"--{option.replace('_', '-')} cannot be {number}",
                code="PG817",
                expected="a number greater than 0",
                found=str(number),
                hint="leave the option out, or say how long or how many",
            )
    devices = _words(arguments.devices, "--devices", ("reference", "cpu", "gpu"))
    for name in devices:
        find_device(name)  # one that is absent is reported before anything runs
    loads = tuple(str(Path(file).resolve()) for file in arguments.load)
    wanted = as_passes(arguments.passes, load_passes(loads))
    return Settings(
        seed=secrets.randbelow(2**31) if arguments.seed is None else arguments.seed,
        devices=devices,
        prepare=partial(load_passes, loads),
        passes=arguments.passes,
        loads=loads,
        case_seconds=arguments.case_seconds,
        themes=_themes(arguments, wanted),
    )


def _themes(arguments: argparse.Namespace, wanted: Pipeline) -> tuple[str, ...]:
    """What the programs are about."""
    if arguments.themes:
        return _words(arguments.themes, "--themes", ALL_THEMES)
    return themes_for(wanted)


def _words(text: str, option: str, known: Iterable[str]) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    wrong = [word for word in words if word not in known]
    if wrong or not words:
        raise UsageError(
            f"{option} cannot be {text!r}",
            code="PG817",
            expected="names with commas between them, of: " + ", ".join(known),
            found=", ".join(wrong) or "none",
            hint=f"such as {option} '{next(iter(known))}'",
        )
    return words


def report(session: Session) -> None:
    """Print what the run has seen, and where what it found lies."""
    counts = session.counts
    print_table(
        f"{session.programs:,} programs in {session.seconds / 60:.1f} minutes",
        ("counted", "in all", "of these"),
        [
            (name, f"{table.total():,}", _most(table.most_common()))
            for name, table in counts.tables.items()
            if name != "failures" and table
        ],
    )
    for name, times in counts.tables["named"].items():
        print(f"{name} changed {times:,} of {session.programs:,} programs")
    for complaint in session.complaints:
        print(f"fuzz: {complaint}", file=sys.stderr)
    for kind, file in session.findings.files.items():
        times, first = session.findings.counted[kind], session.findings.first[kind]
        print(f"\n{kind}: {times} times\n  {first.headline[:500]}", file=sys.stderr)
        load = "".join(f" --load {name}" for name in session.settings.loads)
        print(f"  again:    picograd fuzz --replay {file}", file=sys.stderr)
        print(f"  drawn:    picograd fuzz {first.name}{load}", file=sys.stderr)


def _most(items: list[tuple[str, int]]) -> str:
    shown = [f"{name} {number:,}" for name, number in items[:_SHOWN] if number]
    rest = len(items) - _SHOWN
    return "\n".join(shown + ([f"… {rest} more"] if rest > 0 else []))


def replay(file: str, loads: list[str]) -> int:
    """Examine the case in a file, and say whether what it expects still happens."""
    if file.endswith(".py"):
        return EXIT_FOUND if getattr(load_python(file), "FOUND", None) else 0
    text = read_text(file)
    named = [*loads_of(text, Path(file).parent), *loads]
    known = load_passes({Path(name).resolve(): name for name in named}.values())
    case = read(text, file, known)
    here = installed_versions()
    for package, number in case.versions.items():
        if here.get(package) != number:
            print(f"note: written with {package} {number}, this is {here.get(package, 'absent')}")
    examined = examination(case.case)
    if examined.failure is None:
        print("nothing is wrong" + (f"; refused: {examined.refused}" if examined.refused else ""))
        return 0
    print(f"{examined.failure.fault.name} in {examined.failure.culprit}\n{examined.failure.detail}")
    print(f"kind: {kind_of(examined.failure)}")
    return EXIT_FOUND
