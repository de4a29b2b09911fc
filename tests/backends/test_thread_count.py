"""How many threads: from the environment, from the machine, and as set."""

import subprocess
import sys

import pytest

import picograd
from picograd.backends.thread_count import MAX_THREADS, VARIABLE, default_threads
from picograd.errors import OptionError


def test_the_environment_decides_then_the_machine(monkeypatch):
    monkeypatch.setenv(VARIABLE, " 3 ")
    assert default_threads() == 3
    monkeypatch.delenv(VARIABLE)
    assert 1 <= default_threads() <= MAX_THREADS


@pytest.mark.parametrize("wrong", ["0", "many", "-1", "2.0", str(MAX_THREADS + 1)])
def test_what_is_no_number_of_threads_is_refused(monkeypatch, wrong):
    monkeypatch.setenv(VARIABLE, wrong)
    with pytest.raises(OptionError, match=VARIABLE):
        default_threads()


@pytest.mark.parametrize("wrong", [0, -1, MAX_THREADS + 1, 2.0, "2", None])
def test_setting_what_is_none_changes_nothing(wrong):
    before = picograd.get_num_threads()
    with pytest.raises(OptionError, match="number of threads"):
        picograd.set_num_threads(wrong)
    assert picograd.get_num_threads() == before


def test_the_number_is_set_before_anything_is_compiled():
    script = """
import sys
import picograd
picograd.set_num_threads(3)
assert picograd.get_num_threads() == 3
assert "llvmlite" not in sys.modules
picograd.ones(3)
from picograd.backends.llvm.thread_pool import shared_pool
print(shared_pool().threads)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "3"
