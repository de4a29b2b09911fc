"""The check of loop passes notices a pass that changes what a kernel means."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp

from picograd.check.loop_samples import SAMPLES, arguments_of, check_passes, softmax, the_kernel
from picograd.compiler.diagnostics import parse_module
from picograd.dialects.loop import StoreOp
from picograd.errors import VerificationError
from picograd.passes.base import Level, Pass


@dataclass(frozen=True)
class DropLastStore(Pass):
    """A wrong pass."""

    name: ClassVar[str] = "drop_last_store"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        stores = [inner for inner in op.walk() if isinstance(inner, StoreOp)]
        stores[-1].detach()
        stores[-1].erase()


@dataclass(frozen=True)
class SubtractInstead(Pass):
    """Another one."""

    name: ClassVar[str] = "subtract_instead"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        (difference,) = [inner for inner in op.walk() if isinstance(inner, arith.SubfOp)]
        difference.operands = list(reversed(difference.operands))


@pytest.mark.parametrize("wrong", [DropLastStore(), SubtractInstead()])
def test_wrong_passes_are_caught(wrong: Pass) -> None:
    with pytest.raises(VerificationError, match=f"{wrong.name} changes argument 1"):
        check_passes(softmax(3, 5), [wrong])


@pytest.mark.parametrize("name", SAMPLES)
def test_outputs_start_poisoned_and_inputs_are_random(name: str) -> None:
    sample = SAMPLES[name]
    kernel = the_kernel(parse_module(sample.text(*sample.most)))
    arrays = arguments_of(kernel, np.random.default_rng(0))
    for argument, array in zip(kernel.body.block.args, arrays, strict=True):
        if argument in kernel.written and array.dtype.kind == "f":
            assert np.isnan(array).all()
        elif argument not in kernel.written:
            assert len(np.unique(array)) > 1


def test_small_sizes_are_drawn() -> None:
    rng = np.random.default_rng(0)
    texts = [SAMPLES["softmax"].draw(rng) for _ in range(60)]
    assert any("memref<0x" in text for text in texts)
    assert any("x1xf32" in text for text in texts)
