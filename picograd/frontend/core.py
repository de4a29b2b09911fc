"""What every tensor is: a storage cell, a chain of views, and a place in the gradient history.

`TensorCore` knows how to read and overwrite its value; the operations that users call are added
by the classes derived from it, one file for each idea, and come together in
`frontend.tensor.Tensor`.

In the history, `tracked_from` says how many of the views lie below the tensor that gradients are
tracked for. Usually that is 0: gradients are tracked for the whole storage, so that a change
through one view is seen by all others. `detach()` starts a new history at the tensor itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeAlias, cast

from picograd.dialects.dtypes import AnyTensor
from picograd.dialects.tensor import ReshapeOp, int_array
from picograd.errors import DTypeError, GradientError, ShapeError
from picograd.frontend.autodiff.tape import CallNode, LeafNode, Node, Stamp, Tape, Var
from picograd.frontend.modes.eager import current
from picograd.frontend.modes.mode import SETTINGS, RuntimeValue, set_recording
from picograd.frontend.problems import located
from picograd.frontend.shown import History, Looks
from picograd.frontend.storage.cells import MOVES, Cell, Value
from picograd.frontend.storage.chains import read_chain, repeats, write_chain
from picograd.frontend.storage.shared import SharedCell
from picograd.frontend.storage.views import (
    ReshapeView,
    View,
    reshaped_strides,
)

Number: TypeAlias = bool | int | float


class TensorCore(Looks):
    """Storage, views and gradients of a tensor; no arithmetic."""

    result_class: ClassVar[type[TensorCore]]
    """What operations return, whatever subclass their operands have."""

    # Most tensors never get these.
    grad_slot: TensorCore | None = None
    number: RuntimeValue | None = None
    """A number that Python supplies at each run, weak in promotion like any Python number."""
    _memo: tuple[object, Node | None, bool, Value | None, Node | None] | None = None

    def __init__(
        self,
        cell: Cell,
        views: tuple[View, ...] = (),
        history: History | None = None,
        tracked_from: int = 0,
    ) -> None:
        self.cell = cell
        self.views = views
        self.history = History() if history is None else history
        self.tracked_from = tracked_from
        self.signature = None
        self.shift = 0

    def show_storage(self, cell: Cell, views: tuple[View, ...]) -> None:
        """Look at other storage from now on; a leaf stays a leaf."""
        self.cell, self.views, self.tracked_from = cell, views, len(views)
        self._known_layout = self._memo = self.signature = None
        self.shift = 0
        MOVES.count += 1

    # Reading and making values

    def builder(self) -> Tape:
        """The builder that operations on this tensor use."""
        return Tape(current(self.device))

    def read(self) -> Var:
        """The tensor's present value and where it came from."""
        mode = current(self.device)
        lifted = mode.lift(self)
        if lifted is not None:
            return lifted
        base, node, recording = mode.read(self.cell), self.history.node, SETTINGS.recording
        stamp = Stamp(self.cell, self.cell.version)
        if not self.views:
            return Var(base, node, stamp)
        memo, key, keeps = self._memo, base, True
        if isinstance(self.cell, SharedCell) and mode.scope is None:
            # The value may change without notice: only its node is the same at the next reading.
            key, keeps = self.cell.place, False
        # What was recorded serves under no_grad too, and is what later reads must give again.
        if memo is not None and memo[0] is key and memo[1] is node and memo[2] >= recording:
            value = memo[3]
            if value is None:
                value = read_chain(mode, self.views, base)[-1]
                self._memo = (key, node, memo[2], value if keeps else None, memo[4])
            return Var(value, memo[4], stamp)
        root = read_chain(mode, self.views[: self.tracked_from], base)[-1]
        var = read_chain(Tape(mode), self.views[self.tracked_from :], Var(root, node))[-1]
        self._memo = (key, node, recording, var.value if keeps else None, var.node)
        return Var(var.value, var.node, stamp)

    def known_value(self, base: Value) -> Value | None:
        """The value, given what the storage holds, or None if it has yet to be computed."""
        if not self.views:
            return base
        memo = self._memo
        return memo[3] if memo is not None and memo[0] is base else None

    def known_node(self, base: Value) -> Node | None:
        """The node of a view's value that was recorded, given what the storage holds."""
        memo = self._memo
        if memo is not None and memo[0] is base and memo[1] is self.history.node and memo[2]:
            return memo[4]
        return None

    def remember_node(self, base: Value, node: Node) -> None:
        """Keep the node of a view's value, which itself has yet to be computed."""
        self._memo = (base, self.history.node, True, None, node)

    def wrap(self, var: Var) -> Self:
        """A new tensor with storage of its own."""
        mode = current(self.device)
        var = not_a_leaf(Tape(mode), var)
        result = self._make(mode.new_cell(var.value), (), History(var.node), 0)
        stamp_result(var, result.cell)
        return result

    def snapshot(self) -> Self:
        """A tensor of its own that keeps the present value, whatever is written to this one."""
        mode, var = current(self.device), self.read()
        node = var.node if SETTINGS.recording else None
        return self._make(mode.new_cell(var.value), (), History(node), 0)

    def with_views(self, *views: View) -> Self:
        """Another view of the same storage.

        Under `no_grad` it starts a history without gradient.
        """
        chain = (*self.views, *views)
        if SETTINGS.recording:
            return self._make(self.cell, chain, self.history, self.tracked_from)
        return self._make(self.cell, chain, History(), len(chain))

    def _make(
        self, cell: Cell, views: tuple[View, ...], history: History, tracked_from: int
    ) -> Self:
        return cast(Self, self.result_class(cell, views, history, tracked_from))

    def reshaped(self, shape: Sequence[int]) -> Self | None:
        """A view under another shape, or None when the elements would have to be copied."""
        if reshaped_strides(self._layout, shape) is None:
            return None
        return self.with_views(ReshapeView(tuple(shape)))

    def is_same_view(self, other: TensorCore) -> bool:
        """Whether both show the same elements of the same storage in the same order."""
        return self.cell is other.cell and self.views == other.views

    # Writing in place

    def write_(self, new: Var) -> Self:
        """Overwrite the tensor's elements, in its storage and so in all its views.

        `new` has the tensor's shape and dtype. Raises GradientError for a leaf that requires a
        gradient, and ShapeError when elements of the tensor share memory.
        """
        self._check_writable()
        recorded = new.node is not None or self.history.node is not None
        if not self.views and not recorded and SETTINGS.trace is None:
            current(self.device).write(self.cell, new.value)
            return self
        ops = self.builder()
        mode, cell = ops.mode, self.cell
        untracked, tracked = self.views[: self.tracked_from], self.views[self.tracked_from :]
        base = mode.read(cell)
        root = Var(read_chain(mode, untracked, base)[-1], self.history.node)
        new = not_a_leaf(ops, write_chain(ops, tracked, root, new))
        mode.write(cell, write_chain(mode, untracked, base, new.value))
        if SETTINGS.recording:
            mode.writes_history(self)
            self.history.node = new.node
            stamp_result(new, cell)
        return self

    def _check_writable(self) -> None:
        if SETTINGS.recording and isinstance(self.history.node, LeafNode):
            raise located(
                GradientError(
                    "a leaf tensor that requires a gradient is changed in place",
                    code="PG405",
                    expected="a tensor without requires_grad, or torch.no_grad()",
                    found=f"a change of a leaf of shape {list(self.shape)}",
                    hint="wrap the change in `with no_grad():`, or work on a .clone()",
                )
            )
        if 0 not in self.shape and repeats(self.cell, self.views):
            raise located(
                ShapeError(
                    "an expanded tensor is written in place, where several elements share memory",
                    code="PG126",
                    expected="a tensor whose elements have memory of their own",
                    found=f"shape {list(self.shape)}, strides {list(self._layout.strides)}",
                    hint="call .clone() before writing",
                )
            )

    # Gradients

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are tracked for this tensor."""
        return self.history.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @property
    def grad_fn(self) -> Node | None:
        """The recorded call that computed this tensor; None for leaves."""
        node = self.read().node
        return None if isinstance(node, LeafNode) else node

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made by the user and not by recorded operations."""
        return self.history.node is None or (
            isinstance(self.history.node, LeafNode) and len(self.views) == self.tracked_from
        )

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Track gradients for this leaf from now on, or stop.

        Raises GradientError for other tensors.
        """
        if requires_grad == self.requires_grad:
            return self
        if requires_grad and not self.dtype.is_float:
            raise located(
                DTypeError(
                    "only floating point tensors can require gradients",
                    code="PG210",
                    expected="float32 or float64",
                    found=self.dtype.name,
                    hint="convert it first: x.float()",
                )
            )
        if not self.is_leaf:
            raise located(
                GradientError(
                    "requires_grad can be switched off only for leaf tensors",
                    expected="a leaf: a parameter, or a tensor that the user made",
                    code="PG406",
                    found=f"the result of {self.history.node.name if self.history.node else ''}",
                    hint="use .detach()",
                )
            )
        self.history = History(LeafNode(self) if requires_grad else None)
        self.tracked_from = len(self.views)
        self._memo = None
        return self

    def detach(self) -> Self:
        """The same storage, through which no gradient flows."""
        detached = self._make(self.cell, self.views, History(), len(self.views))
        detached.signature, detached.shift = self.signature, self.shift
        return detached

    @property
    def grad(self) -> Self | None:
        """The gradient that `backward` gathered; None before."""
        trace = SETTINGS.trace
        if trace is not None:
            trace.reads_grad(self)
        return cast("Self | None", self.grad_slot)

    @grad.setter
    def grad(self, value: TensorCore | None) -> None:
        if value is not None and (value.shape, value.dtype) != (self.shape, self.dtype):
            raise located(
                ShapeError(
                    "a gradient has the shape and dtype of its tensor",
                    code="PG408",
                    expected=f"{list(self.shape)} {self.dtype.name}",
                    found=f"{list(value.shape)} {value.dtype.name}",
                    hint="reshape the gradient or convert it with .to(dtype)",
                )
            )
        trace = SETTINGS.trace
        if trace is not None:
            trace.writes_grad(self)
        self.grad_slot = value

    def accumulate_grad(self, grad: Var) -> None:
        """Add to `.grad`: in place, unless the sum is to be differentiated again.

        The backward pass calls this.
        """
        if SETTINGS.planned and grad.node is None and self._accumulates_value(grad.value):
            return
        mode = current(self.device)
        present = self.grad
        records = grad.node is not None or (present is not None and present.requires_grad)
        tape = Tape(mode, records)
        if present is None or records:
            total = grad if present is None else tape.add(present.read(), grad)
            total = not_a_leaf(tape, total)
            self.grad = self._make(mode.new_cell(total.value), (), History(total.node), 0)
        else:
            with set_recording(False):
                present.write_(tape.add(present.read(), grad))
        mode.suggest_name(self, grad.value)

    def _accumulates_value(self, value: Value) -> bool:
        """The same for a value outside of traces, unless the sum is to be differentiated again."""
        present = self.grad_slot
        if present is not None and present.history.node is not None:
            return False
        cell = Cell(value, cast(AnyTensor, value.type), self.cell.device)
        made = self._make(cell, (), History(), 0)
        if present is None:
            self.grad_slot = made
            return True
        with set_recording(False):
            cast(Any, present).add_(made)
        return True


def not_a_leaf(ops: Tape, var: Var) -> Var:
    """The same value; that of a leaf as a recorded copy, because a copy of a leaf is no leaf."""
    if not isinstance(var.node, LeafNode):
        return var
    return ops.emit(ReshapeOp, (var,), {"shape": int_array(ops.shape_of(var))})


def stamp_result(var: Var, cell: Cell) -> None:
    """Tie a fresh value to the storage that holds it now, for the check of saved values."""
    if isinstance(var.node, CallNode):
        var.node.stamp_result(var.value, Stamp(cell, cell.version))


Operand: TypeAlias = TensorCore | bool | int | float
"""What arithmetic takes: tensors and Python numbers."""
