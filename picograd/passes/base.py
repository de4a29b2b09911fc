"""What a pass is: a frozen dataclass that rewrites a module and says what it needs and gives.

The fields of a pass are its options, spelled alike in Python (`TileLoops(sizes="j=48")`) and on
the command line (`tile_loops{sizes="j=48"}`).
"""

from abc import abstractmethod
from enum import StrEnum
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from picograd.quick_dataclasses import dataclass


class Level(StrEnum):
    """The four levels of the road, from the user's tensors down to loops."""

    TENSOR = "tensor"
    KERNEL = "kernel"
    BUFFER = "buffer"
    LOOP = "loop"


# The prefix of an op's name, and the level that its presence puts a module at. `pico.*` ops live
# inside kernels as well, so they decide nothing: without any of these a module is at tensor level.
_LEVEL_OF_PREFIX = {"kernel": Level.KERNEL, "buffer": Level.BUFFER, "loop": Level.LOOP}
_KERNELS = frozenset({"kernel.fused", "buffer.kernel", "loop.launch", "loop.kernel"})
_DEPTH = {level: depth for depth, level in enumerate(Level)}


def level_of(module: ModuleOp) -> Level:
    """The level a module stands at: the lowest level that any of its ops belongs to.

    Only the module's own ops and those directly in its functions decide. A function with
    `buffer.output` arguments is at buffer level, however empty it is.
    """
    found = {Level.TENSOR}
    for op in module.ops:
        found.add(_level_of_op(op))
        if isinstance(op, FuncOp):
            found |= {_level_of_op(inner) for block in op.body.blocks for inner in block.ops}
            arguments = op.arg_attrs or ()
            if any("buffer.output" in attributes.data for attributes in arguments):
                found.add(Level.BUFFER)
    return max(found, key=_DEPTH.__getitem__)


def _level_of_op(op: Operation) -> Level:
    return _LEVEL_OF_PREFIX.get(op.name.partition(".")[0], Level.TENSOR)


def stands_at(module: ModuleOp, level: Level) -> bool:
    """Whether a pass that works on `level` may be given the module.

    A module that computes nothing (results without elements, say) stands at every level.
    """
    return level_of(module) == level or not any(
        op.name.startswith("pico.") or op.name in _KERNELS for op in module.walk()
    )


@dataclass(frozen=True)
class Pass(ModulePass):
    """Base class of every pass.

    `requires` and `establishes` are facts about the module that its level alone does not tell,
    such as "tiled" or "vectorized". The driver refuses a pass whose facts no earlier pass
    established, and draws random legal orders from these declarations.
    """

    level_in: ClassVar[Level]
    level_out: ClassVar[Level]
    requires: ClassVar[frozenset[str]] = frozenset()
    establishes: ClassVar[frozenset[str]] = frozenset()
    adds_results: ClassVar[bool] = False
    """Whether the function returns more than before, which only who asks for the pass expects."""
    approximates: ClassVar[bool] = False
    """Whether the pass puts other arithmetic in the place of some, good to the last digits of the
    type that is printed: the one reason for a float64 run to differ before and after."""
    alone: ClassVar[bool] = False
    """Whether a pass of loop level treats each kernel by itself, whatever else is in the module.
    Then it is given the kernels one by one, each in a module of its own (`compiler/alone.py`)."""
    changes_types: ClassVar[bool] = False
    """Whether the pass may give arguments and results other element types."""

    @classmethod
    def is_lowering(cls) -> bool:
        """Whether the pass leaves the module at another level than it found it at."""
        return cls.level_in != cls.level_out

    @abstractmethod
    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite `op` in place; it verifies before, and must verify after."""
