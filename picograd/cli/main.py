"""The command's front door: one parser, one place where errors become messages.

A mistake of the user's (PicogradError) prints its explanation and exits with 2. Anything else that
escapes is a bug of picograd's: it is reported in three lines that say so, and shown in full when
`PICOGRAD_TRACEBACK=1` asks for it.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType

from picograd.cli import (
    bench,
    blame,
    cache,
    demo,
    diff,
    doctor,
    dump,
    exercise,
    explain,
    fuzz,
    new,
    opt,
    profile,
    reduce,
    tune,
)
from picograd.cli.commands import EXIT_MISTAKE, Parser, show_examples
from picograd.cli.files import UsageError
from picograd.errors import PicogradError


def entry() -> int:
    """What a shell starts: `main`, with a report for a traceback if picograd itself fails."""
    sys.excepthook = report_bug
    return main()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 (the command says why) or 2 (a mistake)."""
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = build_parser().parse_args(words)
    arguments.argv = words
    try:
        return arguments.run(arguments)
    except PicogradError as error:
        print(f"picograd: error: {error}", file=sys.stderr)
        return EXIT_MISTAKE
    except BrokenPipeError:
        # The reader of our output (head, a pager) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        print(f"picograd: error: {_about_a_file(error)}", file=sys.stderr)
        return EXIT_MISTAKE
    except KeyboardInterrupt:
        print("picograd: interrupted", file=sys.stderr)
        return 130


def _about_a_file(error: OSError) -> UsageError:
    """What the system says of a file: no permission, no room, and the like."""
    return UsageError(
        f"cannot use {error.filename}",
        code="PG814",
        expected="a file or folder that can be read and written",
        found=error.strerror or str(error),
        hint="check the path, its permissions, and that there is room on the disk",
    )


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = Parser(
        prog="picograd",
        description="A teaching compiler for tensor programs: readable IR at every level, "
        "real code on the CPU and the GPU.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    tools = (dump, diff, opt, blame, reduce, fuzz)
    for command in (demo, *tools, profile, tune, bench, new, exercise, cache, doctor, explain):
        command.add_parser(commands)
    show_examples(
        parser,
        "demo                                     train a classifier, see what happened",
        "dump model.py:layer --out dump           follow a function down to assembly",
        "diff model.py:layer                      compare every value between devices",
        "opt model.mlir --passes canonicalize     run passes on IR",
        "profile model.py:layer                   time each kernel",
        "tune model.py:layer                      find faster schedules for its kernels",
        "blame model.mlir --passes my_pass        name the rewrite that is wrong",
        "reduce model.mlir --passes my_pass       make a small module of one that fails",
        "fuzz --minutes 30                        look for faults with random programs",
        "new pass my_pass                         write a pass of your own",
        "exercise list                            write passes as exercises",
        "cache                                    show what was compiled and kept on disk",
        "explain PG103                            what the code of an error means",
        "COMMAND --help                           options and examples of a command",
    )
    return parser


def report_bug(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say in three lines that picograd itself failed, and where; all of it on request."""
    if os.environ.get("PICOGRAD_TRACEBACK") == "1":
        traceback.print_exception(kind, error, trace)
        return
    frames = traceback.extract_tb(trace)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
    print(
        f"picograd: [PG901] this is a bug in picograd: {kind.__name__}: {error}\n"
        f"  at:       {where}\n"
        "  help:     set PICOGRAD_TRACEBACK=1 and run it again to see how it came about",
        file=sys.stderr,
    )
