"""Taking gradients, as methods of tensors: `backward`, hooks, and leaving the graph."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Self

from picograd.errors import GradientError, ShapeError
from picograd.frontend.autodiff.backward import pull_back
from picograd.frontend.autodiff.tape import Hook, LeafNode, Node, Var
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.eager import current
from picograd.frontend.problems import located
from picograd.frontend.shown import History


class RemovableHandle:
    """Takes a hook away again."""

    def __init__(self, node: Node, hook: Hook) -> None:
        self._node = weakref.ref(node)
        self._hook = hook

    def remove(self) -> None:
        """Remove the hook; nothing happens the second time."""
        node = self._node()
        if node is not None:
            node.hooks = tuple(hook for hook in node.hooks if hook is not self._hook)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class GradientMethods(TensorCore):
    """What a tensor can do with the graph that computed it."""

    retains_grad = False
    """Whether the tensor keeps its gradient although it is no leaf."""

    def backward(
        self,
        gradient: TensorCore | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: TensorCore | Sequence[TensorCore] | None = None,
    ) -> None:
        """Add the gradient of this tensor to `.grad` of every leaf it depends on.

        `gradient` weights the elements; a tensor of one element needs none. With `create_graph` the
        gradients can be differentiated in turn. `inputs` names the tensors that get a gradient,
        instead of all leaves. Raises GradientError when nothing requires a gradient, or a value
        needed was changed in place or freed.
        """
        run_backward([self], [gradient], retain_graph, create_graph, inputs)

    def register_hook(self, hook: Callable[[Self], TensorCore | None]) -> RemovableHandle:
        """Call `hook(gradient)` in each backward pass once this tensor's gradient is complete.

        What it returns, unless None, takes the gradient's place. Raises GradientError for a tensor
        that does not require a gradient.
        """
        node = self._node("register_hook()")

        def on_values(grad: Var) -> Var | None:
            changed = hook(self.wrap(grad))
            if changed is None:
                return None
            check_like(changed, self, "what a hook returns does not fit the tensor")
            return changed.read()

        node.hooks = (*node.hooks, on_values)
        return RemovableHandle(node, on_values)

    def retain_grad(self) -> None:
        """Let `.grad` be set by backward passes although the tensor is no leaf."""
        node = self._node("retain_grad()")
        if self.retains_grad or isinstance(node, LeafNode):
            return
        self.retains_grad = True
        kept = weakref.ref(self)

        def keep(grad: Var) -> None:
            tensor = kept()
            if tensor is not None:
                tensor.accumulate_grad(grad)

        node.hooks = (*node.hooks, keep)

    def detach_(self) -> Self:
        """Leave the graph: the tensor becomes a leaf that requires no gradient."""
        if self.tracked_from < len(self.views):
            raise located(
                GradientError(
                    "a view cannot leave the graph of the tensor that it shows",
                    expected="a tensor that is no view",
                    code="PG406",
                    found=f"a view of shape {list(self.shape)}",
                    hint="use .detach(), which makes a new tensor",
                )
            )
        self.history = History()
        self._memo = None
        return self

    def _node(self, what: str) -> Node:
        node = self.read().node
        if node is None:
            raise located(
                GradientError(
                    f"{what} on a tensor that does not require a gradient",
                    code="PG402",
                    expected="a tensor with requires_grad=True, or computed from one",
                    found="a tensor without grad_fn",
                    hint="call .requires_grad_() on the leaf before computing with it",
                )
            )
        return node


def run_backward(
    tensors: Sequence[TensorCore],
    gradients: Sequence[TensorCore | None],
    retain_graph: bool | None,
    create_graph: bool,
    inputs: TensorCore | Sequence[TensorCore] | None,
) -> None:
    """Add the gradients of the tensors to `.grad`; as `backward`, for several of them at once."""
    retain = create_graph if retain_graph is None else retain_graph
    roots = [
        seeded(tensor, given, "backward()", "gradient")
        for tensor, given in zip(tensors, gradients, strict=True)
    ]
    if inputs is None:
        pull_back(roots, retain_graph=retain, create_graph=create_graph)
        return
    chosen = [inputs] if isinstance(inputs, TensorCore) else list(inputs)
    nodes = [differentiated(tensor) for tensor in chosen]
    found = pull_back(roots, nodes, retain_graph=retain, create_graph=create_graph)
    for tensor, grad in zip(chosen, found, strict=True):
        if grad is not None:
            tensor.accumulate_grad(grad)


def seeded(
    tensor: TensorCore, gradient: TensorCore | None, what: str, argument: str
) -> tuple[Node, Var]:
    """Where a backward pass from the tensor begins, and with what gradient.

    `what` is called, and `argument` is where it takes the gradient.
    """
    node = tensor.read().node
    if node is None:
        raise located(
            GradientError(
                f"{what} on a tensor that does not require a gradient",
                code="PG402",
                expected="a tensor computed from one with requires_grad=True",
                found="a tensor without grad_fn",
                hint="was it computed under no_grad(), or from detached tensors?",
            )
        )
    if gradient is not None:
        check_like(gradient, tensor, f"the gradient given to {what} does not fit the tensor")
        return node, gradient.read()
    if any(size != 1 for size in tensor.shape):
        raise located(
            GradientError(
                f"{what} without a gradient needs a tensor of one element",
                code="PG401",
                expected="a scalar, such as a loss",
                found=f"shape {list(tensor.shape)}",
                hint=f"reduce it first (.sum(), .mean()), or pass {argument}=…",
            )
        )
    return node, Var(current(tensor.device).full(tensor.shape, 1, tensor.dtype))


def differentiated(tensor: TensorCore) -> Node:
    """The node of a tensor that a gradient is asked for. Raises GradientError without one."""
    node = tensor.read().node
    if node is None:
        raise located(
            GradientError(
                "a gradient is asked for of a tensor that does not require one",
                code="PG402",
                expected="inputs with requires_grad=True, or computed from such",
                found=f"a tensor of shape {list(tensor.shape)} without grad_fn",
                hint="call .requires_grad_() on it before computing the outputs",
            )
        )
    return node


def check_like(given: TensorCore, tensor: TensorCore, message: str) -> None:
    """Raise ShapeError unless a gradient has its tensor's shape and dtype."""
    if (given.shape, given.dtype) != (tensor.shape, tensor.dtype):
        raise located(
            ShapeError(
                message,
                code="PG408",
                expected=f"{list(tensor.shape)} {tensor.dtype.name}",
                found=f"{list(given.shape)} {given.dtype.name}",
                hint="pass one like the tensor, for instance torch.ones_like(tensor)",
            )
        )
