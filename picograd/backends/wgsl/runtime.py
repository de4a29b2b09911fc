"""The one place that touches wgpu-py: adapters, memory, pipelines and submission, with types.

wgpu is imported when a GPU is first opened, because loading it takes a tenth of a second and a
machine without a GPU driver must still run everything else. One adapter and one wgpu device serve
the whole process: starting them takes 150 to 400 ms, and buffers of different wgpu devices do not
mix.

wgpu-py has no type annotations that pyright can use for its native half, hence the relaxations
below; everything that leaves this file is typed.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportMissingTypeStubs=false, reportPrivateUsage=false

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from typing import Any

from picograd.backends.runtime import Array
from picograd.errors import CompileError, DeviceError, LimitError
from picograd.quick_dataclasses import dataclass

# OpenGL is left out: its adapters lack the limits and the precision that the compiler relies on.
BACKENDS = ("Vulkan", "Metal", "D3D12")
_PREFERENCE = {"DiscreteGPU": 0, "IntegratedGPU": 1, "VirtualGPU": 2, "CPU": 3}

REMEDY = (
    "install a GPU driver; without a GPU, `apt-get install mesa-vulkan-drivers libvulkan1` gives "
    "Mesa's software adapter lavapipe"
)


@dataclass(frozen=True)
class Limits:
    """What one kernel may ask of the device; names and meaning are WebGPU's, sizes in bytes."""

    max_storage_buffers: int
    max_binding_bytes: int
    max_buffer_bytes: int
    max_workgroup_bytes: int
    max_invocations: int
    max_workgroup_size: tuple[int, int, int]
    max_workgroups: int


