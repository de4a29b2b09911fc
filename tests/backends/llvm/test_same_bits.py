"""What the passes make of real work gives the same bits at any number of threads."""

import numpy as np
import pytest
from xdsl.parser import Parser

from picograd.backends.runtime import device
from picograd.backends.thread_count import get_num_threads, set_num_threads
from picograd.compiler.executable import compile_module
from picograd.dialects import new_context
from tests.programs import softmax

PRODUCT = """
func.func @main(%x: tensor<300x257xf32>, %w: tensor<257x190xf32>, %b: tensor<190xf32>)
    -> tensor<300x190xf32> {
  %h = pico.matmul %x, %w : tensor<300x257xf32>, tensor<257x190xf32> -> tensor<300x190xf32>
  %r = pico.broadcast %b to [300, 190] : tensor<190xf32> -> tensor<300x190xf32>
  %s = pico.binary add %h, %r : tensor<300x190xf32>
  %t = pico.unary tanh %s : tensor<300x190xf32>
  func.return %t : tensor<300x190xf32>
}"""

CASES = {
    "product": (
        PRODUCT,
        [(300, 257), (257, 190), (190,)],
        lambda x, w, b: np.tanh(x @ w + b),
    ),
    "softmax": (
        softmax(700, 203),
        [(700, 203)],
        lambda x: (
            np.exp(x - x.max(1, keepdims=True))
            / np.exp(x - x.max(1, keepdims=True)).sum(1, keepdims=True)
        ),
    ),
}


@pytest.fixture
def threads():
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)


@pytest.mark.parametrize("name", CASES)
def test_threads_share_the_work_and_do_not_change_it(name, threads, rng):
    text, shapes, exact = CASES[name]
    executable = compile_module(Parser(new_context(), text).parse_module(), "cpu")
    assert "picograd_parallel" in executable.program.texts["ll"]
    cpu = device("cpu")
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    inputs = [cpu.upload(array) for array in arrays]
    found = set()
    for count in (1, 2, 3, 4, 7):
        threads(count)
        for _ in range(3):
            found.add(cpu.download(executable.run(inputs)[0]).tobytes())
    assert len(found) == 1
    wanted = exact(*(array.astype(np.float64) for array in arrays))
    result = np.frombuffer(found.pop(), np.float32).reshape(wanted.shape)
    np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-5)
