"""What the values of options must be, checked before a command begins its work.

Each function is a `type` of argparse's: it takes a word of the command line and returns what the
word stands for. Places to write to are looked at now, since half an hour later is too late.
"""

import argparse
import math
import os
from pathlib import Path


def seed(text: str) -> int:
    """The seed of random numbers: an integer from 0 on."""
    if text.isascii() and text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no seed: an integer that is not negative")


def seconds(text: str) -> float:
    """A time: more than nothing."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if number > 0:
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is no time: a number of seconds greater than 0")


def new_folder(text: str) -> Path:
    """A folder that files can be written to; it is made when the first one is."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a file, and must be a folder")
    _check_writable(path, text)
    return path


def new_file(text: str) -> Path:
    """A file that can be written."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder, and must be a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written: there is no such folder")
    _check_writable(path, text)
    return path


def _check_writable(path: Path, text: str) -> None:
    """Look at the path, or at the innermost folder above it that is there."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    if place != path.absolute() and not place.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written: {place} is no folder")
    if not os.access(place, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written: no permission at {place}")
