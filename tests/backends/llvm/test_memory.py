"""Blocks of memory: where they lie, and whose they are."""

import multiprocessing

import numpy as np
import pytest

from picograd.backends.llvm.memory import ALIGNMENT, Block

SMALL, LARGE = 1000, 3 << 20
HUGE_PAGE = 1 << 21


@pytest.mark.parametrize("nbytes", [1, SMALL, HUGE_PAGE - 1, HUGE_PAGE, LARGE])
def test_a_block_is_aligned_and_whole(nbytes, rng):
    block = Block(nbytes)
    data = rng.integers(0, 256, nbytes).astype(np.uint8)
    block.bytes[:] = data
    assert block.address % (HUGE_PAGE if nbytes >= HUGE_PAGE else ALIGNMENT) == 0
    assert block.address == block.bytes.ctypes.data
    assert block.nbytes == nbytes
    np.testing.assert_array_equal(block.array(np.dtype(np.uint8), (nbytes,)), data)


def _overwrite(block):
    block.bytes[:] = 1


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="the system has no fork"
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("nbytes", [SMALL, LARGE])
def test_what_a_forked_child_writes_is_its_own(nbytes):
    block = Block(nbytes)
    block.bytes[:] = 7
    child = multiprocessing.get_context("fork").Process(target=_overwrite, args=(block,))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert (block.bytes == 7).all()
