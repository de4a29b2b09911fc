"""Rules for ops that move elements: views, pad and concat."""

from collections.abc import Sequence

from xdsl.ir import Operation, SSAValue

from picograd.dialects.literals import scalar_value
from picograd.dialects.tensor import (
    BroadcastOp,
    ConcatOp,
    PadOp,
    PermuteOp,
    ReshapeOp,
    ReverseOp,
    SliceOp,
    WindowsOp,
    int_value,
    ints,
)
from picograd.passes.rewriting.greedy import Build, Rule
from picograd.passes.rules.matching import defining, is_splat, shape_of, size_of, splat_in


def reshape_to_same(op: ReshapeOp, build: Build) -> SSAValue | None:
    """A reshape to the shape that the value has."""
    return op.x if shape_of(op.x) == shape_of(op.result) else None


def reshape_of_reshape(op: ReshapeOp, build: Build) -> SSAValue | None:
    """Two reshapes in a row are one."""
    inner = defining(op.x)
    return build(ReshapeOp(inner.x, ints(op.shape))) if isinstance(inner, ReshapeOp) else None


def permute_nothing(op: PermuteOp, build: Build) -> SSAValue | None:
    """The identity; or, if only axes of size 1 change places, a reshape, which combines better."""
    permutation, shape = ints(op.permutation), shape_of(op.x)
    if permutation == tuple(sorted(permutation)):
        return op.x
    moved = [axis for axis in permutation if shape[axis] != 1]
    if moved == sorted(moved):
        return build(ReshapeOp(op.x, shape_of(op.result)))
    return None


def permute_of_permute(op: PermuteOp, build: Build) -> SSAValue | None:
    """Two permutes in a row are one."""
    inner = defining(op.x)
    if not isinstance(inner, PermuteOp):
        return None
    first = ints(inner.permutation)
    return build(PermuteOp(inner.x, [first[axis] for axis in ints(op.permutation)]))


def broadcast_nothing(op: BroadcastOp, build: Build) -> SSAValue | None:
    """The identity; or, if only axes of size 1 are new, a reshape."""
    shape = shape_of(op.result)
    if shape == shape_of(op.x):
        return op.x
    # Equal sizes but for ones; comparing the number of elements is wrong where there are none.
    if [s for s in shape if s != 1] == [s for s in shape_of(op.x) if s != 1]:
        return build(ReshapeOp(op.x, shape))
    return None


def broadcast_of_broadcast(op: BroadcastOp, build: Build) -> SSAValue | None:
    """Two broadcasts in a row are one; so is one after a reshape that only puts ones in front."""
    inner = defining(op.x)
    if isinstance(inner, BroadcastOp):
        return build(BroadcastOp(inner.x, ints(op.shape)))
    if not isinstance(inner, ReshapeOp) or len(shape_of(inner.x)) > len(shape_of(op.result)):
        return None
    if _strip_ones(shape_of(inner.result)) == _strip_ones(shape_of(inner.x)):
        return build(BroadcastOp(inner.x, ints(op.shape)))
    return None


