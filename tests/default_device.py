"""Tests run on the reference unless they ask for `device`, which names every device in turn."""

from collections.abc import Iterator

import pytest

import picograd as torch


@pytest.fixture(autouse=True)
def reference_by_default() -> Iterator[None]:
    torch.set_default_device("reference")
    yield
    torch.set_default_device(None)


@pytest.fixture(params=["reference", "cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, reference_by_default: None) -> str:
    torch.set_default_device(request.param)
    return request.param
