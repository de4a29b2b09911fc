"""Random programs of the front end: views, updates in place, indexing, reductions, gradients.

A program is Python text. It runs eagerly and compiled, on every device; what it returns, and what
it left in its arguments, must lie within the error bounds of its graph, whoever ran it. Lines that
the front end refuses (shapes that do not fit, say) are left out while a program is drawn.
"""

from __future__ import annotations

import textwrap
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, cast

import numpy as np

import picograd
from picograd.check.fuzz.programs import rng_of
from picograd.dialects.dtypes import AnyTensor
from picograd.dialects.literals import Array
from picograd.errors import PicogradError
from picograd.quick_dataclasses import dataclass
from picograd.semantics.bounds import ACCURACY, analyse, judge
from picograd.semantics.evaluate import entry_of

FRONT_END = "front end"
"""The theme of these programs."""

Function = Callable[..., Sequence[Any]]

_VIEWS = (
    "{v}[1:]",
    "{v}[::2]",
    "{v}[..., -1]",
    "{v}[:, None]",
    "{v}[0]",
    "{v}[-2:, 1:]",
    "{v}.T",
    "{v}.transpose(0, -1)",
    "{v}.reshape(-1)",
    "{v}.unsqueeze(0)",
    "{v}.squeeze()",
    "{v}.permute(1, 0, 2)",
    "{v}.flatten(0, 1)",
    "{v}[None].expand(2, *{v}.shape)",
)
_UPDATES = (
    "{v} += 0.5",
    "{v} *= {w}",
    "{v}.mul_(0.5)",
    "{v}[0] = 1.25",
    "{v}[1:] = {w}[1:]",
    "{v}[..., ::2] -= {w}[..., ::2]",
    "{v}.copy_({w})",
    "{v}.neg_()",
    "{v}.clamp_(-1.0, 1.5)",
    "{v}.T.add_(1.0)",
    "{v}[:, -1].zero_()",
    "{v}[1:].mul_({v}[:-1])",
    "{v}.transpose(0, 1)[0] += {w}",
    "{v}[{v} > 0.5] = 0.25",
    "{v}.fill_(0.75)",
    "{v}.reshape(-1)[2:5] = 0.125",
)
_VALUES = (
    "{v} + {w}",
    "{v} * {w}",
    "{v} - {w}",
    "{v}.maximum({w})",
    "torch.tanh({v})",
    "{v}.flip(0)",
    "torch.where({v} > {w}, {v}, {w})",
    "{v}.sum(-1)",
    "{v}.mean()",
    "{v}.amax(0)",
    "{v}.argmax(0)",
    "{v}.cumsum(0)",
    "torch.softmax({v}, -1)",
    "{v}.sort(-1).values",
    "{v} @ {w}",
    "{v}.abs().sqrt()",
    "torch.cat([{v}, {w}])",
    "torch.stack([{v}, {w}], -1)",
    "{v}.gather(0, {v}.argmax(0, keepdim=True))",
    "{v}.index_select(0, {v}.reshape(-1)[:2].argsort())",
    "torch.nn.functional.pad({v}, (1, 2))",
    "{v}.var(0)",
    "{v}.clone()",
    "torch.roll({v}, 1, 0)",
    "({v} > 0).float()",
    "{v}.to(torch.int32)",
)
_GRADIENTS = (
    "({p} * {w}).sum()",
    "torch.tanh({p}).mean()",
    "({p}[1:] * {p}[:-1]).sum()",
    "{p}.amax()",
    "torch.softmax({p}, -1).square().sum()",
    "({p} @ {p}.transpose(-1, -2)).sum()",
    "{p}.cumsum(0).square().mean()",
    "torch.cat([{p}, {p} * 2]).prod()",
    "{p}.var()",
)
_SHAPES = ((3, 4), (4, 3), (3, 3), (5,), (2, 3, 4), (1, 4), (4,), (2, 2, 2), (7, 5))
_MOST_LINES = 9
_TRIES = 4


@dataclass(frozen=True)
class FrontEndProgram:
    """A function in Python, with inputs: `lines` are its body without the return."""

    parameters: int
    lines: tuple[str, ...]
    returned: tuple[str, ...]
    inputs: tuple[Array, ...]

    @property
    def text(self) -> str:
        """The function as source text."""
        names = ", ".join(f"x{number}" for number in range(self.parameters))
        # Copies: what a view shows may change after it has been returned, but results do not.
        returned = ", ".join(f"{name}.clone()" for name in self.returned)
        body = [*self.lines, f"return ({returned},)"]
        return f"def program({names}):\n" + textwrap.indent("\n".join(body), "    ") + "\n"

    def function(self) -> Function:
        """The function itself."""
        names: dict[str, Any] = {"torch": picograd}
        name = f"<program {zlib.crc32(self.text.encode()):x}>"
        exec(compile(self.text, name, "exec"), names)  # noqa: S102 - it is text of our own
        return names["program"]

    def script(self, device: str, title: str) -> str:
        """A Python file that repeats a failure."""
        arrays = "".join(
            f"    np.array({array.tolist()!r}, np.{array.dtype}).reshape({array.shape}),\n"
            for array in self.inputs
        )
        return (
            f'"""{title}\n\nRun it with `python FILE`, or `picograd fuzz --replay FILE`."""\n\n'
            "import numpy as np\n\nimport picograd as torch\n"
            "from picograd.check.fuzz.front_end import complaints\n\n"
            f"INPUTS = (\n{arrays})\n\n\n{self.text}\n\n"
            f"FOUND = complaints(program, INPUTS, {device!r})\n"
            'print("\\n".join(FOUND) or "nothing is wrong")\n'
        )


