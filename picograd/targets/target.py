"""A machine as data: the facts that passes may read, and how a machine is named.

A target is named by a string, so that it fits in a pass option: `"cpu"`, `"gpu"`, or with
overrides `"cpu:vector_bits=256,cores=1"`. Overrides exist for tests and for study: the same pass
can be watched for a machine that is not the host.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Literal

from picograd.errors import OptionError
from picograd.quick_dataclasses import dataclass

TargetKind = Literal["cpu", "gpu", "reference"]


@dataclass(frozen=True)
class Target:
    """What the compiler knows about a machine. Sizes are in bytes unless the name says bits.

    A limit of 0 means "no limit". Fields that make no sense for a kind keep their defaults.
    """

    name: str
    kind: TargetKind
    architecture: str = ""
    """What LLVM calls the instruction set of a CPU: "x86_64", "aarch64"; empty is the host's."""
    # One core.
    vector_bits: int = 128
    vector_registers: int = 16
    fma: bool = True
    # Whether one instruction multiplies floats by powers of two, whatever comes out.
    scales: bool = False
    # Whether arithmetic can take an operand from memory. Where it cannot, each row of a register
    # tile keeps its element of the left operand in a register.
    memory_operands: bool = True
    cores: int = 1
    l1_bytes: int = 32 * 1024
    l2_bytes: int = 512 * 1024
    l3_bytes: int = 4 * 1024 * 1024
    # Memory.
    buffer_alignment: int = 64
    storage_buffers: int = 0
    max_binding_bytes: int = 0
    # One workgroup of a GPU.
    workgroup_bytes: int = 0
    max_invocations: int = 0
    max_workgroup_size: tuple[int, int, int] = (0, 0, 0)
    max_workgroups: int = 0
    # Element types that kernels may compute with, beside float32, int32 and bool.
    int64: bool = True
    float64: bool = True
    # Whether memory holds elements of 8 and 16 bits (no machine computes with them), and whether
    # there are instructions between float16 and float32.
    narrow_types: bool = True
    float16_conversions: bool = False

    def lanes(self, element_bits: int) -> int:
        """How many elements of `element_bits` one machine vector holds (at least one)."""
        return max(1, self.vector_bits // element_bits)

    def override(self, **changes: int | bool | str) -> "Target":
        """This target with some fields changed."""
        return replace(self, **changes)  # pyright: ignore[reportArgumentType]


Maker = Callable[[], Target]

_makers: dict[str, Maker] = {}
_found: dict[str, Target] = {}


def register(name: str, make: Maker | Target) -> None:
    """Make `name` known to `lookup`; a later registration replaces an earlier one.

    `make` is a target, or a function that finds out about the machine when it is first asked for.
    """
    _makers[name] = (lambda: make) if isinstance(make, Target) else make
    _found.clear()


def names() -> tuple[str, ...]:
    """The registered target names."""
    return tuple(sorted(_makers))


def lookup(target: "str | Target") -> Target:
    """The target that a string such as `"cpu"` or `"cpu:vector_bits=256,cores=1"` names.

    Raises OptionError for an unknown name, an unknown field or a value of the wrong type.
    """
    if isinstance(target, Target):
        return target
    if target not in _found:
        _found[target] = _resolve(target)
    return _found[target]


def _resolve(text: str) -> Target:
    name, _, overrides = text.partition(":")
    if name not in _makers:
        raise OptionError(
            f"there is no target called {name!r}",
            code="PG311",
            expected=" or ".join(repr(known) for known in names()),
            found=repr(text),
            hint="name a target, with overrides if you like: cpu:vector_bits=256,cores=1",
        )
    base = _makers[name]()
    changes = dict(_override(base, item) for item in overrides.split(",") if item.strip())
    return base.override(**changes)


def _override(base: Target, item: str) -> tuple[str, int | bool | str]:
    key, equals, value = (part.strip() for part in item.partition("="))
    known = {
        field.name: getattr(base, field.name)
        for field in fields(base)
        if isinstance(getattr(base, field.name), int)
    }
    if key not in known or not equals:
        raise OptionError(
            f"{item.strip()!r} is no override of target {base.name!r}",
            code="PG311",
            expected="field=value, the field one of " + ", ".join(known),
            found=repr(item.strip()),
            hint="write for example cpu:vector_bits=256,cores=1",
        )
    if isinstance(known[key], bool) and value in ("true", "false"):
        return key, value == "true"
    if not isinstance(known[key], bool) and value.isdigit():
        return key, int(value)
    raise OptionError(
        f"target field {key!r} cannot be {value!r}",
        code="PG311",
        expected="true or false" if isinstance(known[key], bool) else "a whole number",
        found=repr(value),
        hint=f"the field is {known[key]} by default",
    )
