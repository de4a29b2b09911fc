"""Errors say what was expected, found and what to do, and are what PyTorch's users catch."""

from __future__ import annotations

import inspect
import linecache
import pickle
import py_compile
import re
import runpy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import picograd
from picograd import errors
from picograd.errors import (
    AxisError,
    DTypeError,
    IndexOutOfRange,
    Location,
    PicogradError,
    ShapeError,
    locations_of,
    origin_of,
    source_of,
    user_location,
)

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


def test_a_code_stands_before_the_message():
    error = ShapeError("the sizes differ", code="PG101", found=3)
    assert error.code == "PG101"
    assert str(error) == "[PG101] the sizes differ\n  found:    3"


def raised_at(source: str, tmp_path: Path) -> list[str]:
    """The lines of source and carets of what running this program raises."""
    file = tmp_path / "model.py"
    file.write_text(f"import picograd as torch\nx = torch.ones(2, 3)\n{source}", "utf-8")
    linecache.checkcache(str(file))
    with pytest.raises(PicogradError) as caught:
        runpy.run_path(str(file))
    first, *lines = caught.value.where.splitlines()
    assert re.fullmatch(rf"{re.escape(str(file))}:\d+", first)
    return lines


def test_carets_stand_under_the_expression(tmp_path: Path):
    assert raised_at("y = 1 + (x @ x).sum()\n", tmp_path) == [
        "    y = 1 + (x @ x).sum()",
        "             ^^^^^",
    ]


def test_carets_stand_under_the_call_inside_a_function(tmp_path: Path):
    source = "def f(x):\n    return x.exp().reshape(7)\n\nf(x)\n"
    assert raised_at(source, tmp_path) == [
        "    return x.exp().reshape(7)",
        "           ^^^^^^^^^^^^^^^^^^",
    ]


def test_carets_stand_under_all_lines_of_an_expression(tmp_path: Path):
    assert raised_at("y = torch.add(\n    x,\n    torch.ones(5),\n)\n", tmp_path) == [
        "    y = torch.add(",
        "        ^^^^^^^^^^",
        "        x,",
        "        ^^",
        "        torch.ones(5),",
        "        ^^^^^^^^^^^^^^",
        "    )",
        "    ^",
    ]


def test_an_expression_of_many_lines_is_cut_off(tmp_path: Path):
    inner = "".join(f"    {number},\n" for number in range(9))
    lines = raised_at(f"y = x.reshape(\n{inner})\n", tmp_path)
    assert len(lines) == 13
    assert lines[-1] == "    …"


def test_carets_count_characters_and_not_bytes(tmp_path: Path):
    assert raised_at('n = "ä日"; y = x @ x\n', tmp_path) == [
        '    n = "ä日"; y = x @ x',
        "                   ^^^^^",
    ]


def test_tabs_before_an_expression_are_kept(tmp_path: Path):
    lines = raised_at("if x.ndim:\n\ty =\tx @ x\n", tmp_path)
    assert lines == ["    y =\tx @ x", "       \t^^^^^"]


def test_without_columns_the_line_alone_is_shown(tmp_path: Path):
    file = tmp_path / "model.py"
    file.write_text("  y = x\n", "utf-8")
    assert str(Location(str(file), 1)) == f"{file}:1\n    y = x"


def test_a_program_without_source_has_a_line_only(tmp_path: Path):
    file = tmp_path / "model.py"
    file.write_text("import picograd\npicograd.ones(2) + picograd.ones(3)\n", "utf-8")
    compiled = py_compile.compile(str(file), str(tmp_path / "model.pyc"))
    file.unlink()
    linecache.checkcache(str(file))
    with pytest.raises(PicogradError) as caught:
        runpy.run_path(compiled or "")
    assert caught.value.where == f"{file}:2"


def test_an_exception_comes_from_the_users_line_not_from_what_it_called(tmp_path: Path):
    file = tmp_path / "model.py"
    file.write_text("import json\n\nnumbers = [json.loads('x')]\n", "utf-8")
    with pytest.raises(ValueError) as caught:
        runpy.run_path(str(file))
    origin = origin_of(caught.value.__traceback__)
    assert origin is not None and (origin.file, origin.line) == (str(file), 3)
    assert origin.source() == [
        "    numbers = [json.loads('x')]",
        "               ^^^^^^^^^^^^^^^",
    ]
    assert [place.file for place in locations_of(caught.value.__traceback__)][-1] != str(file)
    assert origin_of(None) is None


def test_a_place_is_a_text_that_remembers_its_expression(tmp_path: Path):
    file = tmp_path / "model.py"
    file.write_text(
        "from inspect import currentframe\n"
        "from picograd.errors import Place\n"
        "places = [Place(currentframe())]\n",
        "utf-8",
    )
    (place,) = runpy.run_path(str(file))["places"]
    assert place == "model.py:3" and hash(place) == hash("model.py:3")
    assert source_of([place, "other.py:1"]) == (
        "\n    places = [Place(currentframe())]\n              ^^^^^^^^^^^^^^^^^^^^^"
    )
    assert type(pickle.loads(pickle.dumps(place))) is str


def test_ir_that_was_traced_knows_its_expressions():
    def double(x: picograd.Tensor) -> picograd.Tensor:
        return x.exp() * 2

    compiled = picograd.compile(double, passes=["legalize_types{target=gpu}"])
    with pytest.raises(DTypeError) as caught:
        compiled(picograd.ones(3, dtype=picograd.int64).to(picograd.float64))
    # The argument has no line; an op that cannot be made legal has.
    assert "argument %x" in caught.value.message

    def widened(x: picograd.Tensor) -> picograd.Tensor:
        return x.exp() * x.to(picograd.float64)

    compiled = picograd.compile(widened, passes=["legalize_types{target=gpu}"])
    with pytest.raises(DTypeError) as caught:
        compiled(picograd.ones(3))
    assert caught.value.where.splitlines()[1:] == [
        "    return x.exp() * x.to(picograd.float64)",
        "                     ^^^^^^^^^^^^^^^^^^^^^^",
    ]


@pytest.mark.gpu
def test_an_index_that_the_gpu_reports_late_shows_the_expression():
    def pick(x: picograd.Tensor, index: picograd.Tensor) -> picograd.Tensor:
        return picograd.gather(x, 0, index)

    compiled = picograd.compile(pick)
    x, index = picograd.ones(3, device="gpu"), picograd.tensor([7], device="gpu")
    with pytest.raises(IndexOutOfRange) as caught:
        compiled(x, index).tolist()
    assert caught.value.code == "PG121"
    assert caught.value.where.splitlines()[1:] == [
        "    return picograd.gather(x, 0, index)",
        "           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
    ]
