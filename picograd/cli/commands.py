"""What each command needs of argparse to add itself."""

import argparse
from typing import Protocol


class Commands(Protocol):
    """The place where subcommands are added; argparse gives its own class no public name."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
        """A parser for a new subcommand."""
        ...
