"""One layer on its way to machine code and WGSL, in excerpts that show where a value has gone.

The page docs/guide/follow-a-value.md shows them. The machines are described in full, none is the
host, so the excerpts are the same wherever they are made.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, replace

from picograd.backends.llvm import codegen
from picograd.backends.llvm.emit import emit
from picograd.backends.wgsl.emit import emit_kernel
from picograd.backends.wgsl.runtime import Limits
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import PassRecord, run_pipeline
from picograd.compiler.pipelines import pipeline
from picograd.dialects.loop import KernelOp
from picograd.passes import Pass
from picograd.targets import lookup
from picograd.targets.gpu import default_target

# One core with 16 vectors of 8 floats, as in most desktop processors of the last ten years.
CPU = "cpu:vector_bits=256,vector_registers=16,fma=true,cores=1,l1_bytes=32768,l2_bytes=1048576"
PROCESSOR = codegen.x86("haswell")
# WebGPU's default limits, whatever adapter this process may have found.
GPU = "gpu:storage_buffers=8,workgroup_bytes=16384,max_invocations=256"

# Longer lines are folded, and cut where they would not end: a loop that carries twelve vectors
# says so twelve times.
LINE = 100
MOST_FOLDS = 3


class Stages:
    """An instrument that keeps the module's text after each pass, by the pass's spelling."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def before(self, step: Pass, module: object) -> None:
        """Nothing: every module is seen after a pass."""

    def after(self, step: Pass, module: object, record: PassRecord) -> None:
        """Keep the text; the second run of `tile_loops` makes register tiles."""
        name = "register_tiles" if getattr(step, "exact", False) else step.name
        self.texts[name] = str(module)


def excerpts_of(text: str, value: str) -> Iterator[tuple[str, str, str]]:
    """Name, language and text of each excerpt, from the text of a module at tensor level.

    `value` is the name to follow, such as "hidden"; the module is a matmul and what follows it.
    """
    yield "tensor", "mlir", lines_between(text, r"func\.func", r"^  }")
    cpu, llvm, assembly = _to_assembly(text)
    yield (
        "outlined",
        "mlir",
        lines_between(cpu["outline_kernels"], rf"%{value} = kernel", r"^    }"),
    )
    yield "fused", "mlir", lines_between(cpu["fuse"], r"kernel\.fused", r"^    }")
    buffers = cpu["lower_kernels_to_buffers"]
    yield "buffer", "mlir", lines_between(buffers, r"buffer\.kernel", r"^    }")
    yield "loops", "mlir", _kernel(cpu["lower_buffers_to_loops"])
    yield "tiled", "mlir", _kernel(cpu["register_tiles"])
    yield "vectorized", "mlir", _kernel(cpu["vectorize_loops"])
    yield "sums", "mlir", lines_between(cpu["lower_reduce"], r"loop\.for", r"^ {8}}")
    pieces = (
        r"loop\.for",
        r"%images\[%i1, %k\]",
        r"%weight\[",
        r"math\.fma",
        r"%bias\[%j0 \+ t0\]",
        rf"%{value}\b",
        r"%active\[%i1, %j0 \+ t0\]",
    )
    yield "unrolled", "mlir", _tersely(cpu["unroll_tiles"], *pieces)
    sums = (r"^\w+\.\d+:", r"load <8", r"llvm\.fma", r"br i1", rf"%{value}\.", "store")
    yield "llvm", "llvm", matching_lines(lines_between(llvm, r"^k\.", r"^  store", raw=True), *sums)
    yield "assembly", "asm", _inner_loop(assembly)
    gpu, shader = _to_wgsl(text)
    copies = lines_between(gpu["stage_operands"], r"loop\.for", r"loop\.parallel \(%i,")
    yield "staged", "mlir", copies
    threads = (
        r"mapping",
        r"loop\.(for|reduce|alloc)",
        r"loop\.barrier",
        r"_tile\[",
        rf"%{value} =",
        r"%active\[",
    )
    yield "threads", "mlir", _tersely(gpu["vectorize_loops"], *threads)
    lines = (
        r"^//|^@|^var|^fn|^}",
        r"\(grid\)|\(workgroup\)|// loop k",
        "Barrier",
        r" fma\(",
        rf"_{value}\b",
        r"b3_active\[",
    )
    yield "wgsl", "wgsl", matching_lines(shader, *lines)


