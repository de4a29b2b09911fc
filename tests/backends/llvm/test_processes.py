"""Forks, children, interrupts, and an end in the middle of a call: each in a process of its own."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap

import pytest

HEAD = """
import os, signal, sys, threading, time
import numpy as np
import picograd as torch
torch.set_num_threads(3)
rng = np.random.default_rng(3)
W = torch.tensor(rng.standard_normal((256, 256)).astype(np.float32), device="cpu")
@torch.compile
def f(x):
    return torch.softmax((x @ W).tanh() @ W, -1)
def given(seed=0):
    numbers = np.random.default_rng(seed).standard_normal((300, 256))
    return torch.tensor(numbers.astype(np.float32), device="cpu")
def check(seed=0):
    return float(np.square(f(given(seed)).numpy().astype(np.float64)).sum())
"""


def run(script, seconds=60):
    """What a script prints, after the head; it must end well, and say nothing else."""
    text = HEAD + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.split()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


@needs_fork
def test_children_that_are_forked_while_other_threads_call_and_compile():
    found = run("""
        first = check()
        stop = threading.Event()
        def call():
            while not stop.is_set():
                assert check() == first
        def compile():
            number = 0
            while not stop.is_set():
                number += 1
                with torch.no_grad():
                    torch.compile(lambda x: (x * float(number)).sum())(W)
        others = [threading.Thread(target=call), threading.Thread(target=compile)]
        for other in others:
            other.start()
        codes = []
        for number in range(4):
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                fine = check() == first
                two = float(torch.compile(lambda x: (x * 0 + 2 + number).max())(W))
                os._exit(0 if fine and two == 2 + number else 1)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        stop.set()
        for other in others:
            other.join()
        assert check() == first
        print(*codes)
    """)
    assert found == ["0"] * 4


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_multiprocessing_compute_the_same(method, tmp_path):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"the system has no {method}")
    script = tmp_path / "workers.py"
    body = """
if __name__ == "__main__":
    import multiprocessing
    here = [check(seed) for seed in range(4)]
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        there = pool.map_async(check, range(4)).get(60)
    assert [check(seed) for seed in range(4)] == here
    print("equal" if here == there else "different")
"""
    script.write_text(HEAD + body, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), method],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("equal", "", 0)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timer signals")
def test_an_interrupt_in_a_call_is_raised_after_it_and_leaves_all_sound():
    found = run("""
        first = check()
        weight = torch.nn.Parameter(W.clone())
        optimizer = torch.optim.Adam([weight], lr=1e-3)
        @torch.compile
        def step(x):
            optimizer.zero_grad()
            loss = ((x @ weight) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss
        x = given()
        initial = float(step(x))
        step(x)
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        interrupts = 0
        for number in range(12):
            signal.setitimer(signal.ITIMER_REAL, 0.003 + 0.0007 * number)
            try:
                while True:
                    step(x)
                    f(x)
            except KeyboardInterrupt:
                interrupts += 1
            assert check() == first
            assert np.isfinite(float(step(x)))
            assert np.isfinite(weight.detach().numpy()).all()
        last = [float(step(x)) for _ in range(5)]
        # How many steps were made depends on the machine: near the end losses go up and down.
        print(interrupts, max(last) < initial)
    """)
    assert found == ["12", "True"]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_process_ends_while_a_daemon_thread_is_inside_of_a_call(threads):
    found = run(f"""
        torch.set_num_threads({threads})
        x = given()
        f(x)
        started = threading.Event()
        def call():
            with torch.no_grad():
                while True:
                    f(x)
                    started.set()
        for _ in range(2):
            threading.Thread(target=call, daemon=True).start()
        started.wait()
        print("ends")
    """)
    assert found == ["ends"]


def test_several_threads_share_the_pool_and_compute_the_same_bits():
    found = run("""
        expected = [check(seed) for seed in range(3)]
        wrong = []
        def call(seed):
            for number in range(40):
                if number % 10 == 0:
                    torch.set_num_threads(1 + (seed + number // 10) % 4)
                if check(seed) != expected[seed]:
                    wrong.append(seed)
        threads = [threading.Thread(target=call, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(wrong)
    """)
    assert found == ["[]"]
