"""What each command needs of argparse to add itself."""

import argparse
from typing import NoReturn, Protocol

from picograd.cli.files import UsageError

EXIT_MISTAKE = 2
"""The exit status for a mistake of the user's."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the options as all errors are said, and ends with their status.

    Subcommands are parsed by parsers of the same class.
    """

    def error(self, message: str) -> NoReturn:
        error = UsageError(
            f"`{self.prog}` cannot be followed with these words",
            code="PG817",
            expected=" ".join(self.format_usage().removeprefix("usage: ").split()),
            found=message,
            hint=f"`{self.prog} --help` tells what each option means, and shows examples",
        )
        self.exit(EXIT_MISTAKE, f"picograd: error: {error}\n")


class Commands(Protocol):
    """The place where subcommands are added; argparse gives its own class no public name."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
        """A parser for a new subcommand."""
        ...


class _Formatter(argparse.HelpFormatter):
    """Fills paragraphs, and leaves the lines of examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return text
        return super()._fill_text(text, width, indent)


def show_examples(parser: argparse.ArgumentParser, *lines: str) -> None:
    """Let the help of a command end with examples, one a line."""
    parser.epilog = "\n".join(["examples:", *(f"  picograd {line}" for line in lines)])
    parser.formatter_class = _Formatter
