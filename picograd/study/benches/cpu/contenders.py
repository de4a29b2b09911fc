"""Who takes part, and in which environment their processes start."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import field
from importlib.util import find_spec

from picograd.backends.llvm.codegen import host
from picograd.quick_dataclasses import dataclass

OURS = "picograd"
PEERS = ("torch", "torch.compile", "jax", "numpy", "tinygrad")
TUNED = "tuned allocator"

# Memory that was freed is kept, in huge pages, rather than given back and touched anew: measured,
# no page faults remain once a few calls have been made.
TUNABLES = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {"mmap_max": 0, "trim_threshold": 1 << 33, "hugetlb": 1}.items()
)


@dataclass(frozen=True)
class Contender:
    """A library in an environment."""

    name: str
    words: str
    """Whose words its worker speaks."""
    module: str
    """What must be installed."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


CONTENDERS: dict[str, tuple[Contender, ...]] = {
    "torch": (
        Contender("torch", "torch", "torch"),
        Contender(f"torch, {TUNED}", "torch", "torch", {"GLIBC_TUNABLES": TUNABLES}),
    ),
    "torch.compile": (
        Contender("torch.compile", "torch.compile", "torch"),
        Contender(
            f"torch.compile, {TUNED}", "torch.compile", "torch", {"GLIBC_TUNABLES": TUNABLES}
        ),
    ),
    "jax": (Contender("jax", "jax", "jax", {"JAX_PLATFORMS": "cpu"}),),
    "numpy": (
        Contender("numpy", "numpy", "numpy"),
        Contender("numpy, AVX-512", "numpy", "numpy", {"OPENBLAS_CORETYPE": "SKYLAKEX"}),
    ),
    "tinygrad": (Contender("tinygrad", "tinygrad", "tinygrad", {"DEV": "CPU"}),),
}

PICOGRAD = Contender(OURS, OURS, OURS)

# What tells each library how many threads to use; they read these when they are loaded.
THREADS = (
    *("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"),
    "PICOGRAD_NUM_THREADS",
    "NPROC",  # XLA's pools
    "NUM_CPU_THREADS",  # tinygrad's
)


def environment(contender: Contender, threads: int) -> dict[str, str]:
    """That of the contender's process."""
    found = {**os.environ, **{name: str(threads) for name in THREADS}}
    # Compiling in processes of its own would go on while others are measured.
    found["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    compiler = _clang()
    if compiler is not None:
        found.setdefault("CC" if contender.words == "tinygrad" else "CLANG", compiler)
    return {**found, **contender.environment}


CACHES = {OURS: "PICOGRAD_CACHE", "torch.compile": "TORCHINDUCTOR_CACHE_DIR"}
"""Where libraries are told to keep what they have compiled."""


def caches_in(folder: str, *libraries: str) -> dict[str, str]:
    """Let what is compiled be kept in this folder, by these libraries or by all."""
    return {CACHES[name]: f"{folder}/{name}" for name in libraries or CACHES}


def _clang() -> str | None:
    """The C compiler that tinygrad asks for, by whichever name it is installed."""
    names = ["clang", *(f"clang-{number}" for number in range(30, 10, -1))]
    return next((name for name in names if shutil.which(name)), None)


def chosen(peers: Sequence[str]) -> tuple[list[Contender], dict[str, str]]:
    """Who takes part, picograd first; and who cannot, with the reason."""
    present, absent = [PICOGRAD], dict[str, str]()
    for peer in peers:
        for contender in CONTENDERS[peer]:
            reason = obstacle(contender)
            if reason is None:
                present.append(contender)
            else:
                absent[contender.name] = reason
    return present, absent


def obstacle(contender: Contender) -> str | None:
    """Why the contender cannot take part here, None if it can."""
    if find_spec(contender.module) is None:
        return f"{contender.module} is not installed"
    if contender.name.endswith("AVX-512") and "+avx512f" not in host().features:
        return "this processor has no AVX-512"
    if contender.words == "tinygrad" and _clang() is None:
        return "clang is not installed, which tinygrad compiles with"
    if contender.words == "torch.compile" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
        return "no C++ compiler is installed, which torch.compile needs"
    return None
