"""Programs from disk compute what compiled ones do; what decides about the code is in the key."""

import errno
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from picograd.backends.disk import store as store_module
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import Executable, clear_cache, compile_module
from picograd.compiler.kept import programs, sources
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.pipelines import pipeline
from picograd.errors import OptionError
from picograd.passes.base import Pass
from picograd.passes.fuse import Fuse
from picograd.targets import Target, lookup
from picograd.targets.target import register
from tests.compiler.kept.own_disk import own_disk
from tests.compiler.test_hoist_constants import TEXT as WITH_CONSTANTS

UNCHANGED = sources.OwnSources.unchanged
"""Which `own_disk` replaces."""

DEVICES = ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)]

LINEAR = """
func.func @main(%x: tensor<5x7xf32>, %w: tensor<7x3xf32>) -> (tensor<5x3xf32>, tensor<3xi64>) {
  %table = pico.constant dense<[[1.5, -2.0, 0.25]]> : tensor<1x3xf32>
  %y = pico.matmul %x, %w : tensor<5x7xf32>, tensor<7x3xf32> -> tensor<5x3xf32>
  %t = pico.broadcast %table to [5, 3] : tensor<1x3xf32> -> tensor<5x3xf32>
  %z = pico.binary add %y, %t : tensor<5x3xf32>
  %i = pico.argreduce max %z axis 0 : tensor<5x3xf32> -> tensor<3xi64>
  func.return %z, %i : tensor<5x3xf32>, tensor<3xi64>
}
"""

