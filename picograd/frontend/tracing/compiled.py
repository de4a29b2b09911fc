"""`picograd.compile`: a Python function, traced once for each kind of arguments and then run as
one graph.

The key of a call is the structure of its arguments with shapes, dtypes and devices of tensors,
beside the switch for gradients and the mode. Within a key the guards decide: see `watch`. When no
traced version fits, the function is traced again, and the logger "picograd" says why. In the modes
that run op by op (see `ladder`) it is called like any other function.
"""

from __future__ import annotations

import inspect
import logging
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial, update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from xdsl.dialects.builtin import ModuleOp

from picograd.backends.locks import Lock
from picograd.backends.runtime import Array
from picograd.compiler.asked import folder_from_environment
from picograd.compiler.executable import Executable, Report, compile_module
from picograd.compiler.garbage import without_garbage_collection
from picograd.compiler.load_toolchain import toolchain
from picograd.errors import OptionError, PicogradError, TraceError
from picograd.frontend.modes.eager import eager
from picograd.frontend.modes.ladder import LADDER, Rung, running_on
from picograd.frontend.modes.mode import SETTINGS
from picograd.frontend.problems import located
from picograd.frontend.tracing.arguments import Call, map_leaves, take_apart
from picograd.frontend.tracing.graph import (
    check_device,
    device_of,
    graph_of,
    watcher_of,
    without_kept,
)
from picograd.frontend.tracing.repetition import MISSED, Repetition, repetition_of
from picograd.frontend.tracing.sources import Inputs
from picograd.frontend.tracing.version import Key, Making, Version
from picograd.frontend.tracing.watch import Watched, positional_names, signature_of
from picograd.quick_dataclasses import dataclass

if TYPE_CHECKING:
    from picograd.compiler.pass_list import Passes, Pipeline
    from picograd.compiler.profile import Profile

P = ParamSpec("P")
R = TypeVar("R")

_LOG = logging.getLogger("picograd")
_MANY = 8
"""So many versions of one function, for the same arguments, earn a warning."""


@dataclass(frozen=True)
class Traced:
    """A function as a module of tensor level, and what the module's arguments were in the call."""

    module: ModuleOp
    inputs: tuple[Array, ...]
    device: str
    """Where the call would run."""


