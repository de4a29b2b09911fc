"""thread_blocks: whose rows are cut so that each thread copies what it reads, and the same bits."""

from __future__ import annotations

import numpy as np
import pytest

from picograd.check.loop_samples import linear_relu
from picograd.dialects.loop import AllocOp, KernelOp, ParallelOp
from picograd.passes.schedule.choose_tiles import block_sizes
from picograd.targets import lookup
from tests.passes.schedule.products import check_product, lowered, operands
from tests.passes.schedule.test_choose_tiles import AVX512, by_name, kernel_of
from tests.passes.schedule.test_crosswise import tiles_read
from tests.passes.schedule.test_left_blocks import product_of_columns
from tests.passes.schedule.test_operand_copies import linear

LARGE = AVX512.replace("l2_bytes=1048576", "l2_bytes=2097152")


@pytest.mark.parametrize(
    ("rows", "depth", "cores", "blocks"),
    [
        (512, 128, 2, 4),
        (784, 128, 3, 6),
        (512, 128, 1, 1),
        (512, 128, 8, 1),  # too few rows for each
        (512, 400, 2, 1),  # the copy is little beside the products
    ],
)
def test_rows_of_a_left_operand_that_is_copied(
    rows: int, depth: int, cores: int, blocks: int
) -> None:
    kernel = kernel_of(product_of_columns(rows, 512, depth))
    sizes = by_name(block_sizes(kernel, lookup(f"{LARGE},cores={cores}")))["i j"]
    assert -(-rows // sizes["i"]) == blocks


def test_a_single_panel_is_copied_once_for_all_blocks() -> None:
    sizes = by_name(block_sizes(kernel_of(linear(64, 784, 512)), lookup(f"{LARGE},cores=2")))
    assert sizes["i j"]["j"] >= 784


def test_a_left_operand_that_streams_needs_no_blocks() -> None:
    kernel = kernel_of(linear_relu(512, 512, 128))
    sizes = by_name(block_sizes(kernel, lookup(f"{LARGE},cores=2")))["i j"]
    assert sizes["i"] >= 512


@pytest.mark.parametrize(("batch", "blocks"), [(1, 2), (4, 1)])
def test_products_of_a_batch_are_shared_already(batch: int, blocks: int) -> None:
    text = linear(128, 784, 512).replace(
        "(%i, %j) = (0, 0) to (", f"(%b, %i, %j) = (0, 0, 0) to ({batch}, "
    )
    for name, index in (("x", "%i, %k"), ("w", "%j, %k"), ("y", "%i, %j")):
        text = text.replace(f"%{name}[{index}]", f"%{name}[%b, {index}]")
    text = text.replace("memref<", f"memref<{batch}x")
    sizes = by_name(block_sizes(kernel_of(text), lookup(f"{LARGE},cores=2")))["b i j"]
    assert -(-784 // sizes["j"]) == blocks


@pytest.mark.parametrize("kind", ["TN", "NT"])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_threads_copy_what_they_read(kind: str, more: int, rng: np.random.Generator) -> None:
    """All copies lie inside of the loop that threads share; and it is the same for any count."""
    m, n, k = (520 + more, 512, 128 + more) if kind == "TN" else (128, 784 + more, 512 + more)
    a, b = operands(kind, m, n, k, rng)
    module = lowered(kind, a, b, f"{LARGE},cores=2")
    copies = [op for op in module.walk() if isinstance(op, AllocOp)]
    assert copies
    for copy in copies:
        around = copy.parent_op()
        while not (isinstance(around, ParallelOp) and around.mapping is not None):
            assert around is not None and not isinstance(around, KernelOp)
            around = around.parent_op()
    assert kind == "TN" or tiles_read(module, f"{n}x{k}") == {0}
    check_product(kind, a, b, module, (1, 2, 3))
