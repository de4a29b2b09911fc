"""`picograd blame`: which pass is wrong, and which rewrite of it; or which store of a device."""

import argparse

from picograd.check.blame import Blame, blame
from picograd.cli.cases import add_case_options, read_given, refusal_of
from picograd.cli.commands import Commands, show_examples

EXIT_BLAMED = 1


def add_parser(commands: Commands) -> None:
    """Add `blame` to the command."""
    parser = commands.add_parser(
        "blame",
        help="name the pass, and the one rewrite of it, that makes a program wrong",
        description="Run passes on a module, look after each whether the module still means the "
        "same, and name the first pass that is wrong: crash, IR that does not verify, other "
        "results. Then run that pass with its first rewrites only, and print the one with which it "
        "goes wrong, before and after. When all passes are right and the device is not, name its "
        "kernel and the first store that differs. Ends with 1 when somebody is blamed.",
    )
    add_case_options(parser)
    parser.set_defaults(run=run)
    show_examples(
        parser,
        "blame model.mlir --load my_pass.py --passes my_pass,canonicalize",
        "blame model.mlir --device gpu",
        "blame model.py:layer --load my_pass.py --insert 'my_pass after canonicalize'",
        "blame failure.mlir                       a file that fuzz or reduce has written",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    given = read_given(arguments)
    for case in given.cases:
        found = blame(case)
        if found is not None:
            print(f"{found}\n{_advice(found)}")
            return EXIT_BLAMED
    if refused := refusal_of(given):
        print(f"nobody is to blame: the program is refused: {refused}")
        return 0
    sets = len(given.cases)
    print(f"nobody is to blame: everything agrees on {sets} set{'s' * (sets != 1)} of inputs")
    return 0


def _advice(found: Blame) -> str:
    """What to do next."""
    if found.on_device:
        return "  help:     look at what the code does there; `picograd reduce` makes it less code"
    return "  help:     mend the rule, or leave the pass out; `picograd reduce` shrinks the module"
