"""What `picograd bench cpu` computes: exact results, budgets, and picograd's own words."""

import numpy as np
import pytest

from picograd.study.benches.cpu import limits
from picograd.study.benches.cpu.in_numpy import FUNCTIONS, InNumpy, cross_entropy, gelu
from picograd.study.benches.cpu.in_torch_words import functions, in_picograd
from picograd.study.benches.cpu.numpy_gpt import backward, forward
from picograd.study.benches.cpu.prepared import LEARNING_RATE
from picograd.study.benches.cpu.rows import MEMORY, ROWS, neighbours, select
from picograd.study.benches.cpu.workloads import WORKLOADS, Arrays, Sizes

SMALL: dict[str, Sizes] = {
    "batched": (2, 3, 4, 5),
    "matvec": (7, 9),
    "vecmat": (7, 9),
    "chain": (33,),
    "MLP step": (4, 7, 6, 3),
    "GPT forward": (1, 8, 2, 5, 3, 11),
    "GPT step": (2, 8, 2, 5, 3, 11),
}


def sizes_of(workload: str) -> Sizes:
    return SMALL.get(workload, (5, 6, 7)[: len(WORKLOADS[workload].sizes)])


@pytest.mark.parametrize("name", WORKLOADS)
def test_numpy_and_picograd_are_right(name: str, rng: np.random.Generator) -> None:
    workload, sizes = WORKLOADS[name], sizes_of(name)
    operands = workload.make_operands(sizes, int(rng.integers(1 << 30)))
    assert all(one.dtype in (np.float32, np.int64) for one in operands)
    exact = workload.exactly(sizes, operands)
    for words in (InNumpy(), in_picograd()):
        one = words.prepare(name, sizes, operands)
        one.call()  # of a training step the second call is another one, until it is restarted
        one.restart()
        found = one.arrays(one.call())
        assert all(array.dtype != np.float64 or array.ndim == 0 for array in found)
        assert workload.share_of_budget(operands, exact, found) <= 1


@pytest.mark.parametrize("name", WORKLOADS)
def test_wrong_results_are_seen(name: str, rng: np.random.Generator) -> None:
    workload, sizes = WORKLOADS[name], sizes_of(name)
    operands = workload.make_operands(sizes, int(rng.integers(1 << 30)))
    exact = workload.exactly(sizes, operands)

    def share(found: Arrays) -> float:
        return workload.share_of_budget(operands, exact, found)

    assert share(exact) == 0
    for number, one in enumerate(exact):
        place = int(np.abs(one).argmax())
        for wrong in (1.02, np.nan):
            if one.dtype.kind != "f":
                wrong = 2.0
            other = np.array(one, np.float64)
            other.reshape(-1)[place] *= wrong
            other.reshape(-1)[place] += 1e-3
            assert share([*exact[:number], other, *exact[number + 1 :]]) > 1
    assert share([one[None] for one in exact]) > 1


def test_gradients_of_the_transformer_are_those_of_differences(rng: np.random.Generator) -> None:
    sizes = (2, 6, 2, 3, 2, 5)
    workload = WORKLOADS["GPT step"]
    operands = workload.make_operands(sizes, int(rng.integers(1 << 30)))
    letters, following, *small = operands
    # Far from the linear, so that no term is too small to be seen.
    parameters = [20 * one.astype(np.float64) for one in small]

    def loss() -> float:
        scores = forward(parameters, letters, 2).scores
        return float(cross_entropy(scores.reshape(-1, 5), following.reshape(-1))[0])

    found = forward(parameters, letters, 2)
    _, gradient = cross_entropy(found.scores.reshape(-1, 5), following.reshape(-1))
    gradients = backward(found, gradient.reshape(found.scores.shape))
    for parameter, slope in zip(parameters, gradients, strict=True):
        assert parameter.shape == slope.shape
        direction = rng.standard_normal(parameter.shape)
        parameter += 1e-5 * direction
        above = loss()
        parameter -= 2e-5 * direction
        below = loss()
        parameter += 1e-5 * direction
        difference = (above - below) / 2e-5
        assert abs(difference - (direction * slope).sum()) <= 1e-6 * (1 + abs(difference))


def test_steps_descend(rng: np.random.Generator) -> None:
    workload, sizes = WORKLOADS["MLP step"], (16, 7, 6, 3)
    operands = workload.make_operands(sizes, int(rng.integers(1 << 30)))
    one = InNumpy().prepare("MLP step", sizes, operands)
    losses = [float(one.arrays(one.call())[0]) for _ in range(50)]
    assert losses[-1] < losses[0] and 0 < LEARNING_RATE < 1


def test_gelu_is_the_tanh_form(rng: np.random.Generator) -> None:
    x = rng.standard_normal(50) * 4
    want = 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(gelu(x), want, rtol=1e-12, atol=1e-12)


def test_everybody_has_words_for_every_function() -> None:
    class Nothing:
        nn = None

    class Module:
        nn = Nothing()

    module = Module()
    module.nn.functional = None  # pyright: ignore[reportAttributeAccessIssue]
    assert {*functions(module), "cross entropy"} == set(FUNCTIONS)


def test_rows_are_found_by_name_and_have_neighbours() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert [row.name for row in select(["matmul 512 N"], ROWS)] == [
        "matmul 512 NN",
        "matmul 512 NT",
    ]
    assert select([], ROWS) == list(ROWS)
    (row,) = select(["MLP 128×512 512×10, gradient of W"], ROWS)
    assert row.sizes == (10, 512, 128) and row.flops() == 2 * 10 * 512 * 128
    around = {one.sizes for one in neighbours(row)}
    assert {(9, 512, 128), (11, 512, 128), (7, 512, 128), (10, 512, 96)} < around
    assert len(around) == 9
    # A transformer's width is a multiple of its heads.
    assert all(one.sizes[1:3] == MEMORY.sizes[1:3] for one in neighbours(MEMORY))


@pytest.mark.parametrize("threads", [1, 3])
def test_limits_compute(threads: int) -> None:
    for name, sizes in ((limits.FMA, [threads]), (limits.COPY, [1000, threads])):
        one = limits.LIMITS[name](sizes)
        one.call()
        assert one.arrays(None) == []
    assert limits.fma_flops([threads]) == threads * limits.fma_flops([1])
    assert 0 < limits.copied([1000, threads]) <= 1000


def test_a_copy_copies(rng: np.random.Generator) -> None:
    for stream in (False, True):
        source = rng.standard_normal(512).astype(np.float32)
        copy = limits.aligned(512)
        run, library = limits.copy_kernel(stream=stream)
        here = limits.aligned(512)
        here[:] = source
        run(512, here.ctypes.data, copy.ctypes.data)
        np.testing.assert_array_equal(copy, source)
        del library
