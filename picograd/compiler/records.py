"""What the driver notes of each pass that it has run."""

from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class PassRecord:
    """What one pass did: its spelling with options, its time, and the module's ops."""

    name: str
    spelling: str
    seconds: float
    verify_seconds: float
    ops_before: int
    ops_after: int
