"""`picograd cache`: what picograd keeps on disk, compiled programs and tuned schedules."""

import argparse
import time

from picograd.backends.disk.settings import (
    LIMIT,
    SWITCH,
    cache_folder,
    limit,
    program_store,
    schedule_store,
    shared_store,
)
from picograd.backends.disk.store import Store
from picograd.backends.runtime import device
from picograd.cli.commands import Commands, show_examples
from picograd.cli.display import print_table
from picograd.compiler.kept import tuned
from picograd.compiler.kept.programs import facts_in
from picograd.errors import OptionError

_ROWS = 20


def add_parser(commands: Commands) -> None:
    """Add `cache` to the command."""
    parser = commands.add_parser(
        "cache",
        help="show or remove the compiled programs and tuned schedules that are kept on disk",
        description="Programs that were compiled once are kept on disk, and loaded by later "
        "processes in a millisecond. Which one is taken depends on the module, the passes and "
        "their sources, picograd's own sources, the processor and the versions of libraries, so "
        "nothing here has to be removed for results to be right. Schedules that `picograd tune` "
        "has found are kept beside them.",
    )
    parser.add_argument(
        "what", nargs="?", choices=("show", "clear"), default="show", help="(%(default)s)"
    )
    parser.add_argument("--all", action="store_true", help=f"list all, not just {_ROWS}")
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
        schedules = sum(len(table) for table in tuned.tables())
        if schedule_store().evict(0):
            print(f"removed {schedules} tuned schedule{'' if schedules == 1 else 's'}")
        shared = shared_store()
        if shared is not None and shared.evict(0):
            print("removed what all programs share")
        return 0
    _show_programs(store, show_all=arguments.all)
    _show_schedules(show_all=arguments.all)
    return 0


def _show_programs(store: Store, *, show_all: bool) -> None:
    held = store.held()
    size = sum(entry.nbytes for entry in held)
    facts = [
        ("folder", str(store.folder)),
        ("programs", f"{len(held)}"),
        ("size", _size(size)),
        ("limit", f"{_size(limit())} ({LIMIT} sets another one)"),
    ]
    print_table("Compiled programs on disk", ("fact", "value"), facts)
    shown = held[::-1] if show_all else held[: -_ROWS - 1 : -1]
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


def _show_schedules(*, show_all: bool) -> None:
    """The schedules that this machine's kernels follow; of others, how many there are."""
    every = sum(len(table) for table in tuned.tables())
    if not every:
        return
    here = tuned.remembered(device("cpu"))
    rows = [
        (digest[:12], found.kernel, found.choices, *_microseconds(found))
        for digest, found in here.items()
    ]
    if rows:
        columns = ("digest", "kernel", "schedule", "cost model's µs", "tuned µs", "times")
        shown = rows if show_all else rows[-_ROWS:]
        print_table(f"Tuned schedules, {len(shown)} of {len(rows)}", columns, shown)
    if every > len(here):
        print(f"{every - len(here)} tuned schedules are of other machines or versions of picograd.")


def _microseconds(found: tuned.Tuned) -> tuple[str, str, str]:
    ratio = found.before / found.after if found.after else 0.0
    return f"{found.before * 1e6:,.1f}", f"{found.after * 1e6:,.1f}", f"{ratio:.2f}"


def _size(nbytes: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1 << 10:
            return f"{nbytes} {unit}"
        nbytes = round(nbytes / 1024)
    return f"{nbytes} GiB"
