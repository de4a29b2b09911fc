"""Plans against the same operations one by one."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from picograd.frontend.modes.mode import op_by_op


def check_like_op_by_op(run: Callable[[], Sequence[Any]], *, rtol: float, atol: float) -> None:
    """Arrays, or None, from plans: twice, because a second call finds what the first one made."""
    with op_by_op():
        expected = run()
    for _ in range(2):
        for ours, theirs in zip(run(), expected, strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None:
                np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