@dataclass(frozen=True, eq=False)
class Memory:
    """A buffer object of wgpu. Compared by identity."""

    handle: Any
    nbytes: int


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A compiled compute pipeline and the layout of its bindings."""

    handle: Any
    layout: Any


@dataclass(frozen=True)
class Binding:
    """A range of memory that a kernel sees as one array. `offset` is a multiple of 256."""

    memory: Memory
    offset: int
    nbytes: int


@dataclass(frozen=True, eq=False)
class BindGroup:
    """Bindings made ready for one pipeline."""

    handle: Any


@dataclass(frozen=True)
class Dispatch:
    """One launch: a pipeline, what it is bound to, and how many workgroups run."""

    pipeline: Pipeline
    group: BindGroup
    workgroups: tuple[int, int, int]


@dataclass(frozen=True)
class Copy:
    """Bytes of one memory, copied to the start of a binding; they fill it."""

    source: Memory
    offset: int
    target: Binding


class Gpu:
    """An opened GPU. All methods may be called from any thread of the process that opened it."""

    def __init__(self, wgpu: Any, native: Any, adapter: Any) -> None:
        self._wgpu = wgpu
        self._native = native
        self._device = adapter.request_device_sync(label="picograd")
        self._queue = self._device.queue
        self._process = os.getpid()
        self.lock = threading.RLock()
        """Held while work is handed over or read back; who needs two of these together takes it."""
        self._staging: Memory | None = None
        self._pipelines: dict[tuple[bytes, bool], Pipeline] = {}
        info = adapter.info
        self.name = f"{info['device']} ({info['backend_type']})"
        self.driver = f"{info['description'] or info['vendor']}, wgpu {wgpu.__version__}"
        self.adapter_type: str = info["adapter_type"]
        self.limits = _limits(self._device.limits)

    def check_process(self) -> None:
        """Raise DeviceError in a child of the process that opened the GPU."""
        if os.getpid() != self._process:
            raise DeviceError(
                "the GPU was opened before this process was forked, and wgpu does not survive that",
                code="PG310",
                expected=f"use from process {self._process}",
                found=f"use from its child {os.getpid()}",
                hint='start children with multiprocessing.get_context("spawn"), or touch the GPU '
                "only after forking",
            )

    def create_memory(self, nbytes: int, label: str = "") -> Memory:
        """Fresh zeroed memory of at least `nbytes` bytes, usable as a kernel argument.

        Raises LimitError when the device cannot hold a buffer of this size.
        """
        self.check_process()
        size = max(16, (nbytes + 15) // 16 * 16)
        if size > self.limits.max_buffer_bytes:
            raise LimitError(
                "a buffer is larger than the GPU can hold",
                code="PG307",
                expected=f"at most {self.limits.max_buffer_bytes} bytes (max-buffer-size)",
                found=f"{size} bytes",
                hint="use smaller tensors, or the device 'cpu'",
                where=label,
            )
        usage = self._wgpu.BufferUsage
        flags = usage.STORAGE | usage.COPY_SRC | usage.COPY_DST
        with self.lock:
            try:
                handle = self._device.create_buffer(size=size, usage=flags, label=label)
            except self._wgpu.GPUError as error:
                raise DeviceError(
                    f"the GPU has no room for {size} bytes",
                    code="PG306",
                    expected="room for one more buffer",
                    found=_first_line(error),
                    hint="free tensors that are no longer needed, or use smaller batches",
                    where=label,
                ) from error
        return Memory(handle, size)

    def destroy(self, memory: Memory) -> None:
        """Free memory at once, even if a cached bind group still names it."""
        if os.getpid() == self._process:
            with self.lock:
                memory.handle.destroy()

    def write(self, memory: Memory, data: Array) -> None:
        """Copy a dense array of 32-bit elements to the start of some memory.

        The copy is ordered after what was submitted before, and before what is submitted later.
        """
        self.check_process()
        if data.nbytes:
            with self.lock:
                self._queue.write_buffer(memory.handle, 0, data)

    def read(self, parts: Sequence[Binding]) -> list[bytes]:
        """The contents of some ranges, after everything submitted so far has finished.

        All parts come back through one persistent staging buffer and one submission.
        """
        self.check_process()
        places: list[int] = []
        total = 0
        for part in parts:
            places.append(total)
            total += (part.nbytes + 15) // 16 * 16
        with self.lock:
            staging = self._staging_buffer(total)
            encoder = self._device.create_command_encoder()
            for part, place in zip(parts, places, strict=True):
                if part.nbytes:
                    encoder.copy_buffer_to_buffer(
                        part.memory.handle, part.offset, staging.handle, place, part.nbytes
                    )
            self._queue.submit([encoder.finish()])
            staging.handle.map_sync(self._wgpu.MapMode.READ, 0, max(16, total))
            try:
                return [
                    bytes(staging.handle.read_mapped(place, part.nbytes)) if part.nbytes else b""
                    for part, place in zip(parts, places, strict=True)
                ]
            finally:
                staging.handle.unmap()

    def _staging_buffer(self, nbytes: int) -> Memory:
        """The mappable buffer, grown to the next power of two when it is too small."""
        if self._staging is None or self._staging.nbytes < nbytes:
            if self._staging is not None:
                self._staging.handle.destroy()
            size = 1 << max(16, (nbytes - 1).bit_length())
            usage = self._wgpu.BufferUsage
            handle = self._device.create_buffer(size=size, usage=usage.MAP_READ | usage.COPY_DST)
            self._staging = Memory(handle, size)
        return self._staging

    def create_pipeline(
        self,
        text: str,
        bindings: int,
        label: str,
        *,
        checked: bool = True,
        cached: bool = True,
    ) -> Pipeline:
        """Compile WGSL with one entry point `main` over `bindings` read-write storage buffers.

        `checked` keeps wgpu's own bounds checks and limits on loops; leave it out only for text
        that is proved to need neither. Equal texts share one pipeline for the life of the process,
        unless one of its own is asked for with `cached=False`.
        Raises CompileError with the driver's message when the text is rejected.
        """
        self.check_process()
        key = (hashlib.sha256(text.encode()).digest(), checked)
        with self.lock:
            if not cached:
                return self._compile(text, bindings, label, checked)
            if key not in self._pipelines:
                self._pipelines[key] = self._compile(text, bindings, label, checked)
            return self._pipelines[key]

    def forget_pipelines(self) -> None:
        """Share no pipeline made so far with a later caller."""
        with self.lock:
            self._pipelines.clear()

    def _compile(self, text: str, bindings: int, label: str, checked: bool) -> Pipeline:
        visible = self._wgpu.ShaderStage.COMPUTE
        entries = [
            {"binding": number, "visibility": visible, "buffer": {"type": "storage"}}
            for number in range(bindings)
        ]
        try:
            layout = self._device.create_bind_group_layout(entries=entries)
            pipeline = self._device.create_compute_pipeline(
                label=label,
                layout=self._device.create_pipeline_layout(bind_group_layouts=[layout]),
                compute={
                    "module": self._shader_module(text, label, checked),
                    "entry_point": "main",
                },
            )
        except self._wgpu.GPUError as error:
            raise CompileError(
                f"the GPU driver rejects the WGSL of kernel {label}",
                code="PG903",
                expected="text that keeps the rules of WGSL",
                found=str(error),
                hint="this is a fault of picograd's WGSL emitter: please report it",
                where=f"kernel @{label}",
            ) from error
        return Pipeline(pipeline, layout)

    def _shader_module(self, text: str, label: str, checked: bool) -> Any:
        """A shader module; unchecked ones need a native call that wgpu-py does not wrap."""
        if checked:
            return self._device.create_shader_module(label=label, code=text)
        source = self._native.ffi.new("WGPUShaderSourceWGSL *")
        source.code = self._native.to_c_string_view(text)
        source.chain.sType = self._native.lib.WGPUSType_ShaderSourceWGSL
        descriptor = self._native.ffi.new("WGPUShaderModuleDescriptor *")
        descriptor.nextInChain = self._native.ffi.cast("WGPUChainedStruct *", source)
        descriptor.label = self._native.to_c_string_view(label)
        no_checks = 0
        handle = self._native.libf.wgpuDeviceCreateShaderModuleTrusted(
            self._device._internal, descriptor, no_checks
        )
        return self._native.GPUShaderModule(label, handle, self._device)

    def create_bind_group(self, pipeline: Pipeline, bindings: Sequence[Binding]) -> BindGroup:
        """Bindings in the order of the kernel's arguments."""
        self.check_process()
        entries = [
            {
                "binding": number,
                "resource": {
                    "buffer": binding.memory.handle,
                    "offset": binding.offset,
                    "size": binding.nbytes,
                },
            }
            for number, binding in enumerate(bindings)
        ]
        with self.lock:
            return BindGroup(
                self._device.create_bind_group(layout=pipeline.layout, entries=entries)
            )

    def submit_steps(self, steps: Sequence[Dispatch | Copy]) -> None:
        """Run kernels and copies one after another: each kernel in a compute pass of its own."""
        self.check_process()
        with self.lock:
            encoder = self._device.create_command_encoder()
            for step in steps:
                if isinstance(step, Copy):
                    target = step.target
                    encoder.copy_buffer_to_buffer(
                        step.source.handle,
                        step.offset,
                        target.memory.handle,
                        target.offset,
                        target.nbytes,
                    )
                    continue
                compute_pass = encoder.begin_compute_pass()
                compute_pass.set_pipeline(step.pipeline.handle)
                compute_pass.set_bind_group(0, step.group.handle)
                compute_pass.dispatch_workgroups(*step.workgroups)
                compute_pass.end()
            self._queue.submit([encoder.finish()])

    def submit(self, dispatches: Sequence[Dispatch]) -> None:
        """Run kernels one after another: one encoder and one compute pass for all of them.

        Each dispatch sees what earlier ones wrote. Returns before the work is done.
        """
        self.check_process()
        with self.lock:
            encoder = self._device.create_command_encoder()
            compute_pass = encoder.begin_compute_pass()
            current: Pipeline | None = None
            for dispatch in dispatches:
                if dispatch.pipeline is not current:
                    compute_pass.set_pipeline(dispatch.pipeline.handle)
                    current = dispatch.pipeline
                compute_pass.set_bind_group(0, dispatch.group.handle)
                compute_pass.dispatch_workgroups(*dispatch.workgroups)
            compute_pass.end()
            self._queue.submit([encoder.finish()])


