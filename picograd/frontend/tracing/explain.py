"""`picograd.explain`: what a compiled function or a tensor is, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from picograd.backends.runtime import device as find_device
from picograd.compiler.kernel_descriptions import lines_of, name_ops
from picograd.dialects.dtypes import AnyTensor, dtype_of
from picograd.dialects.kernel import FusedOp
from picograd.errors import OptionError
from picograd.frontend.autodiff.tape import BarrierNode, CallNode, LeafNode, Node
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.ladder import LADDER, Rung
from picograd.frontend.plans.node import PlanNode
from picograd.frontend.problems import located
from picograd.frontend.storage.views import View
from picograd.frontend.tracing.compiled import CompiledFunction
from picograd.frontend.tracing.version import Version
from picograd.passes.base import Level
from picograd.quick_dataclasses import dataclass

_MOST = 20
"""So many kernels or rules are listed; of the others the number is told."""

_MODES = {
    Rung.REFERENCE: "each op runs by itself, in NumPy, and nothing is compiled",
    Rung.IMMEDIATE: "each op runs by itself, and is compiled every time",
    Rung.CACHED: "each op runs by itself, through an executable kept since its first use",
    Rung.GRAPH: "it runs as one submission, in which each op is a kernel of its own",
    Rung.COMPILED: "it runs as one submission, after all passes",
}


@dataclass(frozen=True)
class Explanation:
    """Lines to be read: print it, or let the interpreter show it."""

    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    __repr__ = __str__


def explain(subject: object) -> Explanation:
    """What would run, and why, in plain words.

    Of a compiled function it tells the mode, each version with the reason why it was made, its
    kernels and what they fuse, its memory, and where to look further. Of a tensor it tells where
    its storage lives, what it is a view of, how it was computed, and what `backward()` would run.
    Nothing is computed or compiled. Raises OptionError for other objects.
    """
    if isinstance(subject, CompiledFunction):
        return Explanation(tuple(_of_function(cast(CompiledFunction[..., Any], subject))))
    if isinstance(subject, TensorCore):
        return Explanation(tuple(_of_tensor(subject)))
    raise located(
        OptionError(
            "explain() knows tensors and compiled functions",
            code="PG506",
            expected="a tensor, or what picograd.compile returned",
            found=f"an object of type {type(subject).__name__}",
            hint="pass the function through picograd.compile first, and call it once",
        )
    )


# Compiled functions


def _of_function(compiled: CompiledFunction[..., Any]) -> Iterator[str]:
    name = getattr(compiled.function, "__name__", type(compiled.function).__name__)
    name = name if name.isidentifier() else "function"
    versions = compiled.versions
    rung = LADDER.rung
    yield f"{name}: a compiled function"
    yield f"  mode {str(rung)!r}: {_MODES[rung]}"
    if not versions:
        yield "  it was not traced yet: " + (
            "its first call traces and compiles it"
            if rung.is_traced
            else "this mode needs no trace"
        )
        return
    yield f"  compiled {_times(len(versions))}:"
    for number, version in enumerate(versions, 1):
        yield from _of_version(number, version)
    dumps = [str(version.making.dump) for version in versions if version.making.dump is not None]
    if dumps:
        yield "  the IR after every pass is in " + ", ".join(dumps)
    else:
        yield f"  to see the IR after every pass: picograd.compile({name}, dump='folder'),"
        yield "    or PICOGRAD_DUMP=folder for all functions of a program"
    yield f'  to see the last one called: {name}.ir("kernel"), .ir("loop"), .ir("target")'


def _of_version(number: int, version: Version) -> Iterator[str]:
    making, executable = version.making, version.executable
    report = executable.report
    recording = "" if version.key.recording else ", under no_grad"
    yield f"  {number}. in mode {str(version.key.rung)!r}{recording}, because {making.reason}"
    yield (
        f"     made at {making.when:%H:%M:%S} in {making.seconds:.2f} s, of which the compiler "
        f"took {report.compile_seconds:.2f} s when it first met this graph"
    )
    yield f"     takes {_count(len(executable.inputs), 'tensor')}, gives {len(executable.outputs)}"
    where = f"{report.device} ({executable.device.adapter})"
    kernels = _kernels(version)
    if not report.kernels and not kernels:
        yield f"     runs on {where}, op by op: this device has no kernels"
        return
    yield (
        f"     runs on {where}: {_count(report.kernels, 'kernel')} in one submission "
        f"({report.kernels_unfused} if each op had one)"
    )
    for kernel in kernels[:_MOST]:
        yield f"       {kernel.label.data}: {_fused(kernel)}"
    if len(kernels) > _MOST:
        yield f"       … and {len(kernels) - _MOST} more"
    yield (
        f"     memory between kernels: {report.bytes_planned:,} bytes "
        f"({report.bytes_unplanned:,} if no two values shared any)"
    )
    if version.constants is not None:
        yield f"     keeps {report.bytes_kept:,} bytes between calls: what weights alone decide,"
        yield "     made anew when one of them has changed"
        if not version.constants.pays:
            yield "     but they change before every call: another program does without for now"


def _kernels(version: Version) -> list[FusedOp]:
    """The kernels as they left the kernel level, in order."""
    module = version.executable.module(Level.KERNEL)
    return [] if module is None else [op for op in module.walk() if isinstance(op, FusedOp)]


def _fused(kernel: FusedOp) -> str:
    """The ops of a kernel, and the user's lines."""
    ops = tuple(kernel.block.ops)
    places = lines_of(ops)
    return name_ops(ops) + (f" (from {', '.join(places)})" if places else "")


