"""`picograd new pass`: the files of a pass of one's own, which work as they are."""

import argparse
from pathlib import Path

from picograd.cli.commands import Commands, show_examples
from picograd.compiler.registry import Registry
from picograd.passes import Level
from picograd.study.scaffold import check_name, write_pass

# Where a pass of each level finds work.
_PLACES = {
    Level.TENSOR: "after canonicalize",
    Level.KERNEL: "after fuse",
    Level.BUFFER: "before plan_buffers",
    Level.LOOP: "after lower_buffers_to_loops",
}


def add_parser(commands: Commands) -> None:
    """Add `new` to the command."""
    parser = commands.add_parser(
        "new",
        help="write the files of a pass of your own",
        description="Write a small pass that works, its test and its page, to be changed.",
    )
    kinds = parser.add_subparsers(metavar="KIND", required=True)
    one = kinds.add_parser(
        "pass",
        help="a pass, its test and its page",
        description="Write NAME.py, test_NAME.py and NAME.md.",
    )
    one.add_argument("name", metavar="NAME", help="verb and object, such as merge_scales")
    one.add_argument(
        "--level",
        choices=[str(level) for level in Level],
        default=str(Level.TENSOR),
        help="the level that it works on (%(default)s)",
    )
    one.add_argument("--dir", type=Path, default=Path(), help="the folder for the files (this one)")
    one.set_defaults(run=run)
    show_examples(one, "new pass merge_scales", "new pass pad_rows --level buffer --dir passes")
    show_examples(parser, "new pass merge_scales --level tensor")


def run(arguments: argparse.Namespace) -> int:
    """`picograd new pass NAME`."""
    name, level = arguments.name, Level(arguments.level)
    check_name(name, Registry())
    source, test, page = write_pass(name, level, arguments.dir)
    print(f"{source}  the pass")
    print(f"{test}  its test: pytest {test}")
    print(f"{page}  its page")
    place = _PLACES[level]
    print(f"picograd dump model.py:f --load {source} --insert '{name} {place}'  shows it at work")
    return 0