def draw_front_end(seed: int, number: int) -> FrontEndProgram:
    """The program with this number. All its lines run on the reference, but for a last one that
    crashes there.
    """
    rng = rng_of(seed, number, FRONT_END)
    numbers = np.random.default_rng(rng.randint(0, 2**31))
    shapes = [rng.choice(_SHAPES) for _ in range(rng.randint(1, 2))]
    inputs = tuple(numbers.normal(0.0, 1.0, shape).astype(np.float32) for shape in shapes)
    names = [f"x{number}" for number in range(len(inputs))]
    program = FrontEndProgram(len(inputs), (), tuple(names), inputs)
    try:
        for _ in range(rng.randint(2, _MOST_LINES)):
            program = _longer(program, lambda p: _draw_lines(p, rng))
        if rng.random() < 0.5:
            program = _longer(program, lambda p: _draw_gradient(p, rng))
    except _Crash as crash:
        return crash.program
    return program


class _Crash(Exception):
    """A program that raises what is no error of picograd's."""

    def __init__(self, program: FrontEndProgram) -> None:
        super().__init__()
        self.program = program


def _longer(
    program: FrontEndProgram, draw: Callable[[FrontEndProgram], FrontEndProgram]
) -> FrontEndProgram:
    for _ in range(_TRIES):
        longer = draw(program)
        try:
            results = run(longer.function(), longer.inputs, "reference")
        except PicogradError:
            continue  # what the front end refuses is no program
        except Exception as error:
            raise _Crash(longer) from error
        if all(np.isfinite(array).all() and array.size <= 512 for array in results):
            return longer
    return program


def _draw_lines(program: FrontEndProgram, rng: Random) -> FrontEndProgram:
    names = program.returned
    words = {"v": rng.choice(names), "w": rng.choice(names)}
    kind = rng.choice((_VIEWS, _VIEWS, _UPDATES, _UPDATES, _UPDATES, _VALUES, _VALUES))
    line = rng.choice(kind).format(**words)
    if kind is _UPDATES:
        return FrontEndProgram(program.parameters, (*program.lines, line), names, program.inputs)
    name = f"v{len(program.lines)}"
    lines = (*program.lines, f"{name} = {line}")
    return FrontEndProgram(program.parameters, lines, (*names, name), program.inputs)


def _draw_gradient(program: FrontEndProgram, rng: Random) -> FrontEndProgram:
    source, other = rng.choice(program.returned), rng.choice(program.returned)
    loss = rng.choice(_GRADIENTS).format(p="p", w=other)
    lines = (
        *program.lines,
        f"p = {source}.detach().clone().requires_grad_()",
        f"loss = {loss}",
        "loss.backward()",
        "g = p.grad",
    )
    return FrontEndProgram(program.parameters, lines, (*program.returned, "g"), program.inputs)


def run(function: Function, inputs: Sequence[Array], device: str) -> list[Array]:
    """What a function returns, and what its arguments are afterwards, as arrays."""
    arguments = [picograd.tensor(array.copy(), device=device) for array in inputs]
    results = function(*arguments)
    return [tensor.detach().cpu().numpy() for tensor in (*results, *arguments)]


def complaints(function: Function, inputs: Sequence[Array], device: str) -> list[str]:
    """What is wrong with a function on a device: eagerly, compiled, and compiled when it is called
    a second time. Raises PicogradError where the front end refuses the function.
    """
    traced = picograd.compile(function, device="reference").trace(
        *(picograd.tensor(array.copy(), device="reference") for array in inputs)
    )
    compiled = picograd.compile(function, device=device)
    expected = analyse(traced.module, traced.inputs, ACCURACY[device])
    types = [cast(AnyTensor, type) for type in entry_of(traced.module).function_type.outputs]
    found: list[str] = []
    for how, called in (("eager", function), ("compiled", compiled), ("again", compiled)):
        arrays = run(called, inputs, device)
        results, after = arrays[: -len(inputs)], arrays[-len(inputs) :]
        count = len(results)
        report = judge(expected[:count], types[:count], results)
        if report.first is not None:
            found.append(f"{how} on {device}: {report.first}")
        # The first results are copies of the arguments, made at the end.
        for number, (shown, left) in enumerate(zip(results, after, strict=False)):
            if shown.tobytes() != left.tobytes():
                found.append(f"{how} on {device}: argument {number} is left as {left.tolist()}")
    return found
