"""The exercises: passes for a learner to write. `picograd exercise` gives them out and judges."""

from picograd.study.exercises.exercise import Exercise
from picograd.study.exercises.place_buffers.task import PLACE_BUFFERS
from picograd.study.exercises.relu_in_place.task import RELU_IN_PLACE
from picograd.study.exercises.simplify_algebra.task import SIMPLIFY_ALGEBRA
from picograd.study.exercises.swap_linear_relu.task import SWAP_LINEAR_RELU

EXERCISES: tuple[Exercise, ...] = (
    SIMPLIFY_ALGEBRA,
    SWAP_LINEAR_RELU,
    RELU_IN_PLACE,
    PLACE_BUFFERS,
)

__all__ = ["EXERCISES", "Exercise"]
