"""Devices that run compiled modules: `reference` (NumPy), `cpu` (LLVM) and `gpu` (WGSL).

This is the one place where backends are imported late: llvmlite and wgpu load slowly, and a
machine without one of them still has the other devices.
"""

if __name__ != "picograd.backends":
    raise ImportError(
        f"import picograd.backends, not {__name__}: the folder at the top of the tree is a link "
        "for readers, and importing through it would load every module a second time"
    )


from picograd.backends import cuda, cudnn, mps
from picograd.backends.runtime import Device, register_device

__all__ = ["cuda", "cudnn", "mps"]


def _reference() -> Device:
    from picograd.backends.reference import ReferenceDevice

    return ReferenceDevice()


def _cpu() -> Device:
    from picograd.backends.llvm.device import CpuDevice

    return CpuDevice()


def _gpu() -> Device:
    from picograd.backends.wgsl.device import GpuDevice

    return GpuDevice()


register_device("reference", _reference)
register_device("cpu", _cpu)
register_device("gpu", _gpu)
