"""Targets: what is told about the host, and how targets are named and overridden."""

from pathlib import Path

import pytest

from picograd import targets
from picograd.errors import OptionError
from picograd.targets import target
from picograd.targets.cpu import cache_sizes, processor_flags, usable_cores, vector_unit


def test_the_hosts_facts_are_sensible() -> None:
    cpu = targets.lookup("cpu")
    assert cpu.kind == "cpu"
    assert cpu.vector_bits in (128, 256, 512)
    assert cpu.vector_registers >= 16
    assert 1 <= cpu.cores == usable_cores()
    assert 4096 <= cpu.l1_bytes <= cpu.l2_bytes
    assert cpu.int64 and cpu.float64


def test_the_gpus_defaults_are_what_any_adapter_has() -> None:
    gpu = targets.lookup("gpu")
    assert gpu.kind == "gpu"
    assert gpu.workgroup_bytes >= 16384 and gpu.max_invocations >= 256
    assert gpu.storage_buffers >= 8 and gpu.buffer_alignment == 256
    assert not gpu.int64 and not gpu.float64


def test_overrides() -> None:
    small = targets.lookup("cpu:vector_bits=256, cores=1,fma=false")
    assert (small.vector_bits, small.cores, small.fma) == (256, 1, False)
    assert small.l1_bytes == targets.lookup("cpu").l1_bytes
    assert small is targets.lookup("cpu:vector_bits=256, cores=1,fma=false")
    assert targets.lookup(small) is small


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_lanes(bits: int) -> None:
    cpu = targets.lookup(f"cpu:vector_bits={bits}")
    assert (cpu.lanes(32), cpu.lanes(64), cpu.lanes(1024)) == (bits // 32, bits // 64, 1)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("npu", "no target called 'npu'"),
        ("cpu:speed=3", "no override"),
        ("cpu:cores", "no override"),
        ("cpu:name=3", "no override"),
        ("cpu:cores=many", "cannot be 'many'"),
        ("cpu:cores=-1", "cannot be '-1'"),
        ("cpu:fma=1", "cannot be '1'"),
    ],
)
def test_bad_names_say_what_is_wrong(name: str, says: str) -> None:
    with pytest.raises(OptionError, match=says) as caught:
        targets.lookup(name)
    assert caught.value.expected and caught.value.found


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(target, "_makers", dict(target._makers))
    monkeypatch.setattr(target, "_found", dict(target._found))


@pytest.mark.usefixtures("own_registry")
def test_register_replaces_and_is_looked_up_lazily() -> None:
    calls: list[int] = []

    def make() -> targets.Target:
        calls.append(1)
        return targets.Target(name="test", kind="cpu", cores=3)

    targets.register("test-machine", make)
    assert calls == []
    assert targets.lookup("test-machine").cores == 3
    assert targets.lookup("test-machine:cores=5").cores == 5
    targets.register("test-machine", targets.Target(name="test", kind="cpu", cores=7))
    assert targets.lookup("test-machine").cores == 7
    assert "test-machine" in targets.names()


def test_processor_flags_of_both_families() -> None:
    assert processor_flags("model: x\nflags\t\t: fpu avx2 fma\n") == {"fpu", "avx2", "fma"}
    assert processor_flags("Features\t: fp asimd\n") == {"fp", "asimd"}
    assert processor_flags("") == frozenset()


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", {"avx512f", "avx2", "fma"}, (512, 32, True)),
        ("x86_64", {"avx2", "fma"}, (256, 16, True)),
        ("x86_64", {"sse2"}, (128, 16, False)),
        ("aarch64", {"asimd"}, (128, 32, True)),
        ("riscv64", set(), (128, 16, False)),
    ],
)
def test_vector_unit(machine: str, flags: set[str], expected: tuple[int, int, bool]) -> None:
    assert vector_unit(machine, frozenset(flags)) == expected


def test_cache_sizes_leave_instructions_out(tmp_path: Path) -> None:
    entries = [("1", "Data", "48K"), ("1", "Instruction", "64K"), ("2", "Unified", "2M")]
    for number, (level, kind, size) in enumerate(entries):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(text + "\n")
    assert cache_sizes(tmp_path) == {1: 48 * 1024, 2: 2 * 1024 * 1024}
    assert cache_sizes(tmp_path / "absent") == {}
