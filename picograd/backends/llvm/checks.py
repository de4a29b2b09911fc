"""Bounds checks of checked execution: an access that would leave its memory goes elsewhere.

In front of every access stands a test of its indices against the shape of its buffer, and of the
address that was computed against the bytes of its buffer; nothing that the emitter has proved is
taken for granted. An access that fails reports itself, if it is the first of a call, in the words
to which the context's field `violation` points, and is sent to spare memory behind them: so it
touches nothing of the program's, and the call goes on to its end.

    words    failed, number of the site, axis (-1: the address), index
    spare    SPARE bytes of poison to load from, then as many to store to
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from xdsl.ir import SSAValue

from picograd.backends.llvm import types
from picograd.backends.llvm.emit_address import linear
from picograd.backends.llvm.emitted import VIOLATION
from picograd.backends.llvm.function import Function
from picograd.dialects.affine import Lane, Linear
from picograd.dialects.loop import LoadOp, StoreOp, memref_type
from picograd.semantics.access import WHOLE, site_of

SPARE = 4096
"""Bytes for a load, or a store, that must not take place; more than any machine vector has."""
SPARE_START = 64
VIOLATION_BYTES = SPARE_START + 2 * SPARE
REPORT = "picograd.violation"

POISON_BYTE = 0xFF
"""NaN in any float, -1 in any integer, and no bool at all."""

_REPORT_TEXT = f"""
define internal void @{REPORT}(ptr %words, i64 %site, i64 %axis, i64 %index) noinline nounwind {{
  %pair = cmpxchg ptr %words, i64 0, i64 1 seq_cst seq_cst
  %first = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %first, label %write, label %done
write:
  %p1 = getelementptr i64, ptr %words, i64 1
  %p2 = getelementptr i64, ptr %words, i64 2
  %p3 = getelementptr i64, ptr %words, i64 3
  store i64 %site, ptr %p1, align 8
  store i64 %axis, ptr %p2, align 8
  store i64 %index, ptr %p3, align 8
  br label %done
done:
  ret void
}}
"""

_LANE = Lane(0)


def report_function() -> list[str]:
    """The lines of the function that reports a violation, unless one was reported before."""
    return [*_REPORT_TEXT.splitlines()]


def poison(f: Function, pointer: str, nbytes: int) -> None:
    """Fill memory with poison at this point of the code, if execution is checked."""
    if f.sites is None or not nbytes:
        return
    arguments = [
        ("ptr", pointer),
        ("i8", str(POISON_BYTE - 256)),
        ("i64", str(nbytes)),
        ("i1", "false"),
    ]
    f.emit(f.call("llvm.memset.p0.i64", "void", arguments))


def checked(
    f: Function,
    op: LoadOp | StoreOp,
    indices: Sequence[Linear],
    lanes: int,
    place: str,
    *,
    mask: str | None = None,
    only_if: str | None = None,
) -> str:
    """`place` if the access lies in its buffer, else spare memory; `place` if nothing is checked.

    `lanes` is how many elements are accessed side by side, 0 for one; `mask` says which of them, as
    lanes of an LLVM vector, and `only_if` whether there is an access at all.
    """
    if f.sites is None:
        return place
    number = len(f.sites)
    f.sites.append(site_of(op))
    if mask is None:
        tests = _scalar_tests(f, op.memref, indices, lanes)
        tests.append(_address_test(f, op.memref, lanes, place))
    else:
        tests = _lane_tests(f, op.memref, indices, lanes, mask)
        tests.append(_lane_address_test(f, op.memref, lanes, place, mask))
    ok = tests[0][0]
    for good, _, _ in tests[1:]:
        ok = f.assign("ok", f"and i1 {ok}, {good}")
    if only_if is not None:
        absent = f.assign("absent", f"xor i1 {only_if}, true")
        ok = f.assign("ok", f"or i1 {ok}, {absent}")
    words = f.context_field(VIOLATION)
    fail, go_on = f.fresh_label("violation"), f.fresh_label("checked")
    f.emit(f"br i1 {ok}, label %{go_on}, label %{fail}")
    f.start(fail)
    axis, index = str(tests[-1][1]), tests[-1][2]
    for good, number_of_axis, text in reversed(tests[:-1]):
        axis = f.assign("axis", f"select i1 {good}, i64 {axis}, i64 {number_of_axis}")
        index = f.assign("index", f"select i1 {good}, i64 {index}, i64 {text}")
    f.emit(f"call void @{REPORT}(ptr {words}, i64 {number}, i64 {axis}, i64 {index})")
    f.emit(f"br label %{go_on}")
    f.start(go_on)
    start = SPARE_START + (SPARE if isinstance(op, StoreOp) else 0)
    spare = f.assign("spare", f"getelementptr i8, ptr {words}, i64 {start}")
    return f.assign("p", f"select i1 {ok}, ptr {place}, ptr {spare}")


# A test is whether it passed, the axis, and the index that shows why it did not.
_Test = tuple[str, int, str]


def _scalar_tests(
    f: Function, memref: SSAValue, indices: Sequence[Linear], lanes: int
) -> list[_Test]:
    """Each index against the shape: of the first and last lane, or of all if these do not tell."""
    tests: list[_Test] = []
    for axis, (index, size) in enumerate(
        zip(indices, memref_type(memref).get_shape(), strict=True)
    ):
        for lane in _telling_lanes(index, lanes):
            text = linear(f, index.substitute({_LANE: lane}))
            tests.append((f.assign("in", f"icmp ult i64 {text}, {size}"), axis, text))
    return tests


def _telling_lanes(index: Linear, lanes: int) -> Sequence[int]:
    """The lanes at which an index is least and greatest."""
    inside = sum(1 for leaf in index.leaves() if leaf == _LANE)
    if not inside or lanes <= 1:
        return (0,)
    plain = inside == 1 and index.coefficient(_LANE)
    return (0, lanes - 1) if plain else range(lanes)


def _nbytes(memref: SSAValue) -> tuple[int, int]:
    """Bytes of a buffer, and of one of its elements."""
    type = memref_type(memref)
    element = types.nbytes(types.scalar(type.element_type))
    return math.prod(type.get_shape()) * element, element


def _distance(f: Function, memref: SSAValue, place: str) -> str:
    """Bytes from the start of a buffer to a place."""
    start = f.assign("start", f"ptrtoint ptr {f.bases[memref]} to i64")
    here = f.assign("here", f"ptrtoint ptr {place} to i64")
    return f.assign("distance", f"sub i64 {here}, {start}")


def _address_test(f: Function, memref: SSAValue, lanes: int, place: str) -> _Test:
    total, element = _nbytes(memref)
    last = total - max(1, lanes) * element
    distance = _distance(f, memref, place)
    if last < 0:
        return f.assign("in", "icmp ne i64 0, 0"), WHOLE, distance
    return f.assign("in", f"icmp ule i64 {distance}, {last}"), WHOLE, distance


def _lane_tests(
    f: Function, memref: SSAValue, indices: Sequence[Linear], lanes: int, mask: str
) -> list[_Test]:
    """Each index against the shape, for those lanes that take part."""
    tests: list[_Test] = []
    for axis, (index, size) in enumerate(
        zip(indices, memref_type(memref).get_shape(), strict=True)
    ):
        texts = [linear(f, index.substitute({_LANE: lane})) for lane in range(lanes)]
        tests.append(_lane_test(f, texts, str(size), lanes, mask, axis))
    return tests


def _lane_address_test(f: Function, memref: SSAValue, lanes: int, place: str, mask: str) -> _Test:
    total, element = _nbytes(memref)
    distance = _distance(f, memref, place)
    texts = [f.assign("distance", f"add i64 {distance}, {lane * element}") for lane in range(lanes)]
    return _lane_test(f, texts, str(max(0, total - element + 1)), lanes, mask, WHOLE)


def _lane_test(
    f: Function, texts: Sequence[str], limit: str, lanes: int, mask: str, axis: int
) -> _Test:
    """Whether all lanes that take part are below a limit; the first that is not."""
    wide = types.width(lanes)
    good, shown = "true", texts[0]
    for lane in reversed(range(lanes)):
        takes_part = f.assign("active", f"extractelement <{wide} x i1> {mask}, i64 {lane}")
        outside = f.assign("outside", f"icmp uge i64 {texts[lane]}, {limit}")
        bad = f.assign("bad", f"and i1 {takes_part}, {outside}")
        good = f.assign("good", f"select i1 {bad}, i1 false, i1 {good}")
        shown = f.assign("shown", f"select i1 {bad}, i64 {texts[lane]}, i64 {shown}")
    return good, axis, shown