class CompiledFunction(Watched, Generic[P, R]):
    """A function that runs as compiled graphs. Made by `compile`."""

    def __init__(
        self,
        function: Callable[P, R],
        device: str | None,
        passes: Passes | None,
        dump: str | Path | None,
        sanitize: bool | None = None,
        check: bool | None = None,
        tuned: bool = True,
    ) -> None:
        update_wrapper(cast(Any, self), cast(Any, function), updated=())
        self.function = function
        self.recompilations: list[str] = []
        """Why the function was traced, once for each version."""
        self._device = device
        self._passes = None if passes is None else _passes_of(passes)
        self._dump = dump
        self._sanitize = sanitize
        self._check = check
        self._tuned = tuned
        self._signature = signature_of(function)
        self._positional = positional_names(self._signature)
        self._versions: dict[Key, list[Version]] = {}
        self._last: Version | None = None
        self._repeated: Repetition | None = None
        self._lock = Lock()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        repeated = self._repeated
        if repeated is not None and not kwargs:
            result = repeated.again(args)
            if result is not MISSED:
                self._last = repeated.version
                return cast(R, result)
        if SETTINGS.trace is not None:
            return self.function(*args, **kwargs)  # part of the graph being traced
        arguments = self._arguments(args, kwargs)
        call = take_apart(arguments)
        rung = LADDER.rung
        if not rung.is_traced:
            with running_on(self._place(call, arguments)):
                return self.function(*args, **kwargs)
        key = Key(call.key, SETTINGS.recording, rung)
        version = self._find(key)
        if version is None:
            with self._lock:
                version = self._find(key) or self._compile(key, call, args, kwargs)
        self._last = version
        # A call without words that gives all parameters binds them as they stand.
        ordered = not kwargs and len(args) == len(self._positional)
        self._repeated = repetition_of(args, call, version) if ordered else None
        return cast(R, version.run(call))

    def watched(self) -> Iterable[tuple[str, Any, Any]]:
        # Part of another compiled function's graph, it is traced there: what it depends on counts.
        return [("function", vars(self), "function")]

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, object]:
        """The arguments by the names of their parameters."""
        if not kwargs and len(args) == len(self._positional):
            return dict(zip(self._positional, args, strict=True))
        return self._bind(args, kwargs).arguments

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound

    def _find(self, key: Key) -> Version | None:
        last = self._last
        # Equal keys usually hold the same objects: comparing them takes less time than a hash.
        if last is not None and last.key == key and last.mismatch() is None:
            return last
        for version in self._versions.get(key, ()):
            if version.mismatch() is None:
                return version
        return None

    def _compile(
        self, key: Key, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Version:
        reason = self._reason(key)
        versions = self._versions.setdefault(key, [])
        self.recompilations.append(reason)
        name = getattr(self.function, "__name__", type(self.function).__name__)
        _LOG.info("compiling %s: %s", name, reason)
        if len(versions) == _MANY:
            warnings.warn(
                f"picograd compiles {name} for the {_MANY + 1}th time: {reason}. Make what changes "
                "an argument of the function.",
                stacklevel=4,
            )
        with without_garbage_collection():
            version = self._trace(key, call, self._bind(args, kwargs), reason)
        versions.append(version)
        return version

    def _reason(self, key: Key) -> str:
        """Why no version fits a call with this key."""
        known = {key: versions for key, versions in self._versions.items() if versions}
        if not known:
            return "it is the first call"
        mismatch = known[key][-1].mismatch() if key in known else None
        if mismatch is not None:
            return mismatch
        if any(key._replace(rung=other) in known for other in Rung):
            return f"the mode is {str(key.rung)!r} now"
        if key._replace(recording=not key.recording) in known:
            return f"gradients are {'recorded now' if key.recording else 'not recorded'}"
        return "the call has new kinds of arguments"

    def _trace(self, key: Key, call: Call, bound: inspect.BoundArguments, reason: str) -> Version:
        start = time.perf_counter()
        graph = graph_of(self.function, self._device, call, bound)
        device = graph.trace.device
        passes = self._passes
        if key.rung is Rung.GRAPH:
            passes = toolchain().unfused(passes or toolchain().pipeline(device))
        dump = self._dump if self._dump is not None else folder_from_environment(device)
        compiled = partial(
            compile_module,
            device=device,
            passes=passes,
            sanitize=self._sanitize,
            check=self._check,
            tuned=self._tuned,
        )
        module = graph.module
        executable = compiled(module, dump=dump)
        making = Making(reason, datetime.now().astimezone(), time.perf_counter() - start, dump)
        return Version(
            key,
            executable,
            graph.trace,
            graph.effects,
            graph.watcher,
            call,
            making,
            lambda: compiled(without_kept(module)),
        )

    def trace(self, *args: P.args, **kwargs: P.kwargs) -> Traced:
        """The graph that a call with these arguments would compile, and its inputs; nothing runs.

        Raises what a first call raises while it traces.
        """
        if SETTINGS.trace is not None:
            raise located(
                TraceError(
                    "trace() is called inside a compiled function",
                    code="PG503",
                    expected="a call from outside, with tensors that have values",
                    found="a trace in progress",
                    hint="call the compiled function itself; it becomes part of this graph",
                )
            )
        call = take_apart(self._arguments(args, kwargs))
        graph = graph_of(self.function, self._device, call, self._bind(args, kwargs))
        mode = eager(graph.trace.device)
        inputs = Inputs(graph.trace.sources).fetch(call, mode)
        arrays = tuple(mode.download(value) for value in inputs)
        return Traced(graph.module, arrays, graph.trace.device)

    def profile(self, *args: P.args, **kwargs: P.kwargs) -> Profile:
        """How long each launch of such a call takes, with what it moves and computes.

        Copies of the arguments and of all that the function captures go in: nothing changes, no
        parameter either. The slower a call, the fewer runs are made. Raises what a first call
        raises, and DeviceError on a device that does not time launches.
        """
        traced = self.trace(*args, **kwargs)
        executable = compile_module(
            traced.module, traced.device, passes=self._passes, tuned=self._tuned
        )
        upload = executable.device.upload
        return executable.profile([upload(array) for array in traced.inputs])

    def _place(self, call: Call, arguments: Mapping[str, object]) -> str:
        """Where a call that is not traced runs: where it would run if it were."""
        device = self._device
        if device is None and call.tensors:
            device = call.tensors[0].device
        if device is None:
            device = device_of(call, watcher_of(self.function, arguments))
        for name, argument in arguments.items():
            map_leaves(argument, partial(check_device, device, name))
        return device

    def __getattr__(self, name: str) -> Any:
        """The attributes of a compiled module: `compiled.parameters()`, `compiled.eval()`."""
        if name == "function":
            raise AttributeError(name)
        return getattr(self.function, name)

    # What was made

    def _current(self) -> Version:
        if self._last is None:
            raise located(
                OptionError(
                    "the function has not been compiled yet",
                    code="PG506",
                    expected="at least one call, which fixes shapes and dtypes",
                    found="no call",
                    hint="call the compiled function once, then ask again",
                )
            )
        return self._last

    def ir(self, level: str) -> str:
        """The text of the last called version at "tensor", "kernel", "buffer", "loop" or
        "target".
        """
        return self._current().executable.ir(level)

    @property
    def versions(self) -> tuple[Version, ...]:
        """All versions, in the order in which they were made."""
        found = [version for versions in self._versions.values() for version in versions]
        return tuple(sorted(found, key=lambda version: version.making.when))

    @property
    def report(self) -> Report:
        """Kernels, bytes and times of the last called version."""
        return self._current().executable.report

    @property
    def executable(self) -> Executable:
        """The last called version's compiled module."""
        return self._current().executable


def _passes_of(passes: Passes) -> Pipeline:
    """The passes asked for; a name that nobody knows is a mistake in the line that asks."""
    try:
        return toolchain().as_passes(passes)
    except PicogradError as error:
        located(error)
        raise


@overload
def compile(
    function: Callable[P, R],
    device: str | None = None,
    passes: Passes | None = None,
    dump: str | Path | None = None,
    sanitize: bool | None = None,
    check: bool | None = None,
    tuned: bool = True,
) -> CompiledFunction[P, R]: ...
@overload
def compile(
    function: None = None,
    device: str | None = None,
    passes: Passes | None = None,
    dump: str | Path | None = None,
    sanitize: bool | None = None,
    check: bool | None = None,
    tuned: bool = True,
) -> Callable[[Callable[P, R]], CompiledFunction[P, R]]: ...
def compile(
    function: Callable[P, R] | None = None,
    device: str | None = None,
    passes: Passes | None = None,
    dump: str | Path | None = None,
    sanitize: bool | None = None,
    check: bool | None = None,
    tuned: bool = True,
) -> CompiledFunction[P, R] | Callable[[Callable[P, R]], CompiledFunction[P, R]]:
    """The function or module, to be traced at its first call and run as one compiled graph.

    Forward, `backward()` and `optimizer.step()` may all be inside. `device` is where it runs: by
    default where its tensors are. `passes` replaces the device's pipeline: passes, or their names;
    `picograd.pipeline` gives the device's own, to put passes of yours into. `dump` names a folder
    for the IR after every pass (by default PICOGRAD_DUMP names one for all functions, in which each
    gets a folder of its own). `sanitize` checks every access to memory in every call, which raises
    SanitizerError for a fault of the compiler and takes longer (by default PICOGRAD_SANITIZE=1 asks
    for it). `check` validates every pass of every version (by default
    PICOGRAD_CHECK=1 asks for it): one that changes what the function computes is a ValidationError.
    Without `tuned` (or with PICOGRAD_TUNED=0) the schedules that `picograd tune` found are ignored.
    Without `function` it is a decorator with settings:
    `@compile(device="gpu")`. Raises OptionError for passes that nobody knows and, when called,
    TraceError for Python that depends on values, such as `if x > 0`.
    """
    if function is None:
        return lambda given: CompiledFunction(given, device, passes, dump, sanitize, check, tuned)
    return CompiledFunction(function, device, passes, dump, sanitize, check, tuned)
