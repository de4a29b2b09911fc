"""What is said to a program that asks for a name of PyTorch's that picograd does not have.

The error is an AttributeError, so `hasattr` and `getattr` with a default work as they do there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import NoReturn

from picograd.errors import MissingName
from picograd.frontend.problems import located

_LAYOUT = "leave memory_format out: elements lie row by row, and contiguous() makes them"
_NO_SHAPES = "its result would have a shape that the data decides, and shapes are static here: "
_MIXED = "convert the model or parts of it: model.bfloat16(), tensor.half()"
_JIT = "use torch.compile(function)"
_TO_GPU = "picograd calls the GPU 'gpu': .to('gpu'), device='gpu' or torch.set_default_device"
_SEED = "torch.manual_seed(seed), or a torch.Generator of your own"

ADVICE = {
    "amp": _MIXED,
    "autocast": _MIXED,
    "GradScaler": _MIXED,
    "jit": _JIT,
    "script": _JIT,
    "preserve_format": _LAYOUT,
    "contiguous_format": _LAYOUT,
    "channels_last": _LAYOUT,
    "fx": "function.ir('tensor') shows what torch.compile traced",
    "export": "picograd dump writes the program after every pass",
    "onnx": "save weights with picograd.io.save_file; picograd dump writes the program",
    "cuda": _TO_GPU,
    "mps": _TO_GPU,
    "xpu": _TO_GPU,
    "complex64": "keep real and imaginary part in tensors of their own",
    "cfloat": "keep real and imaginary part in tensors of their own",
    "view_as_complex": "keep real and imaginary part in tensors of their own",
    "polar": "use cos and sin; keep real and imaginary part in tensors of their own",
    "distributed": "there is one process and one device",
    "DataParallel": "there is one process and one device; use the module itself",
    "profiler": "compiled.report counts kernels, bytes and seconds; see also picograd bench",
    "sparse": "tensors are dense; use a mask and torch.where",
    "unique": _NO_SHAPES + "use np.unique(x.numpy())",
    "unique_consecutive": _NO_SHAPES + "use np.unique(x.numpy())",
    "argwhere": _NO_SHAPES + "use np.argwhere(x.numpy())",
    "resize_": "tensors keep their size; use reshape, or make a new one",
    "as_strided": "use slices, reshape, permute and expand, which are views",
    "data_ptr": "a buffer belongs to its device; x.is_same_view(y) compares views",
    "Function": "write it with tensor operations and .detach(): their gradients are known; "
    "x + (f(x) - x).detach() passes the gradient straight through",
    "get_rng_state": _SEED,
    "set_rng_state": _SEED,
    "FloatTensor": "torch.tensor(values), or torch.empty(sizes)",
    "LongTensor": "torch.tensor(values, dtype=torch.long)",
    "Variable": "tensors record gradients themselves: requires_grad=True",
    "svd": "factorizations are not offered; use np.linalg on x.numpy()",
    "inverse": "factorizations are not offered; use np.linalg on x.numpy()",
    "det": "factorizations are not offered; use np.linalg on x.numpy()",
    "fft": "use np.fft on x.numpy()",
    "distributions": "write the density down: randn, rand and the functions of torch suffice",
}
"""What to do instead, for names that published programs use."""

_ELSEWHERE = "write it with the functions of docs/functions.md"


def missing(owner: str, name: str, known: Iterable[str]) -> MissingName:
    """The error for a name that the owner, such as `torch.nn`, does not have."""
    near = get_close_matches(name, [word for word in known if not word.startswith("_")], 3, 0.75)
    hint = ADVICE.get(name) or (f"did you mean {' or '.join(near)}?" if near else _ELSEWHERE)
    return located(
        MissingName(
            f"picograd has no {owner}.{name}",
            code="PG810",
            expected="a name that docs/functions.md lists, or one of PyTorch's basic ones",
            found=name,
            hint=hint,
        )
    )


def missing_names(owner: str, known: Iterable[str]) -> Callable[[str], NoReturn]:
    """A module's `__getattr__`. Names of Python's own protocols get Python's own error."""

    def getattribute(name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(f"module {owner!r} has no attribute {name!r}")
        raise missing(owner, name, known)

    return getattribute
