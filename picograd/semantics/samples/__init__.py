"""Sample inputs of every op: what its tests run on every device.

For each op class and kind a few inputs that catch mistakes: rank 0, size 0, size 1, odd sizes,
ties, signed zeros, infinities, NaN, wrap-around, and ordinary random numbers (seeded by the
sample's name). The same samples go through the reference, the error bounds, and each backend.
"""

from __future__ import annotations

from picograd.dialects.tensor import (
    ArgReduceOp,
    ArgSortOp,
    BinaryOp,
    BroadcastOp,
    CastOp,
    CompareOp,
    ConcatOp,
    ConstantOp,
    ConvolutionOp,
    GatherOp,
    IotaOp,
    MatmulOp,
    PadOp,
    PermuteOp,
    RandomBitsOp,
    ReduceOp,
    ReshapeOp,
    ReverseOp,
    ScanOp,
    ScatterOp,
    SelectOp,
    SliceOp,
    TensorOp,
    UnaryOp,
    WindowsOp,
)
from picograd.semantics.samples import elementwise, movement, narrow, order, reductions, sliding
from picograd.semantics.samples.movement import out_of_range_samples
from picograd.semantics.samples.sample import Sample

_WIDE: dict[type[TensorOp], tuple[Sample, ...]] = {
    ConstantOp: tuple(elementwise.constants()),
    IotaOp: tuple(elementwise.iotas()),
    RandomBitsOp: tuple(elementwise.random_bits()),
    UnaryOp: tuple(elementwise.unaries()),
    BinaryOp: tuple(elementwise.binaries()),
    CompareOp: tuple(elementwise.compares()),
    SelectOp: tuple(elementwise.selects()),
    CastOp: tuple(elementwise.casts()),
    ReduceOp: tuple(reductions.reduces()),
    ArgReduceOp: tuple(reductions.argreduces()),
    ScanOp: tuple(order.scans()),
    ArgSortOp: tuple(order.argsorts()),
    MatmulOp: tuple(reductions.matmuls()),
    ConvolutionOp: tuple(sliding.convolutions()),
    ReshapeOp: tuple(movement.reshapes()),
    PermuteOp: tuple(movement.permutes()),
    BroadcastOp: tuple(movement.broadcasts()),
    SliceOp: tuple(movement.slices()),
    ReverseOp: tuple(movement.reverses()),
    WindowsOp: tuple(sliding.windows()),
    PadOp: tuple(movement.pads()),
    ConcatOp: tuple(movement.concats()),
    GatherOp: tuple(movement.gathers()),
    ScatterOp: tuple(movement.scatters()),
}
_NARROW: dict[type[TensorOp], tuple[Sample, ...]] = {
    op: tuple(narrow.narrowed(samples)) for op, samples in _WIDE.items()
} | {CastOp: tuple(narrow.casts())}

SAMPLES: dict[type[TensorOp], tuple[Sample, ...]] = {
    op: samples + _NARROW[op] for op, samples in _WIDE.items()
}


def all_samples() -> tuple[Sample, ...]:
    """Every sample, in the order of the ops."""
    return tuple(sample for group in SAMPLES.values() for sample in group)


__all__ = ["SAMPLES", "Sample", "all_samples", "out_of_range_samples"]
