"""New tensors with the dtype and the device of another: `x.new_zeros(3)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from picograd.dialects.dtypes import DType
from picograd.errors import DeviceError
from picograd.frontend.core import Number, TensorCore
from picograd.frontend.methods.shape_ops import checked_size, shape_argument
from picograd.frontend.plans.planned_values import planned_like
from picograd.frontend.problems import located


class NewTensors(TensorCore):
    """Each takes another `dtype`; the device is the tensor's."""

    @planned_like
    def new_full(
        self,
        size: Sequence[int],
        fill_value: Number,
        *,
        dtype: DType | None = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """A tensor of one number."""
        if device not in (None, self.device):
            raise located(
                DeviceError(
                    "a new tensor like another is on its device",
                    code="PG302",
                    expected=repr(self.device),
                    found=repr(device),
                    hint="use torch.full(…, device=…)",
                )
            )
        ops = self.builder()
        made = self.wrap(ops.full(checked_size(tuple(size)), fill_value, dtype or self.dtype))
        return made.requires_grad_() if requires_grad else made

    @planned_like
    def new_zeros(
        self,
        *size: int | Sequence[int],
        dtype: DType | None = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """A tensor of zeros."""
        return self.new_full(
            shape_argument(size), 0, dtype=dtype, device=device, requires_grad=requires_grad
        )

    @planned_like
    def new_ones(
        self,
        *size: int | Sequence[int],
        dtype: DType | None = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """A tensor of ones."""
        return self.new_full(
            shape_argument(size), 1, dtype=dtype, device=device, requires_grad=requires_grad
        )

    @planned_like
    def new_empty(
        self,
        *size: int | Sequence[int],
        dtype: DType | None = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Self:
        """A tensor to be filled later; until then it holds zeros."""
        return self.new_zeros(*size, dtype=dtype, device=device, requires_grad=requires_grad)
