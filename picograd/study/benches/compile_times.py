"""How long it takes until a training step runs: in fresh processes, caches empty and full.

All contenders do what `bench cpu` has them do, in its workers: their time runs from arrays to
results, after the import, and holds all that a first call needs. Of picograd that is loading LLVM
and the passes, the tensors and the programs that copy them, tracing, compiling, and a run. Where
its time goes is told by a process of its own, `python -c "…tell(…)"`, which counts from before the
import.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import picograd
from picograd.compiler.load_toolchain import toolchain
from picograd.quick_dataclasses import dataclass
from picograd.study.benches.cpu.contenders import OURS, PICOGRAD, Contender, environment
from picograd.study.benches.cpu.conversation import Conversation, LostError
from picograd.study.benches.cpu.in_torch_words import InTorchWords
from picograd.study.benches.cpu.workloads import WORKLOADS

STEPS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "MLP 784-512-512-10, batch 128": ("MLP step", (128, 784, 512, 10)),
    "GPT, 6 layers of 384, 256 letters, batch 8": ("GPT step", (6, 384, 6, 256, 8, 65)),
}
"""What is compiled: name, workload, sizes."""

TINY: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "MLP": ("MLP step", (4, 6, 5, 3)),
    "GPT": ("GPT step", (1, 4, 2, 3, 2, 5)),
}
"""The same where only what is printed matters."""

WAYS = ("cold", "from disk", "in memory")
"""An empty cache; another process with what the first has left; once more in that process."""

_PATIENCE = 600.0
_CACHES = {
    OURS: "PICOGRAD_CACHE",
    "torch.compile": "TORCHINDUCTOR_CACHE_DIR",
    "jax": "JAX_COMPILATION_CACHE_DIR",
}


@dataclass(frozen=True)
class FirstCalls:
    """Seconds of the first call of a step in each of the ways; or why there is none."""

    contender: str
    seconds: Mapping[str, float]
    problem: str = ""


def first_calls(step: tuple[str, tuple[int, ...]], contenders: Sequence[Contender]) -> Iterator[
    FirstCalls
]:  # fmt: skip
    """How long each contender's first call takes: from operands in files to results."""
    workload, sizes = step
    operands = WORKLOADS[workload].operands(sizes, np.random.default_rng(0))
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = [str(folder / f"{number}.npy") for number in range(len(operands))]
        for file, operand in zip(files, operands, strict=True):
            np.save(file, operand)
        question = {"workload": workload, "sizes": list(sizes), "operands": files}
        for contender in contenders:
            yield _first_calls(contender, folder, question)


def _first_calls(contender: Contender, folder: Path, question: dict[str, Any]) -> FirstCalls:
    cache = folder / contender.words
    settings = environment(contender, 1) | _kept_in(contender, cache)
    seconds: dict[str, float] = {}
    try:
        for way in WAYS[:2]:
            with Conversation(contender.words, settings, folder / "log.txt", _PATIENCE) as talk:
                seconds[way] = talk.ask("prepare", _PATIENCE, name="one", **question)["first call"]
                if way == WAYS[1]:
                    again = talk.ask("prepare", _PATIENCE, name="other", **question)
                    seconds[WAYS[2]] = again["first call"]
    except LostError as error:
        return FirstCalls(contender.name, seconds, str(error))
    return FirstCalls(contender.name, seconds)


def _kept_in(contender: Contender, cache: Path) -> dict[str, str]:
    """Let a library keep what it compiles in a folder of its own, if it keeps anything."""
    if contender.words not in _CACHES:
        return {}
    kept = {_CACHES[contender.words]: str(cache)}
    if contender.words == OURS:
        kept["PICOGRAD_DISK_CACHE"] = "1"
    if contender.words == "jax":
        kept["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    return kept


def parts_of(step: tuple[str, tuple[int, ...]], folder: Path, way: str) -> dict[str, float]:
    """Seconds of each part, in order, in a fresh process whose cache is in `folder`.

    `way` is one of `WAYS`. Raises CalledProcessError where the process fails.
    """
    code = (
        "import time; start = time.perf_counter(); import picograd; "
        "seconds = [time.perf_counter() - start]; start = time.perf_counter(); "
        "import picograd.backends.llvm.device; seconds.append(time.perf_counter() - start); "
        "from picograd.study.benches.compile_times import tell; "
        f"tell(*seconds, {step!r}, {way!r})"
    )
    settings = environment(PICOGRAD, 1) | _kept_in(PICOGRAD, folder)
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=settings, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def tell(importing: float, llvm: float, step: tuple[str, tuple[int, ...]], way: str) -> None:
    """Compile the step, and print where the time went, as one line of JSON.

    `importing` are the seconds that it took to import picograd, and `llvm` the CPU's back end.
    """
    workload, sizes = step
    parts = {"import": importing, "loading LLVM": llvm}
    if way == WAYS[0]:
        start = time.perf_counter()
        toolchain()
        parts["loading passes"] = time.perf_counter() - start
    functions: list[Any] = []

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        functions.append(picograd.compile(function))
        return functions[-1]

    operands = WORKLOADS[workload].operands(sizes, np.random.default_rng(0))
    words = InTorchWords(picograd, whole=compiled)
    if way == WAYS[2]:
        words.prepare(workload, sizes, operands).call()
    start = time.perf_counter()
    prepared = words.prepare(workload, sizes, operands)
    parts["tensors, and programs that copy them"] = time.perf_counter() - start
    start = time.perf_counter()
    prepared.call()
    first = time.perf_counter() - start
    start = time.perf_counter()
    prepared.call()
    call = time.perf_counter() - start
    version, report = functions[-1].versions[-1], functions[-1].report
    taken = version.making.seconds
    if way == WAYS[0] or (way == WAYS[1] and report.load_seconds is None):  # sources have changed
        taken -= report.compile_seconds
        parts |= {"tracing, and looking it up": taken}
        for record in report.passes:
            parts[record.name] = parts.get(record.name, 0.0) + record.seconds
        parts["verification"] = sum(record.verify_seconds for record in report.passes)
        parts |= report.back_end
        known = sum(record.seconds + record.verify_seconds for record in report.passes)
        parts["the rest of compiling"] = (
            report.compile_seconds - known - sum(report.back_end.values())
        )
    elif way == WAYS[1]:
        loading = report.load_seconds or 0.0
        parts |= {"tracing, and looking it up": taken - loading, "loading": loading}
    else:
        parts |= {"tracing, and looking it up": taken}
    parts["the first call's run, over later ones"] = max(first - version.making.seconds - call, 0.0)
    parts["a later call"] = call
    print(json.dumps(parts))
