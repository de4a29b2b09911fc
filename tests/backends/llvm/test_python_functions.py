"""What machine code knows by its address is made once."""

import threading

from picograd.backends.llvm.python_functions import once


def test_threads_that_ask_first_get_the_same() -> None:
    """One that was made for a thread alone would be gone while machine code still uses it."""
    start, made = threading.Barrier(8), list[object]()

    @once
    def get() -> object:
        made.append(object())
        threading.Event().wait(0.05)
        return made[-1]

    found: list[object] = []

    def ask() -> None:
        start.wait(60)
        found.append(get())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and found == made * 8 and get() is made[0]