# Tensors


def _of_tensor(tensor: TensorCore) -> Iterator[str]:
    cell = tensor.cell
    yield f"a tensor {_spelled(tensor.shape, tensor.dtype.name)} on {tensor.device}"
    name = f"`{cell.name}`, " if cell.name else ""
    whole = _type(cell.type)
    if cell.trace is not None:
        yield f"  storage: {name}{whole}, a value of the graph being traced: no memory yet"
    else:
        adapter = find_device(tensor.device).adapter
        nbytes = getattr(cell.value, "nbytes", 0)
        yield f"  storage: {name}{whole}, {nbytes:,} bytes in the memory of {adapter}"
    if cell.version:
        yield f"  changed in place {_times(cell.version)}"
    if tensor.views:
        yield "  a view of the storage: " + ", then ".join(map(_view, tensor.views))
        order = "row-major" if tensor.is_contiguous() else "not row-major: ops read it by its view"
        offset = tensor.storage_offset()
        yield f"  strides {list(tensor.stride())}, offset {offset}: {order}"
    yield from _of_history(tensor)


def _view(view: View) -> str:
    """`permute permutation=(1, 0)` for a PermuteView."""
    name = type(view).__name__.removesuffix("View").lower()
    fields = " ".join(f"{key}={value}" for key, value in vars(view).items())
    return f"{name} {fields}"


def _of_history(tensor: TensorCore) -> Iterator[str]:
    node = tensor.history.node
    if node is None:
        yield "  gradients: not tracked"
        return
    if isinstance(node, LeafNode):
        grad = tensor.grad_slot
        held = "none yet" if grad is None else _spelled(grad.shape, grad.dtype.name)
        yield f"  gradients: a leaf, which gathers them in .grad: {held}"
        return
    order = _backward_order(node)
    yield f"  computed by: {_node(node)}"
    if isinstance(node, BarrierNode):
        yield "  backward(): impossible from here, call it inside the compiled function"
        return
    rules = [node for node in order if not isinstance(node, LeafNode)]
    names = ", ".join(node.name for node in rules[:_MOST])
    more = f", … and {len(rules) - _MOST} more" if len(rules) > _MOST else ""
    yield f"  backward(): runs {_count(len(rules), 'rule')}, newest first: {names}{more}"
    leaves = [leaf for node in order if isinstance(node, LeafNode) for leaf in [node.leaf]]
    kept = [leaf for leaf in leaves if isinstance(leaf, TensorCore)]
    if kept:
        yield f"    and adds to .grad of {_count(len(kept), 'leaf', 'leaves')}: " + ", ".join(
            map(_leaf, kept)
        )
    if any(isinstance(node, BarrierNode) for node in rules):
        yield "    but stops at the result of a compiled function, which is an error"


def _node(node: Node) -> str:
    if isinstance(node, PlanNode):
        operands = ", ".join(map(_type, node.operand_types))
        return f"{node.gradient.recipe.name} of {operands} ({node.name})"
    if not isinstance(node, CallNode):
        return node.name
    operands = ", ".join(map(_type, node.operand_types))
    at = f" at {node.at}" if node.at else ""
    return f"{_op_of(node)} of {operands}{at} ({node.name})"


def _op_of(node: CallNode) -> str:
    """The recorded op, as the tensor level spells it."""
    kind = getattr(node.properties.get("kind"), "data", None)
    name = node.op.name.removeprefix("pico.")
    return name if kind is None else f"{name} {kind}"


def _leaf(leaf: TensorCore) -> str:
    spelled = _spelled(leaf.shape, leaf.dtype.name)
    return f"`{leaf.cell.name}` {spelled}" if leaf.cell.name else spelled


def _backward_order(root: Node) -> list[Node]:
    """The nodes that a backward pass visits, in its order."""
    seen, waiting = {root: None}, [root]
    while waiting:
        for source in waiting.pop().sources():
            if source not in seen:
                seen[source] = None
                waiting.append(source)
    return sorted(seen, key=lambda node: -node.order)


# Words


def _type(type: AnyTensor) -> str:
    return _spelled(type.get_shape(), dtype_of(type).name)


def _spelled(shape: Sequence[int], dtype: str) -> str:
    return f"{dtype}{list(shape)}"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
