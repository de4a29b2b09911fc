"""The tensor that users see: the core and all operations together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from picograd.frontend.core import TensorCore
from picograd.frontend.methods.bits import Bits
from picograd.frontend.methods.closeness import Closeness
from picograd.frontend.methods.comparison import Comparison
from picograd.frontend.methods.elementary import Elementary
from picograd.frontend.methods.elementwise import Elementwise
from picograd.frontend.methods.gradient_methods import GradientMethods
from picograd.frontend.methods.in_place import InPlace
from picograd.frontend.methods.indexing import Indexing
from picograd.frontend.methods.inverses import Inverses
from picograd.frontend.methods.new_tensors import NewTensors
from picograd.frontend.methods.norms import Norms
from picograd.frontend.methods.other_names import OtherNames
from picograd.frontend.methods.picking import Picking
from picograd.frontend.methods.products import Products
from picograd.frontend.methods.random_fills import RandomFills
from picograd.frontend.methods.rearranging import Rearranging
from picograd.frontend.methods.rounding import Rounding
from picograd.frontend.methods.scans_and_sorts import ScansAndSorts
from picograd.frontend.methods.statistics import Statistics
from picograd.frontend.methods.triangles import Triangles
from picograd.frontend.missing import missing


class Tensor(
    OtherNames,
    Elementwise,
    Elementary,
    Inverses,
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
