"""The page of functions: one line for each function, however many rows and names it has."""

import numpy as np

from picograd.check.functions.cases import elementwise_cases
from picograd.check.functions.table import ErrorCase, Function, by_name
from picograd.study.documentation.function_docs import base_name, function_tables, samples_in


def row(name: str, **fields: object) -> Function:
    mistake = ErrorCase("a list", ([1.0],), TypeError)
    return Function(name, by_name(name), np.exp, elementwise_cases, (mistake,), **fields)  # type: ignore[arg-type]


def test_forms_of_a_function_share_a_line() -> None:
    names = ["torch.exp", "Tensor.exp_", "F.exp", "torch.exp, large", "Tensor.__add__"]
    assert [base_name(name) for name in names] == ["exp", "exp", "exp", "exp", "__add__"]


def test_a_line_tells_devices_gradient_samples_and_differences() -> None:
    exp = row("torch.exp", also=("F.exp",), differences="It is a | b.")
    rows = (
        exp,
        row("Tensor.exp_"),
        row("torch.round", differentiable=False, devices={"gpu": "no"}),
    )
    count = samples_in([exp])
    assert count > 10
    assert function_tables({"Some": rows}).splitlines() == [
        f"2 functions, {3 * count} samples of which 3 are mistakes.",
        "",
        "## Some",
        "",
        "| function | devices | gradient | samples | differs from PyTorch |",
        "|---|---|---|---|---|",
        f"| `torch.exp` `F.exp` `Tensor.exp_` | all | yes | {2 * count} | It is a \\| b. |",
        f"| `torch.round` | reference, cpu | no | {count} |  |",
    ]
