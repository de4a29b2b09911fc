"""Matrix products at sizes around every edge: register tiles, blocks for small caches, copies."""

from __future__ import annotations

import numpy as np
import pytest

from picograd.dialects.loop import AllocOp
from picograd.passes.schedule.register_tiles import best_tile
from picograd.targets import lookup
from tests.passes.schedule.products import (
    PRODUCTS,
    check_product,
    lowered,
    operands,
    target_of,
)


@pytest.mark.parametrize("kind", PRODUCTS)
@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("beyond", [-1, 1])
def test_sizes_around_tiles_and_blocks(kind: str, lanes: int, beyond: int) -> None:
    target = target_of(lanes)
    rows, columns = best_tile(400, 200, lanes, lookup(target))
    rng = np.random.default_rng(lanes + beyond)
    # Many rows, so that operands are copied; then around one register tile.
    for m, n, k in ((400 // rows * rows, 8 * columns, 64), (rows, columns, 17)):
        m, n, k = (size + int(rng.integers(0, 2)) * beyond for size in (m, n, k))
        a, b = operands(kind, m, n, k, rng)
        module = lowered(kind, a, b, target)
        copies = sum(isinstance(op, AllocOp) for op in module.walk())
        assert copies >= (1 if m > 300 else 0)
        check_product(kind, a, b, module, (1,) if beyond < 0 else (1, 2))
