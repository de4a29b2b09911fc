"""What a pass, or a device, may do wrong."""

from enum import StrEnum


class Fault(StrEnum):
    """What a pass may do wrong."""

    CRASH = "it raised an exception"
    INVALID = "it left IR that does not verify"
    SIGNATURE = "it changed the function's arguments or results"
    ARGUMENT = "what it made writes into an argument of the function"
    RULE = "it broke a rule of the task"
    VALUES = "it changed what the program computes"
    MEMORY = "what it made reads or writes memory that it must not"
