"""What a row of the table of functions holds.

A row names a public function, says how to call it, what it computes in NumPy, and on which inputs
to hold the two against each other. The same `call` runs with `import picograd` and with PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import reduce
from typing import Any, Literal, TypeAlias

import numpy as np

from picograd.dialects.literals import Array
from picograd.quick_dataclasses import dataclass

ViewKind = Literal["permuted", "expanded", "sliced"]


@dataclass(frozen=True)
class View:
    """An input that shares the storage of a leaf, laid out in another way.

    The tensor has the shape of `array`. "permuted" and "sliced" show its elements; "expanded"
    repeats those at index 0 of the first axis, or of `axis`.
    """

    array: Array
    kind: ViewKind
    axis: int = 0

    @property
    def base(self) -> Array:
        """The leaf's elements."""
        match self.kind:
            case "permuted":
                return np.ascontiguousarray(self.array.T)
            case "expanded":
                return self.array.take([0], axis=self.axis)
            case "sliced":
                # A leaf with one more element before, and gaps, along every axis.
                shape = [2 * size + 1 for size in self.array.shape]
                base = np.ones(shape, self.array.dtype)
                base[self._box()] = self.array
                return base

    def _box(self) -> tuple[slice, ...]:
        return tuple(slice(1, None, 2) for _ in self.array.shape)

    def of(self, leaf: Any) -> Any:
        """The view of a leaf: of an array, or of a tensor of either library."""
        shape, order = self.array.shape, tuple(reversed(range(self.array.ndim)))
        match self.kind:
            case "permuted":
                return leaf.permute(order) if hasattr(leaf, "permute") else leaf.transpose(order)
            case "expanded":
                return (
                    leaf.expand(shape) if hasattr(leaf, "expand") else np.broadcast_to(leaf, shape)
                )
            case "sliced":
                return leaf[self._box()]


Input: TypeAlias = Array | View


Formula: TypeAlias = Callable[..., Any]
"""A function of arrays, or of tensors of either library."""


def base_of(given: Input) -> Array:
    """The elements of the leaf behind an input."""
    return given.base if isinstance(given, View) else np.asarray(given)


def shown(given: Input, leaf: Any) -> Any:
    """The input as the function sees it, made of its leaf: an array or a tensor."""
    return given.of(leaf) if isinstance(given, View) else leaf


@dataclass(frozen=True)
class Case:
    """One call. Inputs of float dtype are leaves whose gradients are checked."""

    label: str
    """The kind of inputs: "rank 0", "empty", "broadcast", …; different for each case of a row."""
    inputs: tuple[Input, ...]
    options: Mapping[str, object] = field(default_factory=dict[str, object])
    """Keyword options, given to `call` and to `numpy`."""
    gradient: bool = True
    """False where differences cannot tell the derivative (ties, kinks, NaN): PyTorch's counts."""
    dtype: str = ""
    """What float inputs are converted to, for dtypes that NumPy lacks: "bfloat16"."""
    differs: str = ""
    """Why PyTorch gives another result or gradient here; it is not asked then."""


@dataclass(frozen=True)
class ErrorCase:
    """A call that raises, in both libraries, an error of this type; `match` is found in ours."""

    label: str
    inputs: tuple[object, ...]
    """Arrays and views become tensors; anything else is passed as it is."""
    raises: type[Exception]
    options: Mapping[str, object] = field(default_factory=dict[str, object])
    match: str = ""
    differs: str = ""
    """Why PyTorch raises something else, or nothing."""


@dataclass(frozen=True)
class Function:
    """A row: one public function."""

    name: str
    """As the user writes it: "torch.softmax", "F.conv2d", "Tensor.add_", "nn.Linear"."""
    call: Formula
    """call(torch, *tensors, **options): a tensor, or a tuple or list of tensors."""
    numpy: Formula
    """numpy(*arrays, **options), floats in float64: the same results, computed in NumPy."""
    cases: Callable[[np.random.Generator], Sequence[Case]]
    errors: tuple[ErrorCase, ...] = ()
    differentiable: bool = True
    differences: str = ""
    """What is known to differ from PyTorch, as a sentence for the generated page."""
    devices: Mapping[str, str] = field(default_factory=dict[str, str])
    """A device, and why the function cannot run there."""
    also: tuple[str, ...] = ()
    """Other names of the same function, called with the same arguments: "F.softmax"."""


def resolve(torch: Any, name: str) -> Any:
    """What a name such as "torch.exp", "F.relu" or "Tensor.add_" stands for in a library."""
    first, *rest = name.split(".")
    roots = {"torch": torch, "F": torch.nn.functional, "Tensor": torch.Tensor, "nn": torch.nn}
    return reduce(getattr, rest, roots[first])


def by_name(name: str) -> Callable[..., Any]:
    """The `call` of a function that takes its tensors first and its options by keyword."""

    def call(torch: Any, *tensors: Any, **options: Any) -> Any:
        return resolve(torch, name)(*tensors, **options)

    return call


def in_place(method: str) -> Callable[..., Any]:
    """The `call` of a method that changes its tensor, on a copy of the first input: "add_"."""

    def call(torch: Any, first: Any, *tensors: Any, **options: Any) -> Any:
        copy = first.clone()
        getattr(copy, method)(*tensors, **options)
        return copy

    return call
