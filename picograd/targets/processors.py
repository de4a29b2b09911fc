"""Processors by name, so that code for them can be made and looked at on any machine.

The names are LLVM's. Cache sizes are those of one core (the third level: what one core may count
on), from the makers' optimization manuals; `x86-64-v2`, `-v3` and `-v4` are the levels of the x86
psABI, which say nothing of caches, so they get those of a common processor of their time.
"""

from picograd.targets.target import Target

_KIB = 1024
_MIB = 1024 * _KIB


def _processor(
    name: str,
    architecture: str,
    vector_bits: int,
    vector_registers: int,
    caches: tuple[int, int, int],
    *,
    fma: bool = True,
    scales: bool = False,
    float16_conversions: bool = True,
) -> Target:
    l1_bytes, l2_bytes, l3_bytes = caches
    return Target(
        name=name,
        kind="cpu",
        architecture=architecture,
        vector_bits=vector_bits,
        vector_registers=vector_registers,
        fma=fma,
        scales=scales,
        memory_operands=architecture == "x86_64",
        l1_bytes=l1_bytes,
        l2_bytes=l2_bytes,
        l3_bytes=l3_bytes,
        buffer_alignment=64,
        float16_conversions=float16_conversions,
    )


PROCESSORS = (
    _processor("znver5", "x86_64", 512, 32, (48 * _KIB, _MIB, 32 * _MIB), scales=True),
    _processor("x86-64-v4", "x86_64", 512, 32, (32 * _KIB, _MIB, 16 * _MIB), scales=True),
    _processor("x86-64-v3", "x86_64", 256, 16, (32 * _KIB, 256 * _KIB, 8 * _MIB)),
    _processor(
        "x86-64-v2",
        "x86_64",
        128,
        16,
        (32 * _KIB, 256 * _KIB, 8 * _MIB),
        fma=False,
        float16_conversions=False,
    ),
    _processor("neoverse-v2", "aarch64", 128, 32, (64 * _KIB, 2 * _MIB, 32 * _MIB)),
)
"""AVX-512, AVX2 with FMA, SSE4.2, and Arm's NEON."""
