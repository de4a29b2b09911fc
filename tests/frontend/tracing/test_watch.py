"""What makes a compiled function run a version that it has, and what makes it trace anew."""

import inspect

import numpy as np
import pytest

import picograd as torch
from picograd.backends.runtime import device
from picograd.frontend.tracing.watch import Guard, Guards, positional_names


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_guards_hold_for_equal_numbers_that_are_other_objects(name: str) -> None:
    numbers = {"scale": 1234.5}
    guards = Guards([Guard("scale", (numbers, "scale"), 1234.5, by_identity=False)], device(name))
    numbers["scale"] = float("1234.5")
    assert guards.broken() is None
    numbers["scale"] = 1234.25
    broken = guards.broken()
    assert broken is not None and "1234.25" in str(broken)


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_an_empty_slot_breaks_its_guard(name: str) -> None:
    names: dict[str, object] = {"model": "here"}
    guards = Guards(
        [Guard("model", (names, "model"), names["model"], by_identity=True)], device(name)
    )
    assert guards.broken() is None
    del names["model"]
    assert guards.broken() is not None


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_the_guard_that_broke_is_the_one_named(name: str) -> None:
    values = {"a": 1.0, "b": 2.0}
    guards = Guards(
        [Guard(key, (values, key), values[key], by_identity=False) for key in values], device(name)
    )
    values["b"] = 3.0
    broken = guards.broken()
    assert broken is not None and broken.label == "b"


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda x, y: None, ("x", "y")),
        (lambda x, y=2, /: None, ("x", "y")),
        (lambda x, *, y: None, ()),
        (lambda x, *rest: None, ()),
        (lambda **named: None, ()),
    ],
)
def test_positional_names(function, names) -> None:
    assert positional_names(inspect.signature(function)) == names


def test_arguments_by_position_and_by_name_are_one_version(rng) -> None:
    @torch.compile
    def scaled(x, factor=3.0):
        return x * factor

    data = rng.standard_normal((3, 5)).astype(np.float32)
    x = torch.tensor(data)
    calls = [scaled(x, 3.0), scaled(x), scaled(x=x, factor=3.0), scaled(factor=3.0, x=x)]
    for result in calls:
        np.testing.assert_allclose(result.numpy(), data * 3, rtol=1e-6)
    assert len(scaled.recompilations) == 1


def test_a_wrong_number_of_arguments_is_a_type_error(rng) -> None:
    compiled = torch.compile(lambda x, y: x + y)
    x = torch.tensor(rng.standard_normal(4).astype(np.float32))
    for arguments in ((x,), (x, x, x)):
        with pytest.raises(TypeError):
            compiled(*arguments)
    assert compiled.recompilations == []


def test_replacing_the_storage_of_a_captured_tensor_is_noticed(rng) -> None:
    first, second = rng.standard_normal((2, 6)).astype(np.float32)
    weight = torch.tensor(first)
    compiled = torch.compile(lambda x: x * weight)
    x = torch.tensor(np.ones(6, np.float32))
    np.testing.assert_array_equal(compiled(x).numpy(), first)
    weight.data = torch.tensor(second)
    np.testing.assert_array_equal(compiled(x).numpy(), second)
    assert "other storage" in compiled.recompilations[1]


def test_turning_requires_grad_on_is_noticed(rng) -> None:
    weight = torch.tensor(rng.standard_normal(6).astype(np.float32))
    compiled = torch.compile(lambda x: x * weight)
    x = torch.tensor(np.ones(6, np.float32))
    assert not compiled(x).requires_grad
    weight.requires_grad_()
    assert compiled(x).requires_grad
    assert len(compiled.recompilations) == 2