def _limits(granted: Any) -> Limits:
    def limit(name: str) -> int:
        return int(granted[name])

    return Limits(
        max_storage_buffers=limit("max-storage-buffers-per-shader-stage"),
        max_binding_bytes=limit("max-storage-buffer-binding-size"),
        max_buffer_bytes=limit("max-buffer-size"),
        max_workgroup_bytes=limit("max-compute-workgroup-storage-size"),
        max_invocations=limit("max-compute-invocations-per-workgroup"),
        max_workgroup_size=(
            limit("max-compute-workgroup-size-x"),
            limit("max-compute-workgroup-size-y"),
            limit("max-compute-workgroup-size-z"),
        ),
        max_workgroups=limit("max-compute-workgroups-per-dimension"),
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def choose_adapter(adapters: Sequence[Any]) -> Any:
    """The best of some wgpu adapters: a discrete GPU before an integrated one before software.

    Raises DeviceError with the remedy when none has a backend that picograd supports.
    """
    usable = [adapter for adapter in adapters if adapter.info["backend_type"] in BACKENDS]
    if not usable:
        seen = ", ".join(f"{a.info['device']} ({a.info['backend_type']})" for a in adapters)
        raise DeviceError(
            "this machine has no GPU adapter that picograd can use",
            code="PG304",
            expected="an adapter with one of the backends " + ", ".join(BACKENDS),
            found=seen or "no adapter at all",
            hint=REMEDY,
        )
    return min(usable, key=lambda adapter: _PREFERENCE.get(adapter.info["adapter_type"], 4))


@dataclass(frozen=True)
class AdapterInfo:
    """An adapter that wgpu sees, for people; `refusal` says why picograd leaves it out, if so."""

    name: str
    backend: str
    kind: str
    driver: str
    refusal: str


def list_adapters() -> list[AdapterInfo]:
    """Every adapter of the machine, whether picograd can use it or not. Opens none of them."""
    wgpu, _ = _import_wgpu()
    found: list[AdapterInfo] = []
    for adapter in wgpu.gpu.enumerate_adapters_sync():
        info = adapter.info
        backend = str(info["backend_type"])
        refusal = "" if backend in BACKENDS else f"{backend} lacks limits that kernels rely on"
        driver = str(info["description"] or info["vendor"])
        found.append(
            AdapterInfo(str(info["device"]), backend, str(info["adapter_type"]), driver, refusal)
        )
    return found


def _import_wgpu() -> tuple[Any, Any]:
    """wgpu and its native half."""
    # EGL, which wgpu probes beside Vulkan, complains on standard error without this variable.
    os.environ.setdefault("XDG_RUNTIME_DIR", "/tmp")
    import wgpu
    from wgpu.backends.wgpu_native import _api as native

    return wgpu, native


_opened: Gpu | None = None
_opening = threading.Lock()


def open_gpu() -> Gpu:
    """The process's GPU, opened at the first call.

    Raises DeviceError when there is no adapter, and in a forked child of a process that already
    opened it.
    """
    global _opened
    with _opening:
        if _opened is not None:
            _opened.check_process()
            return _opened
        wgpu, native = _import_wgpu()
        _opened = Gpu(wgpu, native, choose_adapter(wgpu.gpu.enumerate_adapters_sync()))
        return _opened
