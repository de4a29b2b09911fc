"""Which launches of the lowering a launch stands for, once some have been merged."""

from xdsl.dialects.builtin import DenseArrayBase
from xdsl.dialects.func import FuncOp

from picograd.dialects.loop import LaunchOp

LAUNCHES = "launches"
"""A note on a launch: the numbers of those that it was made of, counted before any was merged."""


def launch_numbers(main: FuncOp) -> dict[LaunchOp, list[int]]:
    """For each launch the numbers of those that it stands for.

    Launches without a note stand for themselves, and have kept their order.
    """
    launches = [op for op in main.body.block.ops if isinstance(op, LaunchOp)]
    noted: dict[LaunchOp, list[int]] = {}
    for launch in launches:
        note = launch.attributes.get(LAUNCHES)
        if isinstance(note, DenseArrayBase):
            noted[launch] = [int(number) for number in note.get_values()]
    taken = {number for numbers in noted.values() for number in numbers}
    total = len(launches) - len(noted) + len(taken)
    free = iter([number for number in range(total) if number not in taken])
    return {launch: noted[launch] if launch in noted else [next(free)] for launch in launches}
