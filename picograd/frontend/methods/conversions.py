"""Between tensors and Python, NumPy, other dtypes and other devices."""

from __future__ import annotations

from typing import Any, NoReturn, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from picograd.dialects.dtypes import (
    DType,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from picograd.errors import GradientError, OperandError, ShapeError, TraceError
from picograd.frontend.autodiff.tape import MoveNode
from picograd.frontend.core import TensorCore
from picograd.frontend.methods.printing import tensor_text
from picograd.frontend.modes.devices import default_device
from picograd.frontend.modes.eager import current, eager
from picograd.frontend.modes.mode import SETTINGS
from picograd.frontend.plans.planned import kind_of, planned
from picograd.frontend.problems import located
from picograd.frontend.promotion import DEFAULT_FLOAT, require_tensor
from picograd.frontend.shown import History
from picograd.frontend.storage.cells import Cell
from picograd.frontend.storage.signature import Signature

Int: TypeAlias = int
Bool: TypeAlias = bool
Float: TypeAlias = float
Number: TypeAlias = bool | int | float
# Within the class `int`, `bool` and `float` are methods, as in PyTorch.


_NO_VALUE_HINT = (
    "choose with torch.where(condition, a, b) instead of branching, or return the tensor and read "
    "its value outside; if it is a number among the arguments, close over it instead"
)


class Conversions(TensorCore):
    """Reading numbers out of tensors, and moving tensors to other dtypes and devices."""

    # Out of the tensor world

    def numpy(self) -> NDArray[Any]:
        """The elements as an array, which shares the tensor's memory where NumPy can reach it.

        On the devices "cpu" and "reference" what is written to either is seen through both. Of
        bfloat16 it has the dtype of that name of `ml_dtypes`. Raises GradientError when a gradient
        is required.
        """
        if self.requires_grad:
            raise located(
                GradientError(
                    "numpy() on a tensor that requires a gradient",
                    expected="a tensor of which no gradient is taken",
                    code="PG407",
                    found=f"requires_grad=True, shape {list(self.shape)}",
                    hint="use .detach().numpy()",
                )
            )
        array = None
        if SETTINGS.trace is None:
            cell = self.cell
            array = eager(cell.device).shared(cell, self.views)
        return self.download("numpy()") if array is None else array

    def download(self, what: str) -> NDArray[Any]:
        """The elements as a fresh array; `what` names the caller in errors. Raises TraceError."""
        mode = current(self.device)
        array = mode.revealed(self.read().value)
        if array is None:
            self._refuse_value(what, mode.unseen)
        return array

    def _refuse_value(self, what: str, unseen: str) -> NoReturn:
        raise located(
            TraceError(
                f"{what} of a tensor {unseen}",
                code="PG501",
                expected="operations on tensors only",
                found=f"{what} of a tensor of shape {list(self.shape)}",
                hint=_NO_VALUE_HINT,
            )
        )

    def __format__(self, spec: str) -> str:
        """A 0-d tensor formats as its number: f"{loss:.3f}"."""
        if self.ndim == 0 and current(self.device).runs_now:
            return format(self._scalar("format()"), spec)
        if spec and self.ndim:
            raise located(
                OperandError(
                    "a format is for one number",
                    code="PG116",
                    expected="a 0-d tensor, or no format",
                    found=f"{spec!r} for a tensor of shape {list(self.shape)}",
                    hint="format x.item() if there is one element, or the numbers of x.tolist()",
                )
            )
        return format(repr(self), spec)

    def __array__(self, dtype: Any = None, copy: Bool | None = None) -> NDArray[Any]:
        array = self.numpy()
        return array if dtype is None and copy is None else np.array(array, dtype, copy=copy)

    __array_ufunc__ = None
    """NumPy leaves `array + tensor` to the tensor, which refuses it with an error that says why."""

    def item(self) -> Number:
        """The only element as a Python number. Raises ShapeError when there are more."""
        return self._scalar("item()")

    def _scalar(self, what: str) -> Number:
        if SETTINGS.planned and self.cell.trace is None:
            kind, mode = self.signature or kind_of(self), eager(self.cell.device)
            if isinstance(kind, Signature) and not kind.views:
                read = mode.reader(kind.type)
                if read is not None:
                    return read(self.cell.value, self.shift)
        if any(size != 1 for size in self.shape):
            raise located(
                ShapeError(
                    f"{what} needs a tensor of one element",
                    code="PG116",
                    expected="one element",
                    found=f"shape {list(self.shape)}",
                    hint="reduce the tensor (.sum(), .all(), .any()), or use .tolist()",
                )
            )
        return self.download(what).reshape(-1)[0].item()

    def tolist(self) -> Any:
        """The elements as nested lists, or as one number."""
        return self.download("tolist()").tolist()

    def __bool__(self) -> Bool:
        return bool(self._scalar("bool()"))

    def __int__(self) -> Int:
        return int(self._scalar("int()"))

    def __float__(self) -> Float:
        return float(self._scalar("float()"))

    def __index__(self) -> Int:
        if self.dtype.is_float or any(size != 1 for size in self.shape):
            raise located(
                OperandError(
                    "only integer tensors of one element are indices",
                    code="PG122",
                    expected="one integer",
                    found=f"{self.dtype.name} of shape {list(self.shape)}",
                    hint="pick one element; convert with .long() if it is whole",
                )
            )
        return int(self._scalar("int()"))

    def __repr__(self) -> str:
        suffixes: list[str] = []
        if self.device != default_device():
            suffixes.append(f"device={str(self.device)!r}")
        if 0 in self.shape and self.ndim > 1:
            suffixes.append(f"size={self.shape}")
        usual = (DEFAULT_FLOAT,) if 0 in self.shape else (DEFAULT_FLOAT, int64, bool_)
        if self.dtype not in usual:
            suffixes.append(f"dtype={self.dtype!r}")
        if self.requires_grad:
            node = None if SETTINGS.trace is not None else self.grad_fn
            suffixes.append("requires_grad=True" if node is None else f"grad_fn=<{node.name}>")
        mode = current(self.device)
        visible = mode.runs_now and self.cell.trace in (None, mode.scope)
        array = mode.revealed(self.read().value) if visible else None
        if array is None:
            return f"tensor(<traced {list(self.shape)} {self.dtype.name}>)"
        return tensor_text(array, suffixes)

    # To other dtypes and devices

    def to(
        self,
        target: str | DType | TensorCore | None = None,
        *options: Any,
        dtype: DType | None = None,
        device: str | None = None,
        non_blocking: Bool = False,
        copy: Bool = False,
    ) -> Self:
        """The tensor in another dtype or on another device; itself when it is there already.

        As in PyTorch, `to(dtype)`, `to(tensor)` and `to(device, dtype)`, each followed by
        `non_blocking`, which changes nothing here, and `copy`: a copy also when it is there.
        """
        if isinstance(target, TensorCore):
            dtype, device = target.dtype, target.device
        elif isinstance(target, DType):
            dtype = target
        else:
            device = device if target is None else str(target)
            dtype, options = (options[0], options[1:]) if options else (dtype, ())
        copy = copy or bool(options[1:2] and options[1])
        result = self if dtype is None else self._cast(dtype)
        result = result if device is None else result._moved(device)
        return result.wrap(result.read()) if copy and result is self else result

    def _cast(self, dtype: DType) -> Self:
        return self if dtype is self.dtype else self._converted(dtype)

    @planned
    def _converted(self, dtype: DType) -> Self:
        return self.wrap(self.builder().cast(self.read(), dtype))

    def _moved(self, device: str) -> Self:
        if device == self.device:
            return self
        if SETTINGS.trace is not None:
            raise located(
                TraceError(
                    "a compiled function runs on one device",
                    code="PG302",
                    expected=f"tensors on {self.device!r}",
                    found=f".to({device!r}) inside the function",
                    hint="move tensors before the call, or the result after it",
                )
            )
        source, target = eager(self.device), eager(device)
        var = self.read()
        value = target.constant(source.download(var.value))
        node = None if var.node is None else MoveNode(var.node, self.device, device)
        return self._make(Cell(value, target.type_of(value), device), (), History(node), 0)

    def cpu(self) -> Self:
        """The tensor on the device "cpu"."""
        return self.to("cpu")

    def float(self) -> Self:
        return self._cast(float32)

    def double(self) -> Self:
        return self._cast(float64)

    def half(self) -> Self:
        return self._cast(float16)

    def bfloat16(self) -> Self:
        return self._cast(bfloat16)

    def byte(self) -> Self:
        """As uint8."""
        return self._cast(uint8)

    def char(self) -> Self:
        """As int8."""
        return self._cast(int8)

    def short(self) -> Self:
        """As int16."""
        return self._cast(int16)

    def int(self) -> Self:
        return self._cast(int32)

    def long(self) -> Self:
        return self._cast(int64)

    def bool(self) -> Self:
        """Where the elements are other than 0."""
        return self._cast(bool_)

    def type_as(self, other: TensorCore) -> Self:
        """In the dtype of another tensor."""
        return self._cast(require_tensor(other, "type_as", "use .to(dtype) for a dtype").dtype)

    # What PyTorch also calls by these names

    def size(self, dim: Int | None = None) -> tuple[Int, ...] | Int:
        """The shape, or the size of one axis."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> Int:
        """The number of axes."""
        return self.ndim

    def element_size(self) -> Int:
        """Bytes of one element."""
        return self.dtype.itemsize

    def is_floating_point(self) -> Bool:
        """Whether the elements are floats."""
        return self.dtype.is_float

    @property
    def data(self) -> Self:
        """The same storage without gradient, as `detach()`; may be set to another tensor."""
        return self.detach()

    @data.setter
    def data(self, value: TensorCore) -> None:
        if value.is_same_view(self):
            return  # the end of `x.data += y`, which has written in place already
        if SETTINGS.trace is not None:
            raise located(
                TraceError(
                    "the storage of a tensor is replaced inside a compiled function",
                    code="PG503",
                    expected="changes in place, such as x.copy_(…)",
                    found="an assignment to .data",
                    hint="write x.data.copy_(value)",
                )
            )
        self.show_storage(value.cell, value.views)