def _strip_ones(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without the ones in front, which a broadcast adds by itself."""
    first = next((axis for axis, size in enumerate(shape) if size != 1), len(shape))
    return tuple(shape[first:])


def slice_nothing(op: SliceOp, build: Build) -> SSAValue | None:
    """A slice of everything."""
    return op.x if shape_of(op.x) == shape_of(op.result) else None


def slice_of_slice(op: SliceOp, build: Build) -> SSAValue | None:
    """Two slices in a row are one."""
    inner = defining(op.x)
    if not isinstance(inner, SliceOp) or not size_of(op.result):
        return None
    starts: list[int] = []
    limits: list[int] = []
    steps: list[int] = []
    for first, step, start, size, stride in zip(
        ints(inner.starts),
        ints(inner.steps),
        ints(op.starts),
        shape_of(op.result),
        ints(op.steps),
        strict=True,
    ):
        starts.append(first + start * step)
        steps.append(step * stride)
        limits.append(starts[-1] + (size - 1) * steps[-1] + 1)
    return build(SliceOp(inner.x, starts, limits, steps))


def slice_of_pad(op: SliceOp, build: Build) -> SSAValue | None:
    """A slice that takes back exactly what a pad surrounded."""
    inner = defining(op.x)
    if not isinstance(inner, PadOp) or ints(op.starts) != ints(inner.low):
        return None
    between = tuple(step - 1 for step in ints(op.steps))
    if shape_of(op.result) != shape_of(inner.x):
        return None
    # An axis of one element has no neighbours, so its interior and step do not matter.
    agree = all(
        size <= 1 or a == b
        for size, a, b in zip(shape_of(inner.x), between, ints(inner.interior), strict=True)
    )
    return inner.x if agree else None


def slice_of_concat(op: SliceOp, build: Build) -> SSAValue | None:
    """A slice that lies within one piece of a concat is a slice of that piece."""
    inner = defining(op.x)
    if not isinstance(inner, ConcatOp):
        return None
    axis, starts, limits = int_value(inner.axis), list(ints(op.starts)), list(ints(op.limits))
    first = 0
    for piece in inner.xs:
        size = shape_of(piece)[axis]
        if first <= starts[axis] and limits[axis] <= first + size:
            starts[axis] -= first
            limits[axis] -= first
            return build(SliceOp(piece, starts, limits, ints(op.steps)))
        first += size
    return None


def reverse_nothing(op: ReverseOp, build: Build) -> SSAValue | None:
    """An axis of one element is its own reverse."""
    axes, shape = ints(op.axes), shape_of(op.x)
    longer = [axis for axis in axes if shape[axis] > 1]
    if len(longer) == len(axes) and axes:
        return None
    return build(ReverseOp(op.x, longer)) if longer else op.x


def reverse_of_reverse(op: ReverseOp, build: Build) -> SSAValue | None:
    """What is reversed twice is not."""
    inner = defining(op.x)
    if not isinstance(inner, ReverseOp):
        return None
    return build(ReverseOp(inner.x, sorted(set(ints(op.axes)) ^ set(ints(inner.axes)))))


def pad_nothing(op: PadOp, build: Build) -> SSAValue | None:
    """A pad that adds no element."""
    return op.x if shape_of(op.x) == shape_of(op.result) else None


def pad_of_pad(op: PadOp, build: Build) -> SSAValue | None:
    """Two pads of one value around each other are one, if the outer one puts nothing in between."""
    inner = defining(op.x)
    if not isinstance(inner, PadOp) or any(ints(op.interior)) or not size_of(inner.x):
        return None
    a, b = scalar_value(op.value), scalar_value(inner.value)
    if isinstance(a, float) and isinstance(b, float):
        if a.hex() != b.hex():
            return None
    elif a != b:
        return None
    low = [x + y for x, y in zip(ints(op.low), ints(inner.low), strict=True)]
    high = [x + y for x, y in zip(ints(op.high), ints(inner.high), strict=True)]
    return build(PadOp(inner.x, low, high, ints(inner.interior), a))


def concat_pieces(op: ConcatOp, build: Build) -> SSAValue | None:
    """A concat of one piece is that piece; empty pieces go; a concat within a concat opens up."""
    axis = int_value(op.axis)
    pieces: list[SSAValue] = []
    for piece in op.xs:
        inner = defining(piece)
        if isinstance(inner, ConcatOp) and int_value(inner.axis) == axis:
            pieces.extend(inner.xs)
        elif shape_of(piece)[axis]:
            pieces.append(piece)
    if len(pieces) == 1:
        return pieces[0]
    if not pieces or len(pieces) == len(op.xs):
        return None
    return build(ConcatOp(pieces, axis))


def windows_side_by_side(op: WindowsOp, build: Build) -> SSAValue | None:
    """Windows that follow each other are a reshape, of what is left without the rest."""
    axis, shape = int_value(op.axis), shape_of(op.x)
    if int_value(op.dilation) != 1 or int_value(op.stride) != int_value(op.size):
        return None
    limits = list(shape)
    limits[axis] -= shape[axis] % int_value(op.size)
    return build(ReshapeOp(build(SliceOp(op.x, [0] * len(shape), limits)), shape_of(op.result)))


def windows_of_one(op: WindowsOp, build: Build) -> SSAValue | None:
    """Windows of one element are a slice of those elements, and an axis of size 1."""
    if int_value(op.size) != 1:
        return None
    axis, shape = int_value(op.axis), shape_of(op.x)
    steps = [int_value(op.stride) if a == axis else 1 for a in range(len(shape))]
    return build(
        ReshapeOp(build(SliceOp(op.x, [0] * len(shape), shape, steps)), op.result.type.get_shape())
    )


def view_of_splat(
    op: PermuteOp | ReshapeOp | ReverseOp | SliceOp | WindowsOp, build: Build
) -> SSAValue | None:
    """Any view of a broadcast number is the number broadcast to the view's shape."""
    inner = defining(op.x)
    if not isinstance(inner, BroadcastOp) or shape_of(inner.x) or splat_in(inner.x) is None:
        return None
    return build(BroadcastOp(inner.x, shape_of(op.result)))


def pad_of_splat(op: PadOp, build: Build) -> SSAValue | None:
    """A value that consists of the number that surrounds it: one number, broadcast."""
    inner = defining(op.x)
    if not isinstance(inner, BroadcastOp) or shape_of(inner.x):
        return None
    value = scalar_value(op.value)
    if isinstance(value, bool) or not is_splat(inner.x, value):
        return None
    return build(BroadcastOp(inner.x, shape_of(op.result)))


RULES: dict[type[Operation], tuple[Rule, ...]] = {
    ReshapeOp: (reshape_to_same, reshape_of_reshape, view_of_splat),
    PermuteOp: (permute_nothing, permute_of_permute, view_of_splat),
    BroadcastOp: (broadcast_nothing, broadcast_of_broadcast),
    SliceOp: (slice_nothing, slice_of_slice, slice_of_pad, slice_of_concat, view_of_splat),
    ReverseOp: (reverse_nothing, reverse_of_reverse, view_of_splat),
    WindowsOp: (windows_side_by_side, windows_of_one, view_of_splat),
    PadOp: (pad_nothing, pad_of_pad, pad_of_splat),
    ConcatOp: (concat_pieces,),
}
