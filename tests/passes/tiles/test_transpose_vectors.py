"""transpose_vectors: columns in order, of any height and width, by shuffles of few kinds."""

import numpy as np
import pytest
from xdsl.dialects import test
from xdsl.dialects.builtin import bf16, f32, f64
from xdsl.ir import Attribute, Operation, SSAValue

from picograd.dialects.loop import ShuffleOp, tile_type
from picograd.passes.tiles.transpose_vectors import transpose_vectors


def transposed(
    height: int, width: int, element: Attribute = f32
) -> tuple[np.ndarray, list[Operation]]:
    """The numbers of the elements of a matrix, after the shuffles, and the shuffles."""
    rows = test.TestOp(result_types=[tile_type(element, [width])] * height).results
    numbers = np.arange(height * width).reshape(height, width)
    values: dict[SSAValue, np.ndarray] = dict(zip(rows, numbers, strict=True))
    new: list[Operation] = []
    columns = transpose_vectors(rows, new)
    for op in new:
        assert isinstance(op, ShuffleOp)
        op.verify()
        both = np.concatenate([values[op.left], values[op.right]])
        lanes = np.array(op.lanes.get_values())
        values[op.result] = np.where(lanes < 0, -1, both[lanes])
    return np.array([values[column] for column in columns]), new


@pytest.mark.parametrize("element", [f32, f64, bf16], ids=str)
@pytest.mark.parametrize("height", [1, 2, 3, 4, 5, 7, 8, 11, 16])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 6, 8, 9, 15, 16])
def test_columns_come_in_order(height: int, width: int, element: Attribute) -> None:
    found, _ = transposed(height, width, element)
    assert found.tolist() == np.arange(height * width).reshape(height, width).T.tolist()


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_a_square_takes_one_shuffle_a_vector_and_round(size: int) -> None:
    assert len(transposed(size, size)[1]) == size * (size.bit_length() - 1)


@pytest.mark.parametrize(("height", "width"), [(2, 16), (4, 16), (8, 16), (2, 4)])
def test_few_rows_take_a_round_for_each_halving_of_them(height: int, width: int) -> None:
    """And a shuffle for each column, which takes its part of a vector that holds several."""
    found, shuffles = transposed(height, width)
    assert found.shape == (width, height)
    assert len(shuffles) == height * (height.bit_length() - 1) + width


def test_what_nobody_reads_is_not_made() -> None:
    whole, narrow = transposed(16, 16)[1], transposed(16, 12)[1]
    assert len(narrow) < len(whole) + 16  # the rows are made wide first


def test_shuffles_stay_within_blocks_or_move_whole_ones() -> None:
    for op in transposed(16, 16)[1]:
        assert isinstance(op, ShuffleOp)
        lanes = np.array(op.lanes.get_values()) % 16
        within = (lanes // 4 == np.arange(16) // 4).all()
        whole = (lanes % 4 == np.arange(16) % 4).all()
        assert within or whole
