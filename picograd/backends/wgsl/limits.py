"""Whether a shader fits the device: the compiler has to ask, since drivers fail in odd ways."""

from __future__ import annotations

from picograd.backends.wgsl.runtime import Limits
from picograd.errors import LimitError
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class Demand:
    """What one shader asks of the device; sizes in bytes."""

    workgroup_bytes: int
    threads: int
    bindings: int
    largest_binding: int


def check_limits(name: str, demand: Demand, limits: Limits) -> None:
    """Raise a LimitError that names the kernel, the limit and the remedy."""
    rules = (
        (
            "bytes of workgroup memory (max-compute-workgroup-storage-size)",
            demand.workgroup_bytes,
            limits.max_workgroup_bytes,
            "stage smaller blocks: smaller sizes in tile_loops",
        ),
        (
            "threads in a workgroup (max-compute-invocations-per-workgroup)",
            demand.threads,
            min(limits.max_invocations, limits.max_workgroup_size[0]),
            "run map_to_grid with fewer threads, or use larger register tiles",
        ),
        (
            "buffers in a kernel (max-storage-buffers-per-shader-stage)",
            demand.bindings,
            limits.max_storage_buffers,
            "split an op of so many tensors in two, or use the device 'cpu'",
        ),
        (
            "bytes in one buffer (max-storage-buffer-binding-size)",
            demand.largest_binding,
            limits.max_binding_bytes,
            "use smaller tensors, or the device 'cpu'",
        ),
    )
    for what, found, most, remedy in rules:
        if found > most:
            raise LimitError(
                f"kernel @{name} asks for more than the GPU has: {what}",
                code="PG308",
                expected=f"at most {most}",
                found=str(found),
                hint=remedy,
                where=f"kernel @{name}",
            )
