"""How the generator appends scans and sorts."""

from xdsl.ir import SSAValue

from picograd.check.generation.sketch import Sketch
from picograd.dialects.dtypes import dtype_of, int32, type_of
from picograd.dialects.tensor import ArgSortOp, CastOp, ReshapeOp, ScanKind, ScanOp


def scan(sketch: Sketch) -> None:
    """Running sums or extrema; running products would leave the range of floats."""
    x = _of_numbers(sketch)
    kind = sketch.choose((ScanKind.ADD, ScanKind.MAX, ScanKind.MIN))
    exclusive = kind is ScanKind.ADD and sketch.choose((False, True))
    sketch.add(ScanOp(kind, x, _axis(sketch, x), exclusive=exclusive))


def argsort(sketch: Sketch) -> None:
    """The order of a value's elements along an axis."""
    x = _of_numbers(sketch)
    sketch.add(ArgSortOp(x, _axis(sketch, x), descending=sketch.choose((False, True))))


def _axis(sketch: Sketch, x: SSAValue) -> int:
    return sketch.number(0, len(type_of(x).get_shape()) - 1)


def _of_numbers(sketch: Sketch) -> SSAValue:
    """A value with at least one axis, of integers or floats."""
    x = sketch.pick(lambda v: bool(type_of(v).get_shape()))
    if x is None:
        value = sketch.pick()
        x = sketch.constant(1.0, sketch.dtypes[0]) if value is None else value
        x = sketch.add(ReshapeOp(x, (1,)))
    return sketch.add(CastOp(x, int32)) if dtype_of(type_of(x)).is_bool else x
