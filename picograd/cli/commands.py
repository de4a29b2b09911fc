"""What each command needs of argparse to add itself."""

import argparse
from typing import Protocol


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
