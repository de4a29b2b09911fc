"""Differential runs: one function on several devices, every value judged where it is made.

A device's program is cut at its kernels: each kernel (or each op, where a mode runs op by op) is
evaluated in float64 on the very operands that the device gave it, and what the device made of them
must lie within the error bound of that evaluation. So rounding does not pile up from kernel to
kernel, budgets stay tight, and the first kernel that exceeds one is the guilty one, not a victim.
The results of the function as a whole are judged too, against the graph as it was traced; when
those are wrong although each kernel is right, a pass that works on whole tensors is to blame, and
is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import FunctionType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import Rewriter

from picograd.backends.runtime import Array, Buffer
from picograd.backends.runtime import device as find_device
from picograd.check.outcome import Outcome, Step
from picograd.compiler.driver import PassRecord, run_pipeline
from picograd.compiler.executable import compile_module
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.pipelines import pipeline, unfused
from picograd.dialects.dtypes import AnyMemRef, AnyTensor, from_ir, from_numpy, tensor_type
from picograd.dialects.kernel import FusedOp
from picograd.dialects.tensor import TensorOp
from picograd.errors import OptionError
from picograd.frontend.modes.eager import single_op_module
from picograd.frontend.modes.ladder import Rung
from picograd.passes.base import Level, Pass, level_of
from picograd.semantics.bounded import Bounded
from picograd.semantics.bounds import ACCURACY, Comparison, analyse, analyse_block, judge
from picograd.semantics.evaluate import entry_of, evaluate


def run_by_kernels(
    module: ModuleOp,
    inputs: Sequence[Array],
    device: str,
    passes: Sequence[Pass],
    sanitize: bool | None = None,
) -> Outcome:
    """Compile a module of tensor level with these passes, and judge every kernel and the results.

    The kernels run in a program of their own, in which every value between kernels is a result;
    whether the passes below share memory rightly shows in the results of the program as it is.
    """
    results = _results_of(module, inputs, device, passes, sanitize)
    upper = _passes_down_to_kernels(passes)
    steps: list[Step] = []
    if upper:
        kernels = module.clone()
        run_pipeline(kernels, passes[:upper])
        _return_everything(entry_of(kernels))
        steps = _judge_kernels(kernels, inputs, device, passes[upper:], sanitize)
    outcome = Outcome(device, tuple(steps), results)
    if results.excesses and outcome.first_divergence is None:
        suspect = _guilty_pass(module, inputs, device, passes)
        return Outcome(device, tuple(steps), results, suspect)
    return outcome


def run_by_ops(
    module: ModuleOp, inputs: Sequence[Array], device: str, sanitize: bool | None = None
) -> Outcome:
    """Run a module of tensor level op by op, as eager tensors do, and judge every op."""
    place, function = find_device(device), entry_of(module)
    buffers: dict[SSAValue, Buffer] = {}
    arrays: dict[SSAValue, Array] = {}
    for argument, array in zip(function.args, inputs, strict=True):
        buffers[argument], arrays[argument] = place.upload(array), array
    steps: list[Step] = []
    outputs: list[Array] = []
    for op in function.body.block.ops:
        if isinstance(op, ReturnOp):
            outputs = [arrays[value] for value in op.operands]
            break
        assert isinstance(op, TensorOp)
        types = [cast(AnyTensor, operand.type) for operand in op.operands]
        single = single_op_module(type(op), types, op.properties)
        executable = compile_module(single, device, sanitize=sanitize, on_disk=False)
        buffers[op.result] = executable.run([buffers[operand] for operand in op.operands])[0]
        arrays[op.result] = place.download(buffers[op.result])
        operands = [arrays[operand] for operand in op.operands]
        expected = analyse(single, operands, ACCURACY[device])
        steps.append(_step(op, [op], op.name, expected, [arrays[op.result]]))
    types = [cast(AnyTensor, type) for type in function.function_type.outputs]
    whole = judge(analyse(module, inputs, ACCURACY[device]), types, outputs)
    return Outcome(device, tuple(steps), whole)


def run_on(
    device: str,
    module: ModuleOp,
    inputs: Sequence[Array],
    *,
    mode: str = "compiled",
    passes: Pipeline | None = None,
    passes_off: Sequence[str] = (),
    sanitize: bool | None = None,
) -> Outcome:
    """Run a module of tensor level on a device in a mode, and judge all that can be seen of it.

    `passes` replaces the device's pipeline; `passes_off` names passes to leave out of it. Both mean
    nothing to modes that run op by op, and to the reference, which evaluates ops as they are.
    `sanitize` checks every access to memory (None: if PICOGRAD_SANITIZE says so).
    Raises DeviceError where there is no such device, OptionError for a mode or pass of no such name
    and for a pass that cannot be left out because it is a lowering.
    """
    rung = Rung.of(mode)
    if not rung.is_traced or device == "reference":
        return run_by_ops(module, inputs, device, sanitize)
    steps = passes if passes is not None else pipeline(device)
    if rung is Rung.GRAPH:
        steps = unfused(steps)
    for name in passes_off:
        _check_is_no_lowering(steps, name)
    return run_by_kernels(module, inputs, device, steps.without(*passes_off), sanitize)


def _check_is_no_lowering(steps: Pipeline, name: str) -> None:
    for step in steps:
        if step.name == name and step.is_lowering():
            raise OptionError(
                f"the pipeline cannot do without {name!r}",
                code="PG705",
                expected="a pass that stays on its level",
                found=f"a lowering, from {step.level_in} to {step.level_out}",
                hint="leave out passes that only make the program faster",
            )


def _results_of(
    module: ModuleOp,
    inputs: Sequence[Array],
    device: str,
    passes: Sequence[Pass],
    sanitize: bool | None,
) -> Comparison:
    place = find_device(device)
    executable = compile_module(module, device, passes=passes, sanitize=sanitize, on_disk=False)
    results = executable.run([place.upload(array) for array in inputs])
    types = [cast(AnyTensor, type) for type in entry_of(module).function_type.outputs]
    expected = analyse(module, inputs, ACCURACY[device])
    return judge(expected, types, [place.download(result) for result in results])


def _passes_down_to_kernels(passes: Sequence[Pass]) -> int:
    """How many passes leave the module at kernel level; 0 when none does."""
    return max(
        (n + 1 for n, step in enumerate(passes) if step.level_out == Level.KERNEL), default=0
    )


def _return_everything(function: FuncOp) -> None:
    """Let a function of kernel level return, after its own results, every other kernel's."""
    terminator = function.body.block.last_op
    assert isinstance(terminator, ReturnOp)
    returned = list(terminator.operands)
    for op in function.body.block.ops:
        if isinstance(op, FusedOp):
            returned += [value for value in op.results if value not in terminator.operands]
    Rewriter.replace_op(terminator, ReturnOp(*returned))
    types = [value.type for value in returned]
    function.properties["function_type"] = FunctionType.from_lists(
        function.function_type.inputs.data, types
    )
    function.properties.pop("res_attrs", None)


