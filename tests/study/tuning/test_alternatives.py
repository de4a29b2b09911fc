"""What is worth a try: the cost model's own choices are told, and moves lead away from them."""

from collections.abc import Callable

import pytest

import picograd as torch
from picograd import Tensor
from picograd.backends.runtime import device
from picograd.compiler.pipelines import pipeline
from picograd.passes.schedule.choices import NONE, Choices, parse_choices
from picograd.study.tuning.alternatives import TILES, moves, own_choices
from picograd.study.tuning.cut_kernels import CutKernel, cut_kernels, split
from picograd.study.tuning.trials import CLOCKS, Bench
from picograd.targets import lookup

TARGET = lookup("cpu")


def cut(function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> CutKernel:
    tensors = [torch.zeros(shape) for shape in shapes]
    (found,) = cut_kernels(torch.compile(function, "cpu").trace(*tensors).module, pipeline("cpu"))
    return found


@pytest.mark.parametrize("sizes", [(200, 300, 150), (1000, 1200, 1100), (5, 3, 2)])
def test_the_own_choices_of_a_product_make_the_code_that_is_made_without(
    sizes: tuple[int, int, int],
) -> None:
    m, n, k = sizes
    kernel = cut(lambda a, b: a @ b, (m, k), (k, n))
    own = own_choices(kernel.loops, TARGET)
    assert own.rows and own.vectors and own.pack and own.depth and own.height and own.width
    bench = Bench(kernel, device("cpu"), split(pipeline("cpu"))[2], CLOCKS["wall"])
    plain = bench.lower(NONE)
    assert bench.lower(own).digest == plain.digest
    assert bench.lower(Choices(rows=1, vectors=1)).digest != plain.digest


def test_own_choices_of_other_kernels() -> None:
    chain = own_choices(cut(lambda x: (x + 1.0) * x, (1 << 16,)).loops, TARGET)
    assert list(chain.made) == ["vectors"] and chain.vectors >= 1
    total = own_choices(cut(lambda x: x.sum(1), (3, 5000)).loops, TARGET)
    assert list(total.made) == ["accumulators"] and total.accumulators >= 1


def test_moves_are_choices_that_can_be_read_and_stay_near() -> None:
    kernel = cut(lambda a, b: a @ b, (200, 150), (150, 300))
    own = Choices(rows=6, vectors=4, pack="right", depth=200, height=200, width=300)
    found = list(moves(kernel.loops, own, TARGET, several_threads=True))
    assert all(parse_choices(str(move)) == move and move.made for move in found)
    assert own not in found and Choices(pack="right") not in found
    assert [move.pack for move in found if move.pack] == ["none", "left", "both"]
    assert [move.depth for move in found if move.depth] == [192, 256, 128, 384]
    pairs = [move for move in found if move.rows and move.vectors]
    assert len(pairs) == TILES == len(set(pairs))
    assert any(move.grain for move in found)
    alone = moves(kernel.loops, own, TARGET, several_threads=False)
    assert not any(move.grain for move in alone)
