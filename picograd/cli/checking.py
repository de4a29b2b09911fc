"""`picograd opt --check`: passes are validated, and a table says how close each came to its budget.

What is validated, and against what, docs/guide/validation.md tells.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from picograd.cli.values import new_folder
from picograd.compiler.driver import Instrument, run_pipeline
from picograd.compiler.validation.validation import Validation, ValidationRun
from picograd.errors import PassError
from picograd.passes import Pass

EXIT_WRONG = 1


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """Let a command that runs passes take `--check` and `--save`."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="evaluate the module before and after every pass and compare the results",
    )
    parser.add_argument(
        "--save",
        type=new_folder,
        metavar="FOLDER",
        help="with --check: where a module is saved that a pass spoils, for `picograd blame`",
    )


def run_checked(
    module: ModuleOp,
    passes: Sequence[Pass],
    instruments: Sequence[Instrument],
    *,
    seed: int,
    folder: Path | None,
) -> bool:
    """Run the passes on the module, in place, and print a table; whether each of them is right."""
    check = ValidationRun(module, passes, seed=seed, folder=folder, facts=None)
    try:
        check.start()
        run_pipeline(module, passes, instruments=[*instruments, *check.instruments], facts=None)
    except PassError as error:
        print_table(check.outcome(), ended=False)
        print(f"picograd: error: {error}", file=sys.stderr)
        return False
    print_table(check.outcome())
    return True


_HEADER = ("pass", "of its budget", "elements", "undetermined", "seconds")


def print_table(validation: Validation, *, ended: bool = True) -> None:
    """A row for each pass, to standard error: standard output is the module's.

    Unless all passes have `ended` well, there is no line that says that all is validated.
    """
    if not ended and not validation.checks:
        return
    rows = [
        (
            check.step,
            f"{check.used:.2g}" if check.changed else "unchanged",
            f"{check.elements:,}" if check.changed else "",
            f"{check.undetermined:,}" if check.changed else "",
            f"{check.seconds:.2f}",
        )
        for check in validation.checks
    ]
    widths = [max(map(len, column)) for column in zip(_HEADER, *rows, strict=True)]
    for name, *cells in (_HEADER, *rows):
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        print("  ".join([name.ljust(widths[0]), *aligned]), file=sys.stderr)
    for line in validation.remarks if ended else validation.doubts:
        print(line, file=sys.stderr)