def _judge_kernels(
    module: ModuleOp,
    inputs: Sequence[Array],
    device: str,
    rest: Sequence[Pass],
    sanitize: bool | None,
) -> list[Step]:
    function, place = entry_of(module), find_device(device)
    block = function.body.block
    # Types may have been legalized: a GPU without 64-bit integers takes its labels as i32.
    given = [_as_type(array, value) for array, value in zip(inputs, block.args, strict=True)]
    executable = compile_module(module, device, passes=rest, sanitize=sanitize, on_disk=False)
    outputs = executable.run([place.upload(array) for array in given])
    arrays: dict[SSAValue, Array] = dict(zip(block.args, given, strict=True))
    assert block.last_op is not None
    for value, output in zip(block.last_op.operands, outputs, strict=True):
        arrays[value] = place.download(output)
    steps: list[Step] = []
    for op in block.ops:
        if isinstance(op, FusedOp):
            operands = [arrays[value] for value in op.inputs]
            expected = analyse_block(op.block, operands, ACCURACY[device])
            found = [arrays[value] for value in op.results]
            inner = [step for step in op.block.ops if isinstance(step, TensorOp)]
            steps.append(_step(op, inner, op.label.data, expected, found))
    return steps


def _step(
    op: Operation,
    inner: Sequence[TensorOp],
    label: str,
    expected: Sequence[Bounded],
    found: Sequence[Array],
) -> Step:
    types = [cast(AnyTensor, value.type) for value in op.results]
    lines = [step.attributes.get("at") for step in inner]
    return Step(
        label=label.removeprefix("pico."),
        values=tuple(value.name_hint or "" for value in op.results),
        ops=tuple(_spell(step) for step in inner),
        at=tuple(dict.fromkeys(line.data for line in lines if isinstance(line, StringAttr))),
        text=str(op),
        comparison=judge(expected, types, found),
    )


def _spell(op: TensorOp) -> str:
    kind = getattr(op.properties.get("kind"), "data", None)
    return " ".join([op.name.removeprefix("pico."), *([str(kind)] if kind else [])])


def _as_type(array: Array, value: SSAValue) -> Array:
    element_type = cast(AnyTensor | AnyMemRef, value.type).element_type
    return array.astype(from_ir(element_type).numpy, copy=False)


class _FirstWrong:
    """An instrument that evaluates the module after each pass, until the results are wrong."""

    def __init__(self, expected: Sequence[Bounded], inputs: Sequence[Array]) -> None:
        self.expected = expected
        self.inputs = inputs
        self.guilty = ""

    def before(self, step: Pass, module: ModuleOp) -> None:
        """Nothing: every module is seen after a pass."""

    def after(self, step: Pass, module: ModuleOp, record: PassRecord) -> None:
        """Hold what the module means now against what it meant when it was traced."""
        if self.guilty or level_of(module) == Level.LOOP:
            return
        block = entry_of(module).body.block
        # At buffer level the results follow the inputs.
        pairs = zip(self.inputs, block.args, strict=False)
        given = [_as_type(array, value) for array, value in pairs]
        found = evaluate(module, given)
        types = [tensor_type(array.shape, from_numpy(array.dtype)) for array in found]
        if judge(self.expected, types, found).excesses:
            self.guilty = record.spelling


def _guilty_pass(
    module: ModuleOp, inputs: Sequence[Array], device: str, passes: Sequence[Pass]
) -> str:
    """The first pass above the loops after which the module means something else; or no text."""
    search = _FirstWrong(analyse(module, inputs, ACCURACY[device]), inputs)
    run_pipeline(module.clone(), passes, instruments=[search])
    return search.guilty
