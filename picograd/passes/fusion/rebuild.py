"""From groups back to kernels: one `kernel.fused` a group, in an order that respects reads."""

from xdsl.ir import Block, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects.bindings import absorbed_attr
from picograd.dialects.kernel import FusedOp, YieldOp
from picograd.dialects.quick import clone
from picograd.passes.cse import merge_equal
from picograd.passes.dce import erase_dead
from picograd.passes.fusion.body import Body
from picograd.passes.fusion.graph import Graph
from picograd.passes.fusion.labels import label_for
from picograd.passes.outline_kernels import is_free


def rebuild(graph: Graph) -> None:
    """Replace the kernels of a graph's function by one for each group; unread ones vanish."""
    bodies = [graph.body_of(graph.part_of(group)) for group in graph.in_order()]
    outside: dict[SSAValue, SSAValue] = {}
    for body in bodies:
        if body.outputs:
            kernel = _kernel_of(body, outside)
            Rewriter.insert_op(kernel, InsertPoint.before(graph.terminator))
            outside.update(zip(body.outputs, kernel.outputs, strict=True))
    for index, value in enumerate(graph.terminator.operands):
        graph.terminator.operands[index] = outside.get(value, value)
    for old in reversed(graph.kernels):
        Rewriter.erase_op(old)


def _kernel_of(body: Body, outside: dict[SSAValue, SSAValue]) -> FusedOp:
    """One kernel of all the ops of a body; `outside` maps what earlier kernels provide."""
    block = Block()
    inside: dict[SSAValue, SSAValue] = {}
    inputs: list[SSAValue] = []

    def operand(value: SSAValue) -> SSAValue:
        if value not in inside:
            given = outside.get(value, value)
            inside[value] = block.insert_arg(given.type, len(inputs))
            inside[value].name_hint = given.name_hint
            inputs.append(given)
        return inside[value]

    for op in body.ops:
        operands = [operand(value) for value in body.operands(op)]
        copy = clone(op, dict(zip(op.operands, operands, strict=True)))
        block.add_op(copy)
        inside[op.result] = copy.results[0]
    block.add_op(YieldOp([operand(value) for value in body.results]))
    kernel = FusedOp(label_for(body), inputs, Region(block))
    merge_equal(kernel)
    erase_dead(kernel)
    _drop_unread_inputs(kernel)
    kernel.absorbed = absorbed_attr(_absorbed(kernel, body))
    for result, value in zip(kernel.outputs, body.outputs, strict=True):
        result.name_hint = value.name_hint
    return kernel


def _drop_unread_inputs(kernel: FusedOp) -> None:
    keep = [argument.first_use is not None for argument in kernel.block.args]
    for argument in tuple(kernel.block.args):
        if argument.first_use is None:
            kernel.block.erase_arg(argument)
    kernel.operands = [v for v, kept in zip(kernel.inputs, keep, strict=True) if kept]


def _absorbed(kernel: FusedOp, body: Body) -> list[str]:
    """Names of values that are computed inside and do not leave, in order."""
    names = [name for old in body.kernels for name in old.absorbed_names]
    leaving = {value.name_hint for value in body.outputs}
    leaving |= {value.name_hint for value in kernel.yield_op.values}
    for op in kernel.block.ops:
        if op.results and not is_free(op):
            hint = op.results[0].name_hint
            if hint is not None and hint not in leaving:
                names.append(hint)
    return list(dict.fromkeys(names))
