"""`torch.save` and `torch.load`, which picograd does not have, and what to use instead."""

from __future__ import annotations

from typing import Any, NoReturn

from picograd.errors import OptionError
from picograd.frontend.problems import located


def _refuse(name: str, hint: str) -> NoReturn:
    raise located(
        OptionError(
            f"picograd has no {name}: such files are pickles, which run code when they are read",
            code="PG808",
            expected="a file of safetensors",
            found=f"a call of {name}",
            hint=hint,
        )
    )


def save_pickle(obj: object, f: object, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises OptionError that names `picograd.io.save_file`."""
    _refuse("save", "picograd.io.save_file(model.state_dict(), 'model.safetensors')")


def load_pickle(f: object, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises OptionError that names `picograd.io.load_file`."""
    _refuse(
        "load",
        "picograd.io.load_file('model.safetensors'); in PyTorch, safetensors.torch.save_file "
        "writes such a file from a state_dict",
    )
