"""A GPU behind WebGPU: the limits every adapter promises, until a device says more.

The figures are WebGPU's default limits, so that code compiled for them runs on any adapter. The
backend registers a target with the limits of its device once it has one.
"""

from collections.abc import Mapping
from dataclasses import replace

from picograd.targets.cpu import usable_cores
from picograd.targets.target import Target

CORES: Mapping[str, int] = {"DiscreteGPU": 128, "IntegratedGPU": 16, "CPU": usable_cores()}
"""Cores by WebGPU's type of adapter, which is all it tells: about what such machines have."""


def default_target() -> Target:
    """WebGPU's default limits."""
    return Target(
        name="gpu",
        kind="gpu",
        vector_bits=32,
        vector_registers=128,
        fma=True,
        cores=CORES["IntegratedGPU"],
        l1_bytes=16 * 1024,
        l2_bytes=1024 * 1024,
        l3_bytes=0,
        buffer_alignment=256,
        storage_buffers=8,
        max_binding_bytes=128 * 1024 * 1024,
        workgroup_bytes=16 * 1024,
        max_invocations=256,
        max_workgroup_size=(256, 256, 64),
        max_workgroups=65535,
        int64=False,
        float64=False,
        narrow_types=False,
    )


def adapter_target(
    *,
    adapter_type: str,
    storage_buffers: int,
    max_binding_bytes: int,
    workgroup_bytes: int,
    max_invocations: int,
    max_workgroup_size: tuple[int, int, int],
    max_workgroups: int,
) -> Target:
    """The default target with the limits of one adapter. Sizes are in bytes."""
    target = default_target()
    return replace(
        target,
        cores=CORES.get(adapter_type, target.cores),
        storage_buffers=storage_buffers,
        max_binding_bytes=max_binding_bytes,
        workgroup_bytes=workgroup_bytes,
        max_invocations=max_invocations,
        max_workgroup_size=max_workgroup_size,
        max_workgroups=max_workgroups,
    )
