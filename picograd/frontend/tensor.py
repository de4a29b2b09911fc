"""The tensor that users see: the core and all operations together."""

from __future__ import annotations

from picograd.frontend.comparison import Comparison
from picograd.frontend.conversions import Conversions
from picograd.frontend.core import TensorCore
from picograd.frontend.elementwise import Elementwise
from picograd.frontend.gradient_methods import GradientMethods
from picograd.frontend.indexing import Indexing
from picograd.frontend.reductions import Reductions
from picograd.frontend.shape_ops import ShapeOps


class Tensor(Elementwise, Comparison, Reductions, ShapeOps, Indexing, Conversions, GradientMethods):
    """An n-dimensional array that remembers how it was computed.

    Made by `picograd.tensor`, `zeros`, `rand` and the like. Operations run at once on the tensor's
    device, or become ops of a graph inside of `picograd.compile`.
    """


TensorCore.result_class = Tensor
