"""What every device offers: buffers, moving arrays in and out, and running compiled programs.

The compiler and the frontend talk to devices through these classes only. `device(name)` finds a
device; each is created when it is first asked for and lives as long as the process.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Operation

from picograd.backends.recipes import Item, Made
from picograd.dialects.dtypes import DType, is_float_array
from picograd.errors import DeviceError
from picograd.quick_dataclasses import dataclass

Array = NDArray[Any]


@runtime_checkable
class Buffer(Protocol):
    """Memory on a device that holds one dense row-major tensor."""

    @property
    def type(self) -> TensorType[Any]:
        """Shape and element type of the contents, as the tensor level spells them."""
        ...

    @property
    def device(self) -> "Device":
        """Where the memory is."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that the contents take on this device."""
        ...


B = TypeVar("B", bound=Buffer)


class Program(ABC):
    """A module compiled for one device: `run` may be called over and over, from any thread."""

    texts: Mapping[str, str]
    """What the backend produced, by file suffix: `{"ll": …, "s": …}` or `{"wgsl": …}`."""
    launches: int
    """Kernels that one call launches."""
    launch: Callable[..., int | tuple[int, int]] | None = None
    """Where there is one, a faster way to run: see `backends.llvm.launcher`. It checks nothing."""
    nbytes: int = 0
    """About how many bytes of code and constants it holds."""
    fails_late: bool = False
    """Whether `run` may return before it is known that an index is out of range."""

    lines_of: Callable[[str], Sequence[str]] | None = None
    """Tells the lines of the user's program that a kernel computes, where somebody knows them."""

    def launch_with(
        self, numbers: Sequence[DType | None], same: Mapping[int, int] | None = None
    ) -> Callable[..., int | tuple[int, int]] | None:
        """As `launch`, but arguments with a dtype here are given as Python's numbers.

        Arguments that `same` names are not given: they lie where the ones before do that it tells.
        None where there is no such way.
        """
        return None

    @property
    @abstractmethod
    def scratch_bytes(self) -> int:
        """Bytes of kernel scratch (packed panels, partial sums) that one call needs."""

    @abstractmethod
    def run(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        """Compute the outputs from the inputs; buffers are in the order of `@main`'s arguments.

        Raises IndexOutOfRange when an index read from a tensor is out of range; a device that
        runs asynchronously may raise it at the next `download` instead.
        """


@dataclass(frozen=True)
class Image:
    """A program as it can be kept on disk, for its device to make it again without compiling."""

    facts: Mapping[str, Any]
    """What JSON can hold: numbers, texts, lists and dictionaries by texts."""
    blobs: tuple[bytes, ...]
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    """What making it took, step by step; this is not kept."""


class SteppedProgram(ABC):
    """A program that runs launch by launch, and takes the time of each."""

    kernels: Sequence[str]
    """What each launch runs, in order."""

    @abstractmethod
    def run(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> Sequence[float]:
        """Compute the outputs as `Program.run` does; the seconds that each launch took."""


class Device(ABC):
    """A place where programs run."""

    name: str
    """How users spell it: "reference", "cpu" or "gpu"."""
    adapter: str
    """What it is, for people: the processor's or adapter's name."""
    driver: str = ""
    """The software between us and it, with its version; empty where there is none to be wrong."""

    def details(self) -> Sequence[tuple[str, str]]:
        """Facts about it beyond its name, for people: each with what it is called."""
        return ()

    @abstractmethod
    def allocate(self, type: TensorType[Any]) -> Buffer:
        """Fresh memory for a tensor of this type; the contents are undefined."""

    def allocator(self, types: Sequence[TensorType[Any]]) -> Callable[[], list[Buffer]]:
        """A function that allocates a buffer of each type, for those who do so over and over."""
        return lambda: [self.allocate(type) for type in types]

    def maker(self, type: TensorType[Any]) -> Callable[[], Buffer]:
        """A function that allocates a buffer of this type, for those who do so over and over."""
        return lambda: self.allocate(type)

    def object_maker(self, recipe: Sequence[Item], arguments: int = 0) -> Callable[..., Any] | None:
        """A function that gives the last item of a recipe, made anew of so many arguments.

        None where there is no faster way than Python's.
        """
        return None

    def held_checker(self, slots: Sequence[tuple[Any, Any, object]]) -> Callable[[], bool] | None:
        """A function that tells whether each container still holds the very object at its key; a
        closure's cell has the key None.

        None where there is no faster way than Python's.
        """
        return None

    def reader(self, type: TensorType[Any]) -> Callable[[Any, int], bool | int | float] | None:
        """A function that gives the element of this type, so many bytes behind the start of a
        buffer, as Python's number.

        None where there is no faster way than `download`.
        """
        return None

    def copier(self, nbytes: int) -> Callable[[int, int], int | tuple[int, int]] | None:
        """A function that copies so many bytes from an address to another one, and is entered as
        `Program.launch` is.

        None where memory has no addresses, or where there is no faster way than a program.
        """
        return None

    @abstractmethod
    def upload(self, array: Array) -> Buffer:
        """A copy of the array on the device. Raises DTypeError for a type it cannot hold."""

    @abstractmethod
    def download(self, buffer: Buffer) -> Array:
        """The contents as a fresh array, after every program that writes them has finished."""

    @abstractmethod
    def load(self, module: ModuleOp, *, cached: bool = True, sanitize: bool = False) -> Program:
        """A program from a module lowered by this device's pipeline.

        Without `cached`, kernels that the device knows from other programs are made anew. With
        `sanitize` the program watches itself, and raises SanitizerError for what it must not do.
        """

    @property
    def makes_code_for(self) -> str:
        """All beside a module that decides what the device makes of it, in words."""
        return f"{self.adapter}, {self.driver}"

    def step_through(self, module: ModuleOp) -> SteppedProgram:
        """A program from a lowered module whose launches are run and timed one by one.

        Raises DeviceError where the device offers no such thing.
        """
        raise DeviceError(
            f"launches are not timed on the device {self.name!r}",
            code="PG312",
            expected="a device that runs launches one by one: 'cpu'",
            found=repr(self.name),
            hint="profile the program on the cpu",
        )

    def synchronize(self) -> None:  # noqa: B027, optional
        """Wait until all programs have finished. Default: they have when `run` returns."""

    def empty_cache(self) -> None:  # noqa: B027, optional
        """Give back the memory that waits for the next buffer. Default: none is kept."""

    def forget(self) -> None:  # noqa: B027, optional
        """Drop what was kept of compiled kernels for the next program. Default: nothing is."""


class Compiling(ABC):
    """A program that is compiled while its kernels are still being made. What it has begun ends
    with its context.
    """

    @abstractmethod
    def kernel(self, op: Operation) -> None:
        """Take a `loop.kernel` that no pass will change. Raises what `load` raises."""

    @abstractmethod
    def finish(self, module: ModuleOp, meanwhile: Callable[[], None] | None = None) -> Image:
        """What is made of all of them, and of the module that they were in, as by `compile`.

        Where that takes Python a while without work, it does what is to be done `meanwhile`.
        """

    @abstractmethod
    def stop(self) -> None:
        """End what has begun, and wait until it has; nothing where all is done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()


class KeepingDevice(Device):
    """A device whose programs can be kept on disk, between what compiles them and what runs."""

    @abstractmethod
    def compile(self, module: ModuleOp) -> Image:
        """What `restore` makes a program of, from a lowered module. Raises what `load` raises."""

    def in_parts(self) -> Compiling | None:
        """What takes kernels one by one instead; None where the device has nothing to gain."""
        return None

    @abstractmethod
    def restore(self, image: Image, *, cached: bool = True) -> Program:
        """A program from what `compile` made of a module, here or in another process.

        Without `cached`, kernels that the device knows from other programs are made anew.
        """


class SharingDevice(Device):
    """A device whose memory NumPy reaches."""

    @abstractmethod
    def lend(self, buffer: Buffer) -> object:
        """The bytes of a buffer, which it keeps, for `np.ndarray` to make arrays over."""

    @abstractmethod
    def borrow(self, array: Array) -> Buffer | None:
        """A buffer over the memory of an array, which it keeps.

        None where programs cannot read that: there are gaps between the elements, or they do not
        begin where elements of this size may.
        """

    def borrowed(self, type: TensorType[Any]) -> Made | None:
        """The step of a recipe that makes what `borrow` gives for arrays of this type that may be
        borrowed, of such an array and the address of its memory.

        None where there is no such step.
        """
        return None

    @abstractmethod
    def overwrite(self, buffer: Buffer, value: Buffer) -> None:
        """Copy contents of the same type into a buffer."""


def own_buffer(buffer: Buffer, kind: type[B], device: str) -> B:
    """The buffer as one of the device's own kind. Raises DeviceError if it is on another device."""
    if not isinstance(buffer, kind):
        raise DeviceError(
            f"the device {device!r} was given a buffer of another device",
            code="PG309",
            expected=f"a buffer on the device {device!r}",
            found=f"one on {buffer.device.name!r}",
            hint=f"move the tensor first, with .to({device!r})",
        )
    return buffer


def poison(array: Array) -> None:
    """Fill an array with what a forgotten write is sure to be noticed by: NaN or huge integers."""
    if is_float_array(array):
        array.fill(np.nan)
    elif array.dtype.kind in "iu":
        array.fill(np.iinfo(array.dtype).max)


_makers: dict[str, Callable[[], Device]] = {}
_devices: dict[str, Device] = {}


def register_device(name: str, make: Callable[[], Device]) -> None:
    """Make `device(name)` call `make` the first time it is asked for."""
    _makers[name] = make
    _devices.pop(name, None)


def device_names() -> tuple[str, ...]:
    """The names that `device` knows, whether or not the machine has such a device."""
    return tuple(_makers)


def opened_devices() -> tuple[Device, ...]:
    """The devices that somebody has asked for so far."""
    return tuple(_devices.values())


_ELSEWHERE = ("cuda", "mps", "xpu", "hip", "vulkan", "mlu", "npu")
"""What PyTorch calls a GPU."""


def no_such_device(name: str) -> DeviceError:
    """The error for a name that is no device's."""
    hint = "pass one of these names, or set PICOGRAD_DEVICE to one of them"
    if name.split(":")[0] in _ELSEWHERE and "gpu" in _makers:
        hint = "picograd calls the GPU, whoever made it, 'gpu'"
    return DeviceError(
        f"there is no device called {name!r}",
        code="PG301",
        expected="one of " + ", ".join(repr(known) for known in _makers),
        found=repr(name),
        hint=hint,
    )


def device(name: str) -> Device:
    """The device of this name.

    Raises DeviceError with the remedy when there is no such name or the machine has none.
    """
    if name not in _makers:
        raise no_such_device(name)
    if name not in _devices:
        _devices[name] = _makers[name]()
    return _devices[name]