def lines_between(text: str, first: str, last: str, *, raw: bool = False) -> str:
    """The lines from the first that holds `first` to the next that holds `last`, both included.

    They lose the indent of the first; unless `raw`, long ones are folded, as IR may be.
    """
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if re.search(first, line))
    end = next(n for n in range(start + 1, len(lines)) if re.search(last, lines[n]))
    indent = len(lines[start]) - len(lines[start].lstrip())
    cut = [line[indent:] for line in lines[start : end + 1]]
    return "\n".join(cut if raw else [folded(line, MOST_FOLDS) for line in cut])


def matching_lines(text: str, *patterns: str) -> str:
    """The lines that hold one of the patterns, three of each in a row; else an ellipsis."""
    kept: list[str] = []
    run: list[str | None] = []
    for line in text.splitlines():
        pattern = next((one for one in patterns if re.search(one, line)), None)
        run = [*run[-3:], pattern]
        if pattern is not None and (run != [pattern] * 4 or pattern == patterns[0]):
            kept.append(line)
        elif not kept or kept[-1].strip() != "…":
            kept.append(line[: len(line) - len(line.lstrip())] + "…")
    return "\n".join(kept)


def folded(line: str, most: int = 1000) -> str:
    """A line of IR broken after commas and before arrows, so that it is read without scrolling.

    What is left after `most` breaks becomes an ellipsis.
    """
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    parts: list[str] = []
    while len(line) > LINE:
        breaks = [
            found.start() for found in re.finditer(r"(?<=,) (?!\")| (?=->|writes|attributes)", line)
        ]
        place = max((at for at in breaks if len(indent) < at <= LINE), default=0)
        if not place or len(parts) == most:
            break
        parts.append(line[:place])
        line = indent + line[place + 1 :]
    if len(line) > LINE and len(parts) == most:
        line = indent + "…"
    return "\n".join([*parts, line])


def _kernel(text: str) -> str:
    return lines_between(text, r"loop\.kernel", r"^  }")


def _tersely(text: str, *patterns: str) -> str:
    """Matching lines of the kernel; of a long list of results, the first and the last."""
    lines = matching_lines(lines_between(text, r"loop\.kernel", r"^  }", raw=True), *patterns)
    short = re.sub(r"(%\w+), (?:%\w+, )+(%\w+ =)", r"\1, …, \2", lines)
    return "\n".join(folded(line, 1) for line in short.splitlines())


def _inner_loop(assembly: str) -> str:
    """From the label of the loop that multiplies to the first store after it."""
    before, multiply, _ = assembly.partition("\tvfmadd")
    label = re.findall(r"^(\.L\w+):", before, re.MULTILINE)[-1]
    assert multiply, "the layer has no product"
    lines = lines_between(assembly, rf"^{re.escape(label)}:", r"vmovups\t%ymm\d+, ", raw=True)
    return re.sub(r"^\t(\w+)\t", lambda found: f"    {found[1]:14}", lines, flags=re.MULTILINE)


def _stages(text: str, device: str, target: str) -> dict[str, str]:
    module = parse_module(text)
    stages = Stages()
    passes = [
        replace(step, target=target)  # pyright: ignore[reportCallIssue]
        if any(option.name == "target" for option in fields(step))
        else step
        for step in pipeline(device)
    ]
    run_pipeline(module, passes, instruments=[stages])
    return stages.texts


def _to_assembly(text: str) -> tuple[dict[str, str], str, str]:
    texts = _stages(text, "cpu", CPU)
    lowered = parse_module(list(texts.values())[-1])
    llvm = emit(lowered, vector_bits=lookup(CPU).vector_bits).text
    return texts, llvm, codegen.assembly(llvm, PROCESSOR)


def _to_wgsl(text: str) -> tuple[dict[str, str], str]:
    texts = _stages(text, "gpu", GPU)
    lowered = parse_module(list(texts.values())[-1])
    (kernel,) = (op for op in lowered.ops if isinstance(op, KernelOp))
    facts = default_target()
    limits = Limits(
        facts.storage_buffers,
        facts.max_binding_bytes,
        facts.max_binding_bytes,
        facts.workgroup_bytes,
        facts.max_invocations,
        facts.max_workgroup_size,
        facts.max_workgroups,
    )
    return texts, emit_kernel(kernel, limits).text
