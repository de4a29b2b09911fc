"""Loads, stores, local buffers and data-dependent indices as LLVM text.

A tile of one axis is loaded in the best of four ways: one vector when its lanes lie side by side,
the same by a mask when the tile is no power of two or may reach out of bounds, one element in every
lane when the lane does not matter, and element by element otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Operation, SSAValue

from picograd.backends.llvm import types
from picograd.backends.llvm.checks import checked, poison
from picograd.backends.llvm.emit_address import address, linear, offset
from picograd.backends.llvm.emit_strided import is_strided, strided_load
from picograd.backends.llvm.emitted import SCRATCH, STATUS, THREAD_SCRATCH, THREAD_STRIDE
from picograd.backends.llvm.function import Function
from picograd.dialects.affine import Lane, Linear
from picograd.dialects.loop import (
    FETCH_L1,
    FETCH_L2,
    STREAM,
    AllocOp,
    CheckedIndexOp,
    LoadOp,
    StoreOp,
    memref_type,
)
from picograd.quick_dataclasses import dataclass

_LANE = Lane(0)

_CACHES = {FETCH_L1: 3, FETCH_L2: 2}
"""How LLVM counts the caches into which notes ask to fetch."""

_LINE = 64
"""Bytes that one fetch brings."""


@dataclass
class _Access:
    """What a load and a store have in common."""

    op: LoadOp | StoreOp
    memref: SSAValue
    indices: list[Linear]
    scalar: str
    lanes: int
    guarded: bool

    @property
    def element(self) -> str:
        """The type in memory."""
        return types.in_memory(self.scalar)

    @property
    def memory_type(self) -> str:
        return types.vector(self.element, self.lanes)

    @property
    def alignment(self) -> int:
        return types.nbytes(self.scalar)

    def at_lane(self, lane: int) -> _Access:
        """The access of one element of the tile."""
        indices = [index.substitute({_LANE: lane}) for index in self.indices]
        return _Access(self.op, self.memref, indices, self.scalar, 0, self.guarded)


def _stride(f: Function, elements: Linear) -> tuple[int | None, Linear]:
    """Elements from lane to lane, if that is the same for all of them; and the place of a lane
    when the others are left out of the sum.
    """

    def find() -> tuple[int | None, Linear]:
        inside = sum(1 for leaf in elements.leaves() if leaf == _LANE)
        coefficient = elements.coefficient(_LANE)
        terms = {atom: by for atom, by in elements.terms.items() if atom != _LANE}
        return coefficient if inside == (1 if coefficient else 0) else None, Linear(terms)

    stride, rest = f.found_once("stride", [elements], find)
    return stride, Linear(rest.terms, elements.constant)


def _unproved(f: Function, access: _Access) -> list[tuple[Linear, int]]:
    """The indices of a guarded access that may be out of bounds, with their sizes."""
    if not access.guarded:
        return []
    extents = (access.lanes,) if access.lanes else ()
    shape = memref_type(access.memref).get_shape()
    pairs = zip(access.indices, shape, strict=True)
    return [(index, size) for index, size in pairs if not f.ranges.within(index, size, extents)]


def _inside(f: Function, checks: list[tuple[Linear, int]]) -> str:
    """Whether all indices without lanes are in bounds, as an i1."""
    result: str | None = None
    for index, size in checks:
        # one unsigned comparison covers negative indices too
        ok = f.assign("inside", f"icmp ult i64 {linear(f, index)}, {size}")
        result = ok if result is None else f.assign("inside", f"and i1 {result}, {ok}")
    return result or "true"


def _mask(f: Function, access: _Access, checks: list[tuple[Linear, int]]) -> str | None:
    """The lanes of a vector that take part; None when all do."""
    lanes, wide = access.lanes, types.width(access.lanes)
    result = None if lanes == wide else types.first_lanes(lanes)
    for index, size in checks:
        positions = lane_values(f, index, lanes, "i64")
        ok = f.assign(
            "inside",
            f"icmp ult <{wide} x i64> {positions}, {types.splat(str(size), 'i64', lanes)}",
        )
        if result is not None:
            ok = f.assign("inside", f"and <{wide} x i1> {ok}, {result}")
        result = ok
    return result


def lane_values(f: Function, expression: Linear, lanes: int, scalar: str) -> str:
    """An affine expression as a vector of integers, its lane counting from 0.

    The lane must not occur inside a quotient or remainder, unless these are resolved lane by lane.
    """
    wide = types.width(lanes)
    vector = types.vector(scalar, lanes)
    coefficient = expression.coefficient(_LANE)
    rest = expression - Linear.of(_LANE) * coefficient
    if any(leaf == _LANE for leaf in rest.leaves()):
        result = "poison"
        for lane in range(lanes):
            text = narrowed(f, linear(f, expression.substitute({_LANE: lane})), scalar)
            result = f.assign(
                "lanes", f"insertelement {vector} {result}, {scalar} {text}, i64 {lane}"
            )
        return result
    constant = rest.constant if coefficient else 0
    # With the constant among the steps, the vectors of a tile share what is the same in all lanes.
    first = f.splat(narrowed(f, linear(f, rest - constant), scalar), scalar, lanes)
    if not coefficient:
        return first
    steps = types.list_text((str(constant + coefficient * lane) for lane in range(wide)), scalar)
    return f.assign("lanes", f"add {vector} {first}, {steps}")


def narrowed(f: Function, text: str, scalar: str) -> str:
    """An i64 as another integer type."""
    if scalar == "i64" or not text.startswith("%"):
        return text
    return f.assign("index", f"trunc i64 {text} to {scalar}")


def _access_of(op: LoadOp | StoreOp) -> _Access:
    type = (op.result if isinstance(op, LoadOp) else op.value).type
    guarded = (op.pad if isinstance(op, LoadOp) else op.clip) is not None
    return _Access(op, op.memref, op.indices, types.scalar(type), types.lanes(type), guarded)


def _checked(
    f: Function, access: _Access, place: str, mask: str | None = None, only_if: str | None = None
) -> str:
    """Where the access takes place, if execution is checked and finds that it must not be there."""
    return checked(f, access.op, access.indices, access.lanes, place, mask=mask, only_if=only_if)


def _fetch(f: Function, access: _Access, elements: Linear) -> None:
    """Fetch ahead of a vector's load, if a note asks for it: once for each line of the cache."""
    line = max(1, _LINE // access.alignment)
    if f.sites is not None or elements.constant % line >= access.lanes:
        return  # checked code may not even look beyond a buffer
    for note, cache in _CACHES.items():
        distance = access.op.attributes.get(note)
        if isinstance(distance, IntegerAttr):
            place = address(f, access.memref, elements + distance.value.data)
            given = [("ptr", place), ("i32", "0"), ("i32", str(cache)), ("i32", "1")]
            f.emit(f.call("llvm.prefetch.p0", "void", given))


# Loads


def _load(f: Function, op: Operation) -> None:
    assert isinstance(op, LoadOp)
    access = _access_of(op)
    raw = _load_memory(f, access, op.result.name_hint)
    f.names[op.result] = _from_memory(f, raw, access)


def _from_memory(f: Function, text: str, access: _Access) -> str:
    """What was loaded as a value: a bool is a byte in memory."""
    if access.scalar != "i1":
        return text
    return f.assign("bool", f"icmp ne {access.memory_type} {text}, zeroinitializer")


def _load_memory(f: Function, access: _Access, hint: str | None) -> str:
    elements = offset(f, access.memref, access.indices)
    checks = _unproved(f, access)
    if not access.lanes:
        return _load_element(f, access, elements, checks, hint)
    stride, first = _stride(f, elements)
    if stride == 1:
        _fetch(f, access, first)
        start = address(f, access.memref, first)
        mask = _mask(f, access, checks)
        start = _checked(f, access, start, mask)
        if mask is None:
            return f.assign(
                hint, f"load {access.memory_type}, ptr {start}, align {access.alignment}"
            )
        return f.assign(hint, _masked_load(f, access, start, mask))
    if stride == 0 and not checks:
        one = access.at_lane(0)
        text = _load_element(f, one, offset(f, one.memref, one.indices), [], hint)
        return f.splat(text, access.element, access.lanes, hint)
    if stride is not None and not checks and is_strided(f, access.lanes, stride):
        assert isinstance(access.op, LoadOp)
        memory = (access.element, access.alignment)
        return strided_load(f, access.op, elements, stride, memory, hint)
    result = "poison"
    for lane in range(access.lanes):
        one = access.at_lane(lane)
        text = _load_element(f, one, offset(f, one.memref, one.indices), _unproved(f, one), hint)
        result = f.assign(
            hint,
            f"insertelement {access.memory_type} {result}, {access.element} {text}, i64 {lane}",
        )
    return result


def _load_element(
    f: Function,
    access: _Access,
    elements: Linear,
    checks: list[tuple[Linear, int]],
    hint: str | None,
) -> str:
    """One element; an element out of bounds is read from the start of the buffer and dropped."""
    if not checks:
        place = _checked(f, access, address(f, access.memref, elements))
        return f.assign(hint, f"load {access.element}, ptr {place}, align {access.alignment}")
    inside = _inside(f, checks)
    safe = f.assign("index", f"select i1 {inside}, i64 {linear(f, elements)}, i64 0")
    base = f.bases[access.memref]
    place = f.assign("p", f"getelementptr {access.element}, ptr {base}, i64 {safe}")
    place = _checked(f, access, place, only_if=inside)
    text = f.assign(hint, f"load {access.element}, ptr {place}, align {access.alignment}")
    zero = types.number_text(0, access.element)
    return f.assign(hint, f"select i1 {inside}, {access.element} {text}, {access.element} {zero}")


def _masked_load(f: Function, access: _Access, start: str, mask: str) -> str:
    type = access.memory_type
    name = f"llvm.masked.load.{types.suffix(access.element, access.lanes)}.p0"
    mask_type = types.vector("i1", access.lanes)
    f.declarations.add(f"declare {type} @{name}(ptr, {mask_type}, {type})")
    return (
        f"call {type} @{name}(ptr align {access.alignment} {start}, {mask_type} {mask}, "
        f"{type} zeroinitializer)"
    )


# Stores


def _store(f: Function, op: Operation) -> None:
    assert isinstance(op, StoreOp)
    access = _access_of(op)
    text = f.names[op.value]
    if access.scalar == "i1":
        value_type = types.value(op.value.type)
        text = f.assign("byte", f"zext {value_type} {text} to {access.memory_type}")
    elements = offset(f, access.memref, access.indices)
    checks = _unproved(f, access)
    stride, first = _stride(f, elements)
    if not access.lanes:
        _store_element(f, access, elements, checks, text)
    elif stride == 1:
        start = address(f, access.memref, first)
        mask = _mask(f, access, checks)
        if mask is None and f.sites is None and _streams(f, access, first):
            _stream(f, access, start, text)
        else:
            _store_vector(f, access, _checked(f, access, start, mask), mask, text)
    else:
        for lane in range(access.lanes):
            one = access.at_lane(lane)
            element = f.assign("v", f"extractelement {access.memory_type} {text}, i64 {lane}")
            _store_element(f, one, offset(f, one.memref, one.indices), _unproved(f, one), element)


def _streams(f: Function, access: _Access, first: Linear) -> bool:
    """Whether a note asks for a vector to go past the caches, and it is aligned: it must be."""
    nbytes = types.width(access.lanes) * access.alignment
    aligned = nbytes <= _LINE and f.ranges.divisor(first) * access.alignment % nbytes == 0
    return STREAM in access.op.attributes and aligned


def _stream(f: Function, access: _Access, start: str, text: str) -> None:
    """Store a vector past the caches; a fence at the function's end lets other threads see it."""
    nbytes = types.width(access.lanes) * access.alignment
    f.declarations.add("!0 = !{i32 1}")
    f.emit(f"store {access.memory_type} {text}, ptr {start}, align {nbytes}, !nontemporal !0")
    f.streams = True


def _store_vector(f: Function, access: _Access, start: str, mask: str | None, text: str) -> None:
    type, alignment = access.memory_type, access.alignment
    if mask is None:
        f.emit(f"store {type} {text}, ptr {start}, align {alignment}")
        return
    name = f"llvm.masked.store.{types.suffix(access.element, access.lanes)}.p0"
    mask_type = types.vector("i1", access.lanes)
    f.declarations.add(f"declare void @{name}({type}, ptr, {mask_type})")
    f.emit(f"call void @{name}({type} {text}, ptr align {alignment} {start}, {mask_type} {mask})")


def _store_element(
    f: Function, access: _Access, elements: Linear, checks: list[tuple[Linear, int]], text: str
) -> None:
    """One element; an element out of bounds is not written."""
    if not checks:
        place = _checked(f, access, address(f, access.memref, elements))
        f.emit(f"store {access.element} {text}, ptr {place}, align {access.alignment}")
        return
    inside, write, after = _inside(f, checks), f.fresh_label("write"), f.fresh_label("after")
    f.emit(f"br i1 {inside}, label %{write}, label %{after}")
    f.start(write)
    place = _checked(f, access, address(f, access.memref, elements))
    f.emit(f"store {access.element} {text}, ptr {place}, align {access.alignment}")
    f.emit(f"br label %{after}")
    f.start(after)


# Local buffers and checked indices


def _alloc(f: Function, op: Operation) -> None:
    assert isinstance(op, AllocOp)
    type = memref_type(op.memref)
    nbytes = math.prod(type.get_shape()) * types.nbytes(types.scalar(type.element_type))
    base = thread_scratch(f) if f.worker else f.context_field(SCRATCH)
    start = f.scratch.take(nbytes)
    hint = op.memref.name_hint or "local"
    f.bases[op.memref] = f.assign_at(0, hint, f"getelementptr i8, ptr {base}, i64 {start}")
    poison(f, f.bases[op.memref], nbytes)


def thread_scratch(f: Function) -> str:
    """The block of local buffers of the thread that runs this function."""
    key = ("thread_scratch",)
    known = f.levels[0].pointers
    if key not in known:
        base, stride = f.context_field(THREAD_SCRATCH), f.context_field(THREAD_STRIDE)
        distance = f.assign_at(0, "distance", f"mul i64 {f.worker}, {stride}")
        known[key] = f.assign_at(0, "mine", f"getelementptr i8, ptr {base}, i64 {distance}")
    return known[key]


def _checked_index(f: Function, op: Operation) -> None:
    assert isinstance(op, CheckedIndexOp)
    scalar, size = types.scalar(op.value.type), op.size.value.data
    text = f.names[op.value]
    if scalar == "i1":
        text = f.assign("index", f"zext i1 {text} to i64")
    elif scalar != "i64":
        text = f.assign("index", f"sext {scalar} {text} to i64")
    inside = f.assign("inside", f"icmp ult i64 {text}, {size}")
    fail, go_on = f.fresh_label("fail"), f.fresh_label("checked")
    f.emit(f"br i1 {inside}, label %{go_on}, label %{fail}")
    f.start(fail)
    status = f.context_field(STATUS)
    # Any of the failing indices will do, so threads need not agree whose is kept.
    for position, field in enumerate(("1", text, str(size))):
        place = f.assign("p", f"getelementptr i64, ptr {status}, i64 {position}")
        f.emit(f"store atomic i64 {field}, ptr {place} monotonic, align 8")
    f.emit(f"br label %{go_on}")
    f.start(go_on)
    f.names[op.result] = f.assign(op.result.name_hint, f"select i1 {inside}, i64 {text}, i64 0")
    f.ranges.limit(op.result, 0, size - 1)


RULES: dict[type[Operation], Callable[[Function, Operation], None]] = {
    LoadOp: _load,
    StoreOp: _store,
    AllocOp: _alloc,
    CheckedIndexOp: _checked_index,
}
