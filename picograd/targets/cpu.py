"""The host's processor, from what Linux tells about it; careful guesses where nothing is told."""

import os
import platform
from pathlib import Path

from picograd.targets.target import Target

_CPUINFO = Path("/proc/cpuinfo")
ARM = ("aarch64", "arm64")
"""How systems call the 64-bit Arm architecture."""
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def host_target() -> Target:
    """The machine this process runs on: vector width, registers, caches and usable cores."""
    machine = platform.machine().lower()
    flags = processor_flags(_CPUINFO.read_text() if _CPUINFO.exists() else "")
    bits, registers, fma = vector_unit(machine, flags)
    caches = cache_sizes(_CACHES)
    return Target(
        name="cpu",
        kind="cpu",
        vector_bits=bits,
        vector_registers=registers,
        fma=fma,
        scales="avx512vl" in flags,
        memory_operands=machine not in ARM,
        cores=usable_cores(),
        l1_bytes=caches.get(1, Target.l1_bytes),
        l2_bytes=caches.get(2, Target.l2_bytes),
        l3_bytes=caches.get(3, Target.l3_bytes),
        buffer_alignment=64,
        float16_conversions=has_float16_conversions(machine, flags),
    )


def usable_cores() -> int:
    """The cores that this process may run on, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_flags(cpuinfo: str) -> frozenset[str]:
    """The feature flags in the text of /proc/cpuinfo (`flags` on x86, `Features` on Arm)."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def vector_unit(machine: str, flags: frozenset[str]) -> tuple[int, int, bool]:
    """Vector width in bits, number of vector registers, and whether fused multiply-add exists."""
    if machine in ARM:
        return 128, 32, True
    if "avx512f" in flags:
        return 512, 32, True
    if "avx2" in flags:
        return 256, 16, "fma" in flags
    return 128, 16, False


def has_float16_conversions(machine: str, flags: frozenset[str]) -> bool:
    """Whether instructions convert between float16 and float32: F16C, and on any 64-bit Arm."""
    return machine in ARM or "f16c" in flags


def cache_sizes(folder: Path) -> dict[int, int]:
    """Bytes of the data caches by level, as sysfs lists them for one core; empty if it does not."""
    sizes: dict[int, int] = {}
    for entry in sorted(folder.glob("index*")):
        if (entry / "type").read_text().strip() in ("Data", "Unified"):
            size = (entry / "size").read_text().strip()
            unit = {"K": 1024, "M": 1024**2, "G": 1024**3}.get(size[-1:], 1)
            sizes[int((entry / "level").read_text())] = int(size.rstrip("KMG")) * unit
    return sizes
