"""x"""
from picograd.dialects.loop import KernelOp
from picograd.targets import Target
from collections.abc import Mapping
from xdsl.ir import Operation
def block_sizes(kernel: KernelOp, target: Target) -> Mapping[Operation, Mapping[str, int]]:
    return {}
def register_sizes(kernel: KernelOp, target: Target) -> Mapping[Operation, Mapping[str, int]]:
    return {}
from picograd.dialects.loop import ReduceOp, ParallelOp
def hoist_target(reduction: ReduceOp, target: Target) -> ParallelOp | None:
    return None
def accumulator_space(target: Target) -> str:
    return ""
def reduce_sizes(reductions: list[ReduceOp], target: Target) -> dict[ReduceOp, tuple[str, int]]:
    return {}
