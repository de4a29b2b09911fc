"""Kernels as WGSL, and how they are launched: what the emitter makes, and programs are made of."""

from __future__ import annotations

from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class DispatchCode:
    """One compute shader and how to launch it.

    `buffers` are what its bindings are bound to, in order: the kernel's argument of that position,
    or, from `len(arguments)` on, the kernel's scratch buffers. The status word, if used, is last.
    `in_bounds` says that every access is proved to stay inside its buffer.
    """

    name: str
    text: str
    workgroups: tuple[int, int, int]
    threads: int
    buffers: tuple[int, ...]
    uses_status: bool
    in_bounds: bool


@dataclass(frozen=True)
class KernelCode:
    """A kernel's dispatches in order, and the bytes of each scratch buffer they share."""

    name: str
    dispatches: tuple[DispatchCode, ...]
    scratch_bytes: tuple[int, ...]

    @property
    def text(self) -> str:
        return "\n".join(dispatch.text for dispatch in self.dispatches)
