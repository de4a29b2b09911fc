"""Tables and progress bars. Everything that needs rich is here, and loads it when first drawn.

Loading rich takes longer than most commands run, and `opt` never draws: hence the imports inside
the functions, which are the only ones of the command.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """A bar that fills up."""

    def advance(self, message: str) -> None:
        """One step further; `message` stands beside the bar."""
        ...


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text under a header: the first column to the left, the others to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        # A file or a pipe has no width of its own: never cut a table there.
        console = Console(width=160)
    # Not the table's own title, which is folded to the table's width.
    # `model.py:ten:` is no emoji, nor is a list in brackets a style.
    console.print(title, highlight=False, emoji=False, markup=False)
    console.print(table)


@contextmanager
def progress(description: str, steps: int) -> Generator[Progress]:
    """A progress bar of so many steps; where the output is no terminal, a line at the end."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import (
        Progress as RichProgress,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[message]}"),
        TimeElapsedColumn(),
    )
    with RichProgress(*columns) as bar:
        task = bar.add_task(description, total=steps, message="")

        class Bar:
            def advance(self, message: str) -> None:
                bar.update(task, advance=1, message=message)

        yield Bar()
