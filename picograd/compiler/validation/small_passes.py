"""Pipelines for a machine so small that small dimensions have reason to be tiled and shared.

Everything that a schedule compares with the size of a dimension gets smaller: the caches, vectors
and workgroups of the targets that passes name, tile sizes that are written out, the threads of a
tree. Sizes for one loop shrink together over all passes, so that a block of twelve register tiles
stays a block of several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from picograd.compiler.pass_list import Pipeline
from picograd.passes.base import Pass
from picograd.passes.rewriting.loops import parse_sizes
from picograd.targets import Target, lookup

SMALL_MACHINES: Mapping[str, Mapping[str, int]] = {
    "cpu": {
        "vector_bits": 128,
        "vector_registers": 16,
        "cores": 3,
        "l1_bytes": 512,
        "l2_bytes": 1024,
        "l3_bytes": 4096,
    },
    "gpu": {"cores": 1, "workgroup_bytes": 4096, "max_invocations": 64},
}
"""The most that a twin's machine has; what a machine lacks already stays as it is."""

NAMED_SIZES = {"tile_loops": "sizes", "stage_operands": "layout", "vectorize_loops": "reduce"}
"""The options that hold sizes by the names of loops."""

MOST: Mapping[str, Mapping[str, int]] = {
    "rematerialize": {"above": 0},
    "pack_constants": {"least": 0},
    "merge_launches": {"least": 1, "most": 512},
    "split_loops": {"least": 2},
    "merge_reduce": {"rows": 1},
    "split_reduce": {"chunk": 64, "shortest": 256},
    "unroll_tiles": {"width": 4},
    "tree_reduce": {"threads": 8, "shortest": 16, "fan_in": 4},
    "map_to_grid": {"threads": 16},
    "parallelize_loops": {"grain": 0, "serial_below": 0},
}
"""The most that a twin's options say; 0 threads or lanes, which leave it to the target, stay."""

MOST_OPTION = 16
"""A number in an option of a pass that nothing is known about is called large above this."""


def small_passes(passes: Sequence[Pass]) -> tuple[Pipeline, tuple[str, ...]]:
    """The passes for a small machine, and what stays as it is, in words."""
    shrunk = _loop_sizes(passes)
    small = [_small(step, shrunk) for step in passes]
    return Pipeline(small), tuple(_unknown(passes))


def small_target(text: str) -> str:
    """The name of a machine like the one that is named, with less of everything."""
    target = lookup(text)
    name, _, overrides = text.partition(":")
    changes = {item.partition("=")[0].strip(): item for item in overrides.split(",") if item}
    for fact, most in SMALL_MACHINES.get(target.kind, {}).items():
        if _fact(target, fact) > most:
            changes[fact] = f"{fact}={most}"
    return f"{name}:{','.join(changes.values())}" if changes else name


def _fact(target: Target, name: str) -> int:
    value = getattr(target, name)
    assert isinstance(value, int)
    return value


def _small(step: Pass, sizes: Mapping[str, Mapping[int, int]]) -> Pass:
    options = {field.name: getattr(step, field.name) for field in fields(step)}
    changes: dict[str, Any] = {}
    target = options.get("target")
    if isinstance(target, str) and target:
        changes["target"] = small_target(target)
    for option, most in MOST.get(step.name, {}).items():
        changes[option] = min(options[option], most)
    named = NAMED_SIZES.get(step.name)
    if named is not None and options[named]:
        written = parse_sizes(named, options[named])
        changes[named] = " ".join(f"{name}={sizes[name][size]}" for name, size in written.items())
    return replace(step, **changes) if changes else step


def _loop_sizes(passes: Sequence[Pass]) -> dict[str, dict[int, int]]:
    """For each loop that options name, its sizes there and what they become."""
    named: dict[str, list[int]] = {}
    for step in passes:
        option = NAMED_SIZES.get(step.name)
        if option is not None:
            for name, size in parse_sizes(option, getattr(step, option)).items():
                named.setdefault(name, []).append(size)
    return {name: _together(sizes) for name, sizes in named.items()}


def _together(sizes: Sequence[int]) -> dict[int, int]:
    """The sizes of one loop, made small: multiples of one another stay multiples."""
    shrunk: dict[int, int] = {}
    below = below_shrunk = 1
    for size in sorted(set(sizes)):
        times, rest = divmod(size, below)
        if below == 1:
            shrunk[size] = _single(size)
        else:
            shrunk[size] = below_shrunk * min(times, 3) + min(rest, 1)
        if size > 1:
            below, below_shrunk = size, shrunk[size]
    return shrunk


def _single(size: int) -> int:
    """A small size of the same parity."""
    if size <= 4:
        return size
    most = 4 if size <= 16 else 8
    return most - size % 2


def _unknown(passes: Sequence[Pass]) -> Iterator[str]:
    """Large numbers in the options of passes of which nothing is known."""
    for step in passes:
        if step.name in MOST or step.name in NAMED_SIZES or step.name == "fuse":
            continue
        for field in fields(step):
            value = getattr(step, field.name)
            if isinstance(value, int) and not isinstance(value, bool) and value > MOST_OPTION:
                yield f"{field.name}={value} of {step.name}: nobody knows what it is compared with"
