"""What is held in memory: the last used, what somebody holds, and nothing beyond the limit."""

import gc
import threading
import weakref

import numpy as np

from picograd.backends.runtime import device
from picograd.compiler import executable as executables
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import Executable, clear_cache, compile_module
from picograd.compiler.kept.recent import Recent


class Thing:
    """Something that can be let go of."""


def test_the_longest_unused_leave_first() -> None:
    recent: Recent[Thing] = Recent(limit=30)
    watched = {key: weakref.ref(recent.add(key, Thing(), 10)) for key in "abc"}
    assert recent.get("a") is not None
    recent.add("d", Thing(), 10)
    assert watched["b"]() is None and recent.get("b") is None
    assert all(recent.get(key) is not None for key in "acd")
    assert len(recent) == 3 and recent.nbytes == 30


def test_what_somebody_holds_is_found_when_it_has_left() -> None:
    recent: Recent[Thing] = Recent(limit=10)
    first = recent.add("a", Thing(), 10)
    recent.add("b", Thing(), 10)
    assert recent.get("a") is first
    assert recent.add("a", Thing(), 10) is first
    other = Thing()
    assert recent.add("a", other, 10, replace=True) is other and recent.get("a") is other


def test_one_that_is_larger_than_the_limit_stays_until_the_next() -> None:
    recent: Recent[Thing] = Recent(limit=10)
    recent.add("a", Thing(), 100)
    assert recent.get("a") is not None
    recent.add("b", Thing(), 1)
    assert recent.get("a") is None and recent.nbytes == 1


def test_clearing_forgets_what_is_held_elsewhere_too() -> None:
    recent: Recent[Thing] = Recent()
    held = recent.add("a", Thing(), 10)
    recent.clear()
    assert recent.get("a") is None and len(recent) == 0 and recent.nbytes == 0 and held


def scaled(number: int) -> Executable:
    text = f"""
    func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {{
      %c = pico.constant dense<{number}.5> : tensor<3xf32>
      %y = pico.binary mul %x, %c : tensor<3xf32>
      func.return %y : tensor<3xf32>
    }}"""
    return compile_module(parse_module(text), "cpu")


def test_machine_code_goes_with_its_last_user(rng: np.random.Generator) -> None:
    clear_cache()
    limit, executables._recent.limit = executables._recent.limit, 200_000
    x = rng.normal(size=3).astype(np.float32)
    given = device("cpu").upload(x)
    try:
        first, again = scaled(0), scaled(0)
        assert again is first and executables._recent.get("no such program") is None
        codes = [weakref.ref(first.program)]
        for number in range(1, 12):
            codes.append(weakref.ref(scaled(number).program))
        gc.collect()
        assert sum(code() is not None for code in codes) <= 5
        assert scaled(0) is first  # it left, and it is held here
        (result,) = first.run([given])
        assert device("cpu").download(result).tolist() == (x * np.float32(0.5)).tolist()
    finally:
        executables._recent.limit = limit
        clear_cache()


def test_a_thread_that_runs_a_program_holds_it(rng: np.random.Generator) -> None:
    clear_cache()
    limit, executables._recent.limit = executables._recent.limit, 0
    x = rng.normal(size=3).astype(np.float32)
    wrong: list[int] = []

    def calls(seed: int) -> None:
        given = device("cpu").upload(x)
        for step in range(12):
            number = (seed + step) % 5
            (result,) = scaled(number).run([given])
            if (device("cpu").download(result) != x * np.float32(number + 0.5)).any():
                wrong.append(number)

    try:
        threads = [threading.Thread(target=calls, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        executables._recent.limit = limit
        clear_cache()
    assert not wrong
