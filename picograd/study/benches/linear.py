"""A linear layer three times: as plain loops, in blocks, and in blocks of register tiles.

The contenders are one program. What differs is which passes run: the lists leave some of the
device's pipeline out.
"""

from __future__ import annotations

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.pipelines import pipeline
from picograd.quick_dataclasses import dataclass
from picograd.study.benches.pass_lists import Comparison, compare
from picograd.study.benches.products import linear_operands, linear_text, share_of_budget

BLOCKING = ("tile_loops", "hoist_reduce", "stage_operands")
"""What makes blocks and copies their operands; on a GPU `round_up_loops` belongs to them."""


@dataclass(frozen=True)
class Shape:
    """So many rows go through a layer from `depth` features to `columns`."""

    rows: int
    columns: int
    depth: int

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.rows * self.columns * self.depth

    def __str__(self) -> str:
        return f"{self.rows}x{self.depth}x{self.columns}"


def pass_lists(device: str) -> dict[str, Pipeline]:
    """The pipelines to compare. The second `tile_loops` of each makes the register tiles."""
    full = pipeline(device)
    if device == "gpu":
        return {
            "naive": full.without(*BLOCKING, "round_up_loops"),
            "tiled": full.replace("tile_loops", number=2),
            "register-blocked": full,
        }
    return {
        "naive": full.without(*BLOCKING, "vectorize_loops"),
        "tiled": full.replace("tile_loops", number=2).without("vectorize_loops"),
        "register-blocked": full,
    }


def measure(device: str, shape: Shape, rounds: int) -> Comparison:
    """relu(x @ w + b) of one shape with each list. Raises ArithmeticError for a wrong result."""
    sizes = shape.rows, shape.columns, shape.depth
    operands = linear_operands(*sizes)
    module = parse_module(linear_text(*sizes), "a linear layer")
    return compare(
        module,
        device,
        pass_lists(device),
        operands,
        lambda found: share_of_budget(operands, found),
        rounds,
    )
