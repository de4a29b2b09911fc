"""Names around the tensors that published programs use: devices, settings, what is missing."""

from __future__ import annotations

import importlib

import pytest

import picograd as torch
from picograd.errors import DeviceError, MissingName, OptionError


def test_a_device_is_its_name() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    x = torch.ones(2, device=device)
    assert x.device == device == "cpu" and x.device.type == "cpu" and x.device.index is None
    assert x.to(device).device == torch.nn.Linear(1, 1).to(device).weight.device
    assert "cuda" not in device and hash(device) == hash("cpu")
    assert torch.device("cpu", 0) == torch.device(torch.device("cpu"))


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_other_names_of_a_gpu(name: str) -> None:
    with pytest.raises(DeviceError, match="calls the GPU, whoever made it, 'gpu'"):
        torch.device(name)
    with pytest.raises(DeviceError, match="calls the GPU"):
        torch.ones(2).to(name)


def test_no_such_device() -> None:
    with pytest.raises(DeviceError, match="no device called 'tpu'"):
        torch.device("tpu")
    with pytest.raises(DeviceError, match="no device called 'cpu:1'"):
        torch.device("cpu", 1)


def test_cuda_and_other_backends_are_absent() -> None:
    assert not torch.cuda.is_available() and torch.cuda.device_count() == 0
    assert not torch.backends.mps.is_available()
    torch.cuda.manual_seed_all(7)
    torch.cuda.empty_cache()
    assert torch.initial_seed() == 7
    cudnn = importlib.import_module("picograd.backends.cudnn")
    assert cudnn is torch.backends.cudnn and not torch.backends.cuda.matmul.allow_tf32


def test_data_is_found_under_utils() -> None:
    module = importlib.import_module("picograd.utils.data")
    assert module.DataLoader is torch.data.DataLoader is torch.utils.data.DataLoader


def test_settings() -> None:
    assert torch.get_default_dtype() is torch.float32
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("high")
    torch.use_deterministic_algorithms(True)
    with torch.inference_mode():
        assert not torch.is_grad_enabled()
    with pytest.raises(OptionError, match="default dtype cannot be changed"):
        torch.set_default_dtype(torch.float64)
    with pytest.raises(OptionError, match="no such precision"):
        torch.set_float32_matmul_precision("low")


def test_missing_names_are_attribute_errors_that_help() -> None:
    assert not hasattr(torch, "jit") and not hasattr(torch.ones(1), "cuda")
    assert getattr(torch.nn, "Bilinear", None) is None
    name = "autocast"
    with pytest.raises(MissingName, match=r"no torch\.autocast") as caught:
        getattr(torch, name)
    assert isinstance(caught.value, AttributeError) and "bfloat16" in caught.value.hint
    assert "test_published_programs.py" in caught.value.where
    name = "logsumex"
    for owner in (torch, torch.ones(1)):
        with pytest.raises(MissingName, match="did you mean logsumexp"):
            getattr(owner, name)
    name = "Liner"
    with pytest.raises(MissingName, match=r"no torch\.nn\.Liner(?s:.*)did you mean Linear"):
        getattr(torch.nn, name)
    name = "mse_los"
    with pytest.raises(MissingName, match=r"torch\.nn\.functional\.mse_los(?s:.*)mse_loss"):
        getattr(torch.nn.functional, name)
    name = "SparseAdam"
    with pytest.raises(MissingName, match=r"torch\.optim\.SparseAdam"):
        getattr(torch.optim, name)
