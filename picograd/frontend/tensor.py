"""The tensor that users see: the core and all operations together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from picograd.frontend.bits import Bits
from picograd.frontend.closeness import Closeness
from picograd.frontend.comparison import Comparison
from picograd.frontend.core import TensorCore
from picograd.frontend.elementary import Elementary
from picograd.frontend.elementwise import Elementwise
from picograd.frontend.gradient_methods import GradientMethods
from picograd.frontend.in_place import InPlace
from picograd.frontend.indexing import Indexing
from picograd.frontend.missing import missing
from picograd.frontend.new_tensors import NewTensors
from picograd.frontend.norms import Norms
from picograd.frontend.picking import Picking
from picograd.frontend.products import Products
from picograd.frontend.random_fills import RandomFills
from picograd.frontend.rearranging import Rearranging
from picograd.frontend.rounding import Rounding
from picograd.frontend.scans_and_sorts import ScansAndSorts
from picograd.frontend.statistics import Statistics
from picograd.frontend.triangles import Triangles


class Tensor(
    Elementwise,
    Elementary,
    Rounding,
    Bits,
    Comparison,
    Statistics,
    Norms,
    ScansAndSorts,
    Triangles,
    Rearranging,
    Products,
    Picking,
    Indexing,
    InPlace,
    RandomFills,
    NewTensors,
    Closeness,
    GradientMethods,
):
    """An n-dimensional array that remembers how it was computed.

    Made by `picograd.tensor`, `zeros`, `rand` and the like. Operations run at once on the tensor's
    device, or become ops of a graph inside of `picograd.compile`.
    """

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(f"'Tensor' object has no attribute {name!r}")
            raise missing("Tensor", name, dir(type(self)))


TensorCore.result_class = Tensor
