"""Plans of memory: buffers that are in use at once are apart, on a device's own sizes."""

import math
from collections.abc import Callable

import pytest

from picograd.backends.checked.places import check_places, dead_after, kernels_of, lifetimes
from picograd.compiler.diagnostics import parse_module
from picograd.dialects.dtypes import nbytes_of
from picograd.errors import SanitizerError
from picograd.semantics.evaluate import entry_of

M = "memref<64xi1>"


def words(type) -> int:
    """As on a GPU, where every element takes four bytes."""
    return 4 * math.prod(type.get_shape())


def planned(second: int, arena: int = 1024) -> str:
    return f"""
loop.kernel @copy(%x: {M}, %y: {M}) {{
  loop.parallel %i = 0 to 64 {{
    %v = loop.load %x[%i] : {M}
    loop.store %v, %y[%i] : i1, {M}
  }}
}}
func.func @main(%x: {M}, %y: {M} {{buffer.output}}) {{
  %arena = buffer.arena : memref<{arena}xi8>
  %a = buffer.place %arena at 0 : memref<{arena}xi8> to {M}
  %b = buffer.place %arena at {second} : memref<{arena}xi8> to {M}
  %c = buffer.place %arena at 0 : memref<{arena}xi8> to {M}
  loop.launch @copy(%x, %a) : {M}, {M}
  loop.launch @copy(%a, %b) : {M}, {M}
  loop.launch @copy(%b, %c) : {M}, {M}
  loop.launch @copy(%c, %y) : {M}, {M}
  func.return
}}"""


def check(text: str, nbytes: Callable[..., int]) -> None:
    module = parse_module(text)
    check_places(entry_of(module), kernels_of(module), nbytes)


def test_a_place_is_free_again_after_its_last_use() -> None:
    main = entry_of(parse_module(planned(256)))
    assert sorted(lifetimes(main).values()) == [(0, 1), (1, 2), (2, 3)]
    names = [[place.result.name_hint for place in dead] for dead in dead_after(main).values()]
    assert names == [[], ["a"], ["b"], ["c"]]


def test_a_plan_is_judged_by_what_the_device_stores() -> None:
    check(planned(256), words)
    check(planned(64), nbytes_of)
    with pytest.raises(SanitizerError, match="%a and %b overlap in the arena") as caught:
        check(planned(64), words)
    assert caught.value.found == "bytes 0 to 256 and 64 to 320, both in use in launch 1"
    with pytest.raises(SanitizerError, match="the place of %b ends behind the arena") as caught:
        check(planned(256, arena=500), words)
    assert (caught.value.expected, caught.value.found) == ("at most byte 500", "byte 512")


def test_an_operand_may_be_given_twice_if_it_is_only_read() -> None:
    text = planned(256).replace("loop.store %v, %y", "loop.store %v, %z")
    text = text.replace(f"@copy(%x: {M}, %y: {M})", f"@copy(%x: {M}, %y: {M}, %z: {M})")
    for source, target in (("x", "a"), ("a", "b"), ("b", "c"), ("c", "y")):
        text = text.replace(
            f"@copy(%{source}, %{target}) : {M}, {M}",
            f"@copy(%{source}, %{source}, %{target}) : {M}, {M}, {M}",
        )
    check(text, words)
    with pytest.raises(SanitizerError, match="kernel @copy writes memory that it is given twice"):
        check(text.replace("@copy(%a, %a, %b)", "@copy(%a, %b, %b)"), words)
