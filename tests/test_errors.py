"""Errors say what was expected, found and what to do, and are what PyTorch's users catch."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor

import pytest

from picograd import errors
from picograd.errors import AxisError, DTypeError, PicogradError, ShapeError, user_location

SUBCLASSES = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, PicogradError)
]


def test_text_shows_every_part():
    error = ShapeError(
        "matmul: the inner sizes differ",
        expected=[2, 3],
        found=[4, 5],
        hint="transpose one of them",
        where="model.py:12",
    )
    assert str(error).splitlines() == [
        "matmul: the inner sizes differ",
        "  expected: [2, 3]",
        "  found:    [4, 5]",
        "  help:     transpose one of them",
        "  at:       model.py:12",
    ]
    assert error.message == "matmul: the inner sizes differ"
    assert error.found == "[4, 5]"


def test_absent_parts_are_left_out():
    assert str(PicogradError("nothing else is known")) == "nothing else is known"


@pytest.mark.parametrize("error", SUBCLASSES)
def test_every_error_has_a_docstring_and_one_base(error: type[PicogradError]):
    assert error.__doc__
    assert isinstance(error("something"), PicogradError)


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (ShapeError, RuntimeError),
        (DTypeError, RuntimeError),
        (errors.DeviceError, RuntimeError),
        (errors.GradientError, RuntimeError),
        (errors.TraceError, RuntimeError),
        (AxisError, IndexError),
        (errors.IndexOutOfRange, IndexError),
        (errors.OptionError, ValueError),
    ],
)
def test_errors_derive_from_what_pytorch_raises(error: type[Exception], base: type[Exception]):
    assert issubclass(error, base)


def test_user_location_is_the_line_outside_the_package():
    location = user_location()
    assert location is not None
    assert location.file == __file__
    assert location.text == "location = user_location()"
    assert str(location).startswith(f"{__file__}:{location.line}")


def test_user_location_is_never_in_the_standard_library():
    # Of the frames of such a thread, none is the user's.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(user_location).result() is None


def test_location_without_source_has_no_text():
    location = errors.Location("<stdin>", 3)
    assert location.text == ""
    assert str(location) == "<stdin>:3"
