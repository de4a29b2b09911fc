"""`picograd cache`: the compiled programs that picograd keeps on disk, to look at and to remove."""

import argparse
import time

from picograd.backends.disk.settings import LIMIT, SWITCH, cache_folder, limit, program_store
from picograd.cli.commands import Commands, show_examples
from picograd.cli.display import print_table
from picograd.compiler.kept.programs import facts_in
from picograd.errors import OptionError

_ROWS = 20


def add_parser(commands: Commands) -> None:
    """Add `cache` to the command."""
    parser = commands.add_parser(
        "cache",
        help="show or remove the compiled programs that are kept on disk",
        description="Programs that were compiled once are kept on disk, and loaded by later "
        "processes in a millisecond. Which one is taken depends on the module, the passes and "
        "their sources, picograd's own sources, the processor and the versions of libraries, so "
        "nothing here has to be removed for results to be right.",
    )
    parser.add_argument(
        "what", nargs="?", choices=("show", "clear"), default="show", help="(%(default)s)"
    )
    parser.add_argument("--all", action="store_true", help=f"list all programs, not just {_ROWS}")
    parser.set_defaults(run=run)
    show_examples(parser, "cache", "cache show --all", "cache clear")


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    store = program_store()
    if store is None:
        raise OptionError(
            "no compiled programs are kept on disk",
            code="PG801",
            expected=f"{SWITCH} to be 1, or not set",
            found=f"{SWITCH}, which turns it off",
            hint=f"take {SWITCH} away, or remove the folder {cache_folder() / 'programs'} by hand",
        )
    if arguments.what == "clear":
        removed = store.evict(0)
        print(f"removed {removed} program{'' if removed == 1 else 's'} from {store.folder}")
        return 0
    held = store.held()
    size = sum(entry.nbytes for entry in held)
    facts = [
        ("folder", str(store.folder)),
        ("programs", f"{len(held)}"),
        ("size", _size(size)),
        ("limit", f"{_size(limit())} ({LIMIT} sets another one)"),
    ]
    print_table("Compiled programs on disk", ("fact", "value"), facts)
    shown = held[::-1] if arguments.all else held[: -_ROWS - 1 : -1]
    rows: list[tuple[str, ...]] = []
    for entry in shown:
        payload = store.get(entry.key, using=False)
        if payload is not None:  # it may be gone by now
            about = facts_in(payload)
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
            row = (about.device, f"{about.kernels}", about.signature, f"{about.seconds:.2f} s")
            rows.append((entry.key[:12], used, _size(entry.nbytes), *row))
    if rows:
        title = "Last used first" if len(rows) == len(held) else f"The {len(rows)} last used"
        columns = ("program", "last used", "size", "device", "kernels", "signature", "compiled in")
        print_table(title, columns, rows)
    return 0


def _size(nbytes: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1 << 10:
            return f"{nbytes} {unit}"
        nbytes = round(nbytes / 1024)
    return f"{nbytes} GiB"