PASS = '''
from dataclasses import dataclass
from typing import ClassVar
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from picograd.passes.base import Level, Pass

@dataclass(frozen=True)
class Idle(Pass):
    """Does nothing."""
    name: ClassVar[str] = "idle"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR
    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Do nothing."""
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with own_disk(tmp_path, monkeypatch):
        yield tmp_path / "programs"


def compiled(text: str = LINEAR, device: str = "cpu", **settings: Any) -> Executable:
    """Compile as a new process would, with nothing in memory."""
    clear_cache()
    return compile_module(parse_module(text), device, **settings)


def was_on_disk(executable: Executable) -> bool:
    return executable.report.load_seconds is not None


def results(executable: Executable, inputs: list[Any]) -> list[bytes]:
    device = executable.device
    outputs = executable.run([device.upload(given) for given in inputs])
    return [device.download(output).tobytes() for output in outputs]


@pytest.mark.parametrize("device", DEVICES)
def test_a_program_from_disk_computes_the_same_bits(
    device: str, folder: Path, rng: np.random.Generator
) -> None:
    inputs = [rng.normal(size=shape).astype(np.float32) for shape in ((5, 7), (7, 3))]
    first, again = compiled(device=device), compiled(device=device)
    assert not was_on_disk(first) and was_on_disk(again)
    assert len(list(folder.iterdir())) == 1
    assert results(again, inputs) == results(first, inputs)
    assert (again.inputs, again.outputs) == (first.inputs, first.outputs)
    assert again.donated == first.donated
    for fact in ("kernels", "kernels_unfused", "bytes_planned", "bytes_unplanned", "passes"):
        assert getattr(again.report, fact) == getattr(first.report, fact)
    assert "taken from disk" in str(again.report) and "from disk" not in str(first.report)


@pytest.mark.parametrize("device", DEVICES)
def test_its_ir_is_made_when_somebody_asks(device: str) -> None:
    first, again = compiled(device=device), compiled(device=device)
    for level in ("tensor", "kernel", "buffer", "loop", "target"):
        assert again.ir(level) == first.ir(level)
    for suffix in {"cpu": ("ll", "s"), "gpu": ("wgsl",)}[device]:
        assert again.program.texts[suffix] == first.program.texts[suffix]


def test_constants_lie_in_the_same_entry(folder: Path, rng: np.random.Generator) -> None:
    """A program that computes what another one takes comes and goes with it."""
    passes = Pipeline(step for step in pipeline("cpu") if step.name != "canonicalize")
    shapes = ((4, 6), (6, 7), (7,))
    inputs = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    first, again = compiled(WITH_CONSTANTS, passes=passes), compiled(WITH_CONSTANTS, passes=passes)
    assert not was_on_disk(first) and was_on_disk(again)
    assert len(list(folder.iterdir())) == 1
    assert first.constants is not None and again.constants is not None
    assert again.constants.reads == first.constants.reads == (1,)
    assert again.constants.types == first.constants.types
    assert again.report.bytes_kept == first.report.bytes_kept > 0
    assert results(again, inputs) == results(first, inputs)
    for level in ("tensor", "loop", "target"):
        assert again.ir(level) == first.ir(level)
        own = again.constants.executable.ir(level)
        assert own == first.constants.executable.ir(level) != again.ir(level)
    # Without the note there is nothing to keep, and another entry.
    other = compiled(WITH_CONSTANTS.replace("pico.kept, ", ""), passes=passes)
    assert not was_on_disk(other) and other.constants is None


@pytest.mark.gpu
def test_the_lines_of_a_kernel_are_those_of_the_program_at_hand() -> None:
    """A file may change above a function, which stays the same and is not compiled again."""
    text = """
    func.func @main(%x: tensor<4xf32>, %i: tensor<2xi64>) -> tensor<2xf32> {
      %g = pico.gather %x at %i axis 0 {at = "model.py:3"}
          : tensor<4xf32>, tensor<2xi64> -> tensor<2xf32>
      func.return %g : tensor<2xf32>
    }
    """
    for line, known in ((3, False), (3, True), (8, True)):
        executable = compiled(text.replace("py:3", f"py:{line}"), device="gpu")
        assert was_on_disk(executable) is known
        device = executable.device
        given = [device.upload(np.arange(4, dtype=np.float32)), device.upload(np.array([0, 9]))]
        (output,) = executable.run(given)
        with pytest.raises(IndexError) as told:
            device.download(output)
        assert f"of model.py:{line} on the GPU" in str(told.value)


def test_a_module_that_changes_afterwards_is_noticed() -> None:
    module = parse_module(LINEAR)
    executable = compile_module(module, "cpu")
    list(module.walk())[2].detach()
    with pytest.raises(OptionError, match="its module has changed"):
        executable.ir("loop")


@pytest.mark.parametrize("device", DEVICES)
def test_donated_inputs_and_indices_out_of_range(device: str) -> None:
    text = """
    func.func @main(%x: tensor<4xf32> {pico.donated = 0 : i64}, %i: tensor<2xi64>)
        -> (tensor<4xf32>, tensor<2xf32>) {
      %y = pico.binary add %x, %x : tensor<4xf32>
      %g = pico.gather %x at %i axis 0 : tensor<4xf32>, tensor<2xi64> -> tensor<2xf32>
      func.return %y, %g : tensor<4xf32>, tensor<2xf32>
    }
    """
    message = None
    for executable in (compiled(text, device), compiled(text, device)):
        own = executable.device
        x = own.upload(np.arange(4, dtype=np.float32))
        with pytest.raises(IndexError) as told:
            own.download(executable.run([x, own.upload(np.array([0, 9]))])[1])
        assert message in (None, str(told.value))
        message = str(told.value)
        outputs = executable.run([x, own.upload(np.array([0, 3]))])
        assert (outputs[0] is x) == bool(executable.donated)
        own.download(outputs[1])


@pytest.mark.parametrize(
    "change",
    [
        {"passes": str(pipeline("cpu")).replace("cse,", "")},
        {"passes": pipeline("cpu").replace("fuse", Fuse(target="cpu", max_ops=1))},
        {"sanitize": True},
    ],
    ids=["passes", "options", "sanitize"],
)
def test_another_question_is_another_program(change: dict[str, Any]) -> None:
    compiled()
    assert not was_on_disk(compiled(**change))
    assert was_on_disk(compiled())


@pytest.mark.parametrize(
    ("old", "new"),
    [("add %y", "mul %y"), ("-2.0", "2.0"), ("5x7", "5x8"), ("max %z", "min %z")],
)
def test_another_module_is_another_program(old: str, new: str) -> None:
    compiled()
    text = LINEAR.replace(old, new).replace("7x3", "8x3" if "8" in new else "7x3")
    assert not was_on_disk(compiled(text))


def test_another_machine_is_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled()
    own = lookup("cpu")
    register("cpu", own.override(l2_bytes=own.l2_bytes // 2))
    try:
        assert not was_on_disk(compiled())
    finally:
        register("cpu", own)
    assert was_on_disk(compiled())
    device = type(compiled().device)
    monkeypatch.setattr(device, "makes_code_for", "LLVM 99, another processor")
    assert not was_on_disk(compiled())


def test_the_machine_that_a_pass_names_counts() -> None:
    own = Target(name="mine", kind="cpu", l2_bytes=1 << 20)
    steps = pipeline("cpu").replace("fuse", Fuse(target="mine"))
    for target, known in ((own, False), (own, True), (own.override(l2_bytes=1 << 21), False)):
        register("mine", target)
        assert was_on_disk(compiled(passes=steps)) is known


def test_other_versions_and_sources_are_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled()
    monkeypatch.setattr(programs, "_versions", lambda: "xdsl 99")
    assert not was_on_disk(compiled())
    monkeypatch.undo()


def test_why_it_is_compiled_again_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "picograd")
    compiled()
    assert "no such program is on disk" in caplog.text
    caplog.clear()
    compiled()
    assert "was on disk" in caplog.text
    caplog.clear()
    monkeypatch.setattr(programs, "_versions", lambda: "xdsl 99")
    compiled(passes=str(pipeline("cpu")).replace("cse,", ""))
    assert "these changed: passes, versions" in caplog.text


def loaded(path: Path, text: str) -> type[Pass]:
    """The pass of a file, as a new process would load it."""
    path.write_text(text)
    sys.modules[path.stem] = module = ModuleType(path.stem)
    module.__file__ = str(path)
    exec(compile(text, path, "exec"), vars(module))  # noqa: S102, not from stale bytecode
    return module.Idle


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "idle_pass_of_a_test.py"
    sys.modules.pop("idle_pass_of_a_test", None)
    sys.modules.pop("idle_helper_of_a_test", None)


def with_idle(kind: type[Pass]) -> Executable:
    return compiled(passes=pipeline("cpu").after("canonicalize", kind()))


def test_an_edited_pass_is_another_program(idle: Path) -> None:
    assert not was_on_disk(with_idle(loaded(idle, PASS)))
    assert was_on_disk(with_idle(loaded(idle, PASS)))
    assert not was_on_disk(with_idle(loaded(idle, PASS.replace("Does", "Still does"))))
    assert was_on_disk(with_idle(loaded(idle, PASS)))


def test_an_edited_helper_of_a_pass_is_another_program(idle: Path) -> None:
    helper = idle.with_name("idle_helper_of_a_test.py")
    for text, known in (("SIZE = 1", False), ("SIZE = 1", True), ("SIZE = 2", False)):
        helper.write_text(text)
        sys.modules["idle_helper_of_a_test"] = module = ModuleType("idle_helper_of_a_test")
        module.__file__ = str(helper)
        kind = loaded(idle, "import idle_helper_of_a_test\n" + PASS)
        assert was_on_disk(with_idle(kind)) is known


def test_a_pass_without_readable_source_is_not_kept(
    folder: Path, idle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "picograd")
    kind = loaded(idle, PASS)
    idle.unlink()
    assert not was_on_disk(with_idle(kind)) and not was_on_disk(with_idle(kind))
    assert not folder.exists()
    assert "not kept on disk" in caplog.text and "cannot be read" in caplog.text
    del sys.modules["idle_pass_of_a_test"].__dict__["__name__"]
    sys.modules.pop("idle_pass_of_a_test")
    assert not was_on_disk(with_idle(kind))
    assert "has no file" in caplog.text


def test_sources_that_change_while_running_are_not_trusted(
    folder: Path, idle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_STARTED", 0)
    assert not was_on_disk(with_idle(loaded(idle, PASS)))
    assert not folder.exists()
    programs.own_sources.cache_clear()
    compiled()
    assert not folder.exists()
    monkeypatch.setattr(sources, "_STARTED", 2**63)
    programs.own_sources.cache_clear()
    monkeypatch.setattr(sources.OwnSources, "unchanged", lambda _: False)
    compiled()
    assert not folder.exists()


def test_sources_are_read_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(sources, "_STARTED", 2**63)
    for part in sources._PARTS:
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.py").write_text("A = 1\n")
    for name in sources._FILES:
        (tmp_path / f"{name}.py").write_text("x = 1")
    monkeypatch.setattr(sources, "_ROOT", tmp_path)
    first = sources.OwnSources()
    assert first.unchanged() and sources.OwnSources().digest == first.digest
    (tmp_path / "passes" / "a.py").write_text("A = 2\n")
    assert not first.unchanged()
    assert sources.OwnSources().digest != first.digest
    (tmp_path / "passes" / "a.py").write_text("A = 1\n")
    assert sources.OwnSources().digest == first.digest
    (tmp_path / "passes" / "b.py").write_text("")
    assert sources.OwnSources().digest != first.digest


def test_sources_are_all_that_compiling_makes_use_of() -> None:
    files = [Path(path) for path, *_ in sources._facts(sources._ROOT)]
    imported = {
        name
        for file in files
        for name in re.findall(r"^from (picograd\.[\w.]+) import", file.read_text(), re.MULTILINE)
    }
    assert "picograd.quick_dataclasses" in imported and len(imported) > 100
    assert {name for name in imported if not sources.is_own(name)} == set()
    modules = {".".join(file.relative_to(sources._ROOT).with_suffix("").parts) for file in files}
    packages = {name.removesuffix(".__init__") for name in modules}
    assert {name for name in imported if name.removeprefix("picograd.") not in packages} == set()


def test_sources_are_read_once_for_all_processes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in sources._PARTS:
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.py").write_text("A = 1\n")
    for name in sources._FILES:
        (tmp_path / f"{name}.py").write_text("")
    files = len(sources._PARTS) + len(sources._FILES)
    monkeypatch.setattr(sources, "_ROOT", tmp_path)
    monkeypatch.setattr(sources.OwnSources, "unchanged", UNCHANGED)
    read: list[str] = []
    add_file = sources._add_file

    def counted(state: Any, path: str) -> None:
        read.append(path)
        add_file(state, path)

    monkeypatch.setattr(sources, "_add_file", counted)
    first = sources.OwnSources()
    assert len(read) == files
    assert sources.OwnSources().digest == first.digest and len(read) == files
    (entry,) = (folder.parent / "shared").iterdir()
    entry.write_bytes(entry.read_bytes()[:-1])
    assert sources.OwnSources().digest == first.digest and len(read) == 2 * files

    def edited_meanwhile(state: Any, path: str) -> None:
        add_file(state, path)
        Path(path).write_text("A = 22\n")

    monkeypatch.setattr(sources, "_add_file", edited_meanwhile)
    (tmp_path / "passes" / "a.py").write_text("A = 333\n")
    sources.OwnSources()
    assert list((folder.parent / "shared").iterdir()) == [entry]


def test_watched_and_checked_compilations_do_not_come_from_disk(
    folder: Path, tmp_path: Path
) -> None:
    compiled(dump=tmp_path / "dump")
    compiled(cached=False)
    compiled(check=True)
    compiled(sanitize=True)
    assert not folder.exists()
    compiled()
    assert not was_on_disk(compiled(dump=tmp_path / "dump"))
    assert not was_on_disk(compiled(cached=False))
    assert not was_on_disk(compiled(check=True))


def test_the_switch_turns_it_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICOGRAD_DISK_CACHE", "0")
    compiled()
    assert not folder.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_cannot_be_written_costs_a_warning(
    number: int, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    inputs = [rng.normal(size=shape).astype(np.float32) for shape in ((5, 7), (7, 3))]
    expected = results(compiled(cached=False), inputs)

    def fails(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(store_module.os, "replace", fails)
    with pytest.warns(UserWarning, match="does not keep compiled programs"):
        assert results(compiled(), inputs) == expected
    assert results(compiled(), inputs) == expected


@pytest.mark.parametrize("device", DEVICES)
def test_damaged_entries_are_compiled_again(
    device: str, folder: Path, rng: np.random.Generator
) -> None:
    inputs = [rng.normal(size=shape).astype(np.float32) for shape in ((5, 7), (7, 3))]
    expected = results(compiled(device=device), inputs)
    compiled(LINEAR.replace("add %y", "mul %y"), device)
    one, other = folder.iterdir()
    whole = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(whole[: len(whole) // 2])
    again = compiled(device=device)
    assert not was_on_disk(again) and results(again, inputs) == expected
    assert was_on_disk(compiled(device=device))


_EAGER = """
import logging, sys
import numpy as np
import picograd

picograd.set_default_device(sys.argv[2])
x = picograd.tensor(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), requires_grad=True)
y = (x.relu() @ x.T * 2 + 1).sum()
y.backward()
step = picograd.compile(lambda t: (t * 2).softmax(-1))
print(x.grad.numpy().tobytes().hex(), step(x.detach()).numpy().tobytes().hex())
compiling = ("picograd.passes", "picograd.compiler.driver", "picograd.backends.wgsl.emit")
compiling = [name for name in compiling if name in sys.modules]
assert sys.argv[1] == "cold" or not compiling, compiling
"""


@pytest.mark.parametrize("device", DEVICES)
def test_a_new_process_compiles_nothing_again(device: str) -> None:
    environment = {**os.environ, "PICOGRAD_VERIFY": "0"}
    texts = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", _EAGER, way, device],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for way in ("cold", "warm")
    ]
    assert texts[0] == texts[1] != ""


def test_two_processes_at_once(tmp_path: Path) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _EAGER, "cold", "cpu"], stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in running]
    assert outputs[0] == outputs[1] != b""
    assert [process.returncode for process in running] == [0, 0]
