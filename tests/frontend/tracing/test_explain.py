"""`picograd.explain`: the words say what is so."""

from __future__ import annotations

from typing import Any

import pytest

import picograd as torch
from picograd import nn, optim
from picograd.errors import OptionError


def text_of(subject: Any) -> str:
    explanation = torch.explain(subject)
    assert repr(explanation) == str(explanation)
    return str(explanation)


def test_a_function_before_its_first_call() -> None:
    @torch.compile
    def double(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    assert "its first call traces and compiles it" in text_of(double)
    with torch.set_mode("immediate"):
        text = text_of(double)
    assert "double: a compiled function" in text
    assert "compiled every time" in text and "needs no trace" in text


def test_versions_reasons_kernels_and_memory(device: str) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    @torch.compile
    def step(x: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    step(torch.randn(5, 4))
    with torch.set_mode("graph"):
        step(torch.randn(5, 4))
    step(torch.randn(6, 4))
    text = text_of(step)
    assert "compiled 3 times" in text
    assert "1. in mode 'compiled', because it is the first call" in text
    assert "2. in mode 'graph', because the mode is 'graph' now" in text
    assert "3. in mode 'compiled', because the call has new kinds of arguments" in text
    assert f"runs on {device} (" in text
    if device == "reference":
        assert "this device has no kernels" in text
        return
    report = step.report
    assert f"{report.kernels} kernels in one submission ({report.kernels_unfused} if" in text
    assert f"{report.bytes_planned:,} bytes ({report.bytes_unplanned:,} if" in text
    assert "linear_relu: permute, matmul, broadcast, add, compare le, select" in text
    assert "test_explain.py:" in text and 'step.ir("kernel")' in text


def test_the_dump_is_named(tmp_path: Any) -> None:
    folder = str(tmp_path / "here")
    compiled = torch.compile(lambda x: x + 1, dump=folder)
    compiled(torch.ones(3))
    assert f"the IR after every pass is in {folder}" in text_of(compiled)


def test_many_kernels_are_counted() -> None:
    @torch.compile
    def chain(x: torch.Tensor) -> torch.Tensor:
        for _ in range(25):
            x = x.exp()
        return x

    with torch.set_mode("graph"):
        chain(torch.zeros(2, device="cpu"))
    assert "… and 5 more" in text_of(chain)


def test_under_no_grad() -> None:
    compiled = torch.compile(lambda x: x + 1)
    with torch.no_grad():
        compiled(torch.ones(2))
    assert "under no_grad, because it is the first call" in text_of(compiled)


def test_a_plain_tensor_and_a_view(device: str) -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    text = text_of(x)
    assert text.startswith(
        f"a tensor float32[3, 2] on {device}\n  storage: float32[3, 2], 24 bytes"
    )
    assert "changed" not in text and "view" not in text and "not tracked" in text
    view = x.T[:, 1:]
    view.add_(1)
    text = text_of(view)
    assert "a tensor float32[2, 2]" in text and "storage: float32[3, 2]" in text
    assert "changed in place once" in text
    assert "permute permutation=(1, 0), then slice starts=(0, 1) limits=(2, 3)" in text
    assert "strides [1, 2], offset 2: not row-major" in text
    assert "row-major" in text_of(x[1:]) and "not row-major" not in text_of(x[1:])
    assert "int64[]" in text_of(torch.tensor(3)) and "bool[0]" in text_of(torch.tensor([]) > 0)


def test_gradients_of_leaves_and_results() -> None:
    model = nn.Linear(3, 2)
    leaf = model.weight
    assert "a leaf, which gathers them in .grad: none yet" in text_of(leaf)
    result = (model(torch.ones(4, 3)) * 2).sum()
    text = text_of(result)
    assert "computed by: reduce add of float32[4, 2] (" in text
    assert "backward(): runs 6 rules, newest first: " in text and "MatmulBackward" in text
    assert "adds to .grad of 2 leaves: " in text and "float32[2, 3]" in text
    result.backward()
    assert ".grad: float32[2, 3]" in text_of(leaf)


def test_a_result_of_a_compiled_function() -> None:
    weight = torch.ones(2, requires_grad=True)
    result = torch.compile(lambda x: x * weight)(torch.ones(2))
    assert "backward(): impossible from here" in text_of(result)
    assert "which is an error" in text_of(result * 2)


def test_a_traced_tensor_has_no_memory() -> None:
    seen: list[str] = []

    def function(x: torch.Tensor) -> torch.Tensor:
        seen.append(text_of(x + 1))
        return x

    torch.compile(function)(torch.ones(2))
    assert "a value of the graph being traced: no memory yet" in seen[0]


def test_a_moved_tensor() -> None:
    x = torch.ones(2, requires_grad=True)
    text = text_of(x.to("cpu") * 2)
    assert "ToBackward" in text and "1 leaf" in text


@pytest.mark.parametrize("other", [3, None, "step", lambda x: x])
def test_other_objects(other: Any) -> None:
    with pytest.raises(OptionError, match="knows tensors and compiled functions") as caught:
        torch.explain(other)
    assert type(other).__name__ in caught.value.found and "picograd.compile" in caught.value.hint
