"""Blocks of memory: where they lie, and whose they are."""

import mmap
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from picograd.backends.llvm import memory
from picograd.backends.llvm.memory import ALIGNMENT, Block, BlockPool
from picograd.errors import DeviceError

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


def _resident():
    """Bytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux counts so")
def test_the_end_of_a_block_is_no_huge_page():
    before = _resident()
    blocks = [Block(HUGE_PAGE + 4096) for _ in range(32)]
    for block in blocks:
        block.bytes[:] = 1
    assert _resident() - before < 32 * (HUGE_PAGE + 4096) + 8 * HUGE_PAGE


def test_blocks_come_back_and_what_is_too_much_does_not(monkeypatch):
    monkeypatch.setattr(memory, "KEPT", 4 * LARGE)
    pool = BlockPool()
    shelf = pool.shelf(LARGE)
    blocks = [shelf.take() for _ in range(6)]
    for block in blocks:
        shelf.give(block)
    assert pool.kept == 4 * LARGE
    assert shelf.take() is blocks[-1]
    shelf.give(blocks[-1])
    other = pool.shelf(2 * LARGE).take()  # a new size makes room for itself
    assert pool.kept == 2 * LARGE
    pool.shelf(2 * LARGE).give(other)
    assert pool.shelf(SMALL).take().nbytes >= SMALL
    pool.trim(0)
    assert pool.kept == 0


def test_what_nobody_has_taken_for_longest_goes_first(monkeypatch):
    monkeypatch.setattr(memory, "KEPT", 8 * LARGE)
    pool = BlockPool()
    old = [pool.shelf(n * LARGE) for n in (1, 2)]
    for shelf in old:  # of programs that run no more
        blocks = [shelf.take(), shelf.take()]
        for block in blocks:
            shelf.give(block)
    shelves = [pool.shelf(3 * LARGE), pool.shelf(4 * LARGE)]
    seen = []
    for _ in range(3):  # two programs in turn, whose results are dropped at once
        for shelf in shelves:
            block = shelf.take()
            block.bytes[0] = 1
            shelf.give(block)
            seen.append(block)
    assert [id(block) for block in seen] == [id(block) for block in seen[:2]] * 3
    assert pool.kept == 7 * LARGE


def test_memory_that_is_not_there_is_an_error_and_what_is_kept_is_given_back(monkeypatch):
    pool = BlockPool()
    pool.shelf(LARGE).give(pool.shelf(LARGE).take())
    made = []

    def make(size):
        made.append(pool.kept)
        if size > LARGE and len(made) < 3:
            raise MemoryError("no room")
        return Block(size)

    monkeypatch.setattr(memory, "Block", make)
    with pytest.raises(DeviceError, match="no memory"):
        pool.shelf(2 * LARGE).take()
    assert made == [LARGE, 0]
    assert pool.shelf(2 * LARGE).take().nbytes == 2 * LARGE  # there is room again
