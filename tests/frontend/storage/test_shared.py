"""Tensors and arrays over one memory: what is written to either is seen through both."""

import copy
import gc
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd.backends.runtime import device as find_device
from picograd.errors import DTypeError, GradientError, OperandError, ShapeError, TraceError
from picograd.frontend.storage.cells import Cell


def address(array: np.ndarray[Any, Any]) -> int:
    return array.__array_interface__["data"][0]


def ours(x: torch.Tensor) -> int:
    """Where the tensor's first element lies."""
    cell: Any = x.cell
    return cell.value.address + x.storage_offset() * x.element_size()


@pytest.fixture(params=["cpu", "reference"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    torch.set_default_device(request.param)
    yield request.param
    torch.set_default_device(None)


WAYS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "itself": lambda x: x,
    "transposed": lambda x: x.transpose(0, 2),
    "row": lambda x: x[1],
    "column": lambda x: x[:, 2],
    "steps": lambda x: x[::2, 1:, ::3],
    "last": lambda x: x[-1, -1, 1:],
    "expanded": lambda x: x[:, :1].expand(4, 5, 6),
    "reshaped": lambda x: x.reshape(20, 6)[3:, ::2],
    "of a view": lambda x: x.permute(2, 0, 1)[1:4].unsqueeze(1),
    "diagonal": lambda x: x.diagonal(dim1=1, dim2=2),
    "one": lambda x: x[1, 2, 3],
    "nothing": lambda x: x[:, 5:],
}


@pytest.mark.parametrize("way", WAYS)
def test_an_array_shows_the_memory_of_any_view(
    device: str, way: str, rng: np.random.Generator
) -> None:
    numbers = rng.standard_normal((4, 5, 6)).astype(np.float32)
    x = torch.tensor(numbers)
    view = WAYS[way](x)
    array = view.numpy()
    np.testing.assert_array_equal(array, view.tolist() if array.size else array)
    assert array.shape == view.shape
    if not array.size:
        return
    assert array.strides == tuple(4 * stride for stride in view.stride())
    if device == "cpu":
        assert address(array) == ours(view)
    x.mul_(-2)
    np.testing.assert_array_equal(array, WAYS[way](torch.tensor(-2 * numbers)).tolist())
    array[...] = 7
    assert (view == 7).all()
    assert (x == 7).sum() == np.unique(_elements(array)).size


def _elements(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The addresses of all elements."""
    places = np.zeros(array.shape, np.int64)
    for axis, stride in enumerate(array.strides):
        along = [1] * array.ndim
        along[axis] = array.shape[axis]
        places += stride * np.arange(array.shape[axis]).reshape(along)
    return places


@pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16", "int64", "bool"])
def test_all_dtypes_are_shared(device: str, name: str, rng: np.random.Generator) -> None:
    x = torch.tensor(rng.integers(0, 2, (3, 4))).to(getattr(torch, name))
    array = x.numpy()
    assert str(array.dtype) == name
    array[1, 1:3] = 1
    assert x[1].tolist()[1:3] == [1, 1]
    back = torch.from_numpy(array)
    assert back.dtype is x.dtype
    back[0] = 1
    assert np.all(array[0] == 1) and x[0].sum() == 4


def test_every_way_to_write_is_seen_through_the_array(
    device: str, rng: np.random.Generator
) -> None:
    def numbers() -> np.ndarray[Any, Any]:
        return rng.standard_normal((3, 4)).astype(np.float32)

    x, y = torch.tensor(numbers()), torch.tensor(numbers())
    array = x.numpy()
    writes: list[Callable[[], Any]] = [
        lambda: x.add_(y),
        lambda: x.mul_(2.0),
        lambda: x.copy_(y),
        lambda: x.zero_(),
        lambda: x.fill_(3),
        lambda: x.exp_(),
        lambda: x.T[1:3].sub_(1),
        lambda: x.__setitem__((slice(1, 3), 2), 5.0),
        lambda: x.__setitem__(x > 2, 0.5),
        lambda: x.normal_(),
        lambda: x.clamp_(-0.5, 0.5),
        lambda: x.masked_fill_(y > 0, 4.0),
        lambda: x.index_add_(0, torch.tensor([0, 2]), y[:2]),
        lambda: x.detach().add_(1),
        lambda: torch.compile(lambda: x.mul_(3).add_(y))(),
        lambda: torch.compile(lambda given: given.sub_(y))(x),
    ]
    for write in writes:
        before, version = array.copy(), x._version
        write()
        assert x._version > version
        assert not np.array_equal(array, before)
        np.testing.assert_array_equal(array, x.tolist())
        assert x.numpy() is not array and address(x.numpy()) == address(array)


def test_every_way_to_read_sees_what_the_array_was_given(
    device: str, rng: np.random.Generator
) -> None:
    x = torch.tensor(rng.standard_normal((3, 4)).astype(np.float32))
    turned, compiled = x.T, torch.compile(lambda given: given + x.T)
    array = x.numpy()
    reads: list[Callable[[], torch.Tensor]] = [
        lambda: x + 0,
        lambda: turned + 0,
        lambda: turned.contiguous(),
        lambda: compiled(torch.zeros(4, 3)),
        lambda: torch.stack([turned, turned])[0],
        lambda: torch.func.vmap(lambda row: row * 1)(x),
        lambda: x.clone(),
        lambda: torch.tensor(x.tolist()),
    ]
    for read in reads:
        for _ in range(3):
            array[...] = rng.standard_normal((3, 4))
            found = read()
            np.testing.assert_array_equal(found.reshape(4, 3) if found.shape == (4, 3) else found.T,
                                          array.T)  # fmt: skip


def test_copies_are_copies(device: str, rng: np.random.Generator) -> None:
    x = torch.tensor(rng.standard_normal((3, 4)).astype(np.float32))
    kept = x.clone(), copy.deepcopy(x), torch.zeros(3, 4).copy_(x), torch.tensor(x.numpy())
    array = x.numpy()
    later = (
        x.clone(),
        copy.deepcopy(x),
        torch.zeros(3, 4).copy_(x),
        torch.tensor(array),
        x.T.clone(),
    )
    numbers = array.copy()
    array[...] = 0
    x.sub_(1)
    for other in (*kept, *later[:-1], later[-1].T):
        np.testing.assert_array_equal(other.numpy(), numbers)
        other.numpy()[...] = 2
        assert not (x == 2).any()
    assert np.array(x.tolist()).sum() == -12


def test_the_array_keeps_the_memory(rng: np.random.Generator) -> None:
    numbers = rng.standard_normal((50, 70)).astype(np.float32)
    arrays = [torch.tensor(numbers + n).T.numpy()[1:] for n in range(5)]
    results = [(torch.tensor(numbers) * n).numpy() for n in range(5)]
    gc.collect()
    for _ in range(50):
        held = [torch.full((50, 70), 8.0) + n for n in range(7)]
        del held
    for n, array in enumerate(arrays):
        np.testing.assert_array_equal(array, (numbers + np.float32(n)).T[1:])
    for n, array in enumerate(results):
        np.testing.assert_array_equal(array, numbers * np.float32(n))


def test_memory_goes_back_when_tensor_and_arrays_are_gone() -> None:
    x = torch.rand(30, 30)
    buffer = weakref.ref(x.cell.value)
    array = x.numpy()[3:]
    part = array[:, 2:]
    del x, array
    gc.collect()
    assert buffer() is not None and part.shape == (27, 28)
    del part
    assert buffer() is None


def test_a_cell_is_like_others_once_no_array_shares_it(rng: np.random.Generator) -> None:
    torch.set_default_device(None)
    x = torch.tensor(rng.standard_normal((3, 4)).astype(np.float32))
    array, place = x.numpy(), ours(x)
    again = x.T.numpy()
    assert type(x.cell) is not Cell
    del array
    assert type(x.cell) is not Cell
    x.add_(1)
    assert ours(x) == place and again[0, 0] == x[0, 0].item()
    del again
    assert type(x.cell) is Cell
    assert ours(x) == place
    before = x.tolist()
    x.add_(1)
    np.testing.assert_allclose(x.tolist(), np.array(before) + 1, rtol=1e-6)


def test_what_is_saved_for_backward_is_watched_as_in_pytorch(rng: np.random.Generator) -> None:
    numbers = rng.standard_normal(5).astype(np.float32)
    w = torch.tensor(numbers, requires_grad=True)
    loss = (w * w).sum()
    array = w.detach().numpy()  # what the tape holds is not lent
    array[...] = 0
    loss.backward()
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), 2 * numbers, rtol=1e-6)
    loss = (w * w).sum()
    with torch.no_grad():
        w.add_(1)
    with pytest.raises(GradientError, match="changed by an operation in place"):
        loss.backward()
    held = (w * 3).pow_(2)  # needs the base that it writes over
    shown = held.detach().numpy()
    held.sum().backward()
    assert shown.shape == (5,)


def test_gradients_are_shared_as_well(rng: np.random.Generator) -> None:
    a = torch.tensor(rng.standard_normal(4).astype(np.float32), requires_grad=True)
    b = torch.tensor(rng.standard_normal(4).astype(np.float32), requires_grad=True)
    (a + b).sum().backward()  # one gradient for both
    assert a.grad is not None and b.grad is not None
    array = a.grad.numpy()
    array[...] = 5
    assert b.grad.tolist() == [1] * 4
    (a * 2).sum().backward()
    assert array.tolist() == [7] * 4 and b.grad.tolist() == [1] * 4


def test_a_views_node_stays_while_an_array_shares_it(rng: np.random.Generator) -> None:
    w = torch.tensor(rng.standard_normal((2, 3)).astype(np.float32), requires_grad=True)
    array, turned = w.detach().numpy(), w.T
    node = turned.grad_fn
    assert node is not None and turned.grad_fn is node
    (turned * 2).sum().backward()
    assert turned.grad_fn is node and w.grad is not None and w.grad.tolist() == [[2.0] * 3] * 2
    assert array.shape == (2, 3)


@pytest.mark.parametrize("alone", [False, True])
def test_compiled_steps_update_shared_parameters(alone: bool, rng: np.random.Generator) -> None:
    torch.manual_seed(1)
    models = [torch.nn.Linear(5, 3) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    x = torch.tensor(rng.standard_normal((7, 5)).astype(np.float32))

    def stepper(model: torch.nn.Linear) -> Callable[[], torch.Tensor]:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

        @torch.compile
        def step() -> torch.Tensor:
            optimizer.zero_grad()
            loss = (model(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        return step

    shared, plain = (stepper(model) for model in models)
    weight = models[0].weight.detach().numpy()
    assert models[0].bias is not None
    bias = None if alone else models[0].bias.detach().numpy()
    for _ in range(4):
        assert shared().item() == plain().item()
        np.testing.assert_array_equal(weight, models[1].weight.tolist())
        assert address(models[0].weight.detach().numpy()) == address(weight)
    weight[...] = 0
    with torch.no_grad():
        models[1].weight.zero_()
    assert shared().item() == plain().item()
    del weight, bias
    assert shared().item() == plain().item()
    assert type(models[0].weight.cell) is Cell


# From arrays


def _at_odd_addresses(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    flat = np.frombuffer(bytearray(b"\0" + numbers.tobytes()), np.uint8)[1:]
    return flat.view(numbers.dtype).reshape(numbers.shape)


LAYOUTS: dict[str, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]] = {
    "dense": lambda a: a,
    "turned": lambda a: a.T,
    "permuted": lambda a: a.transpose(1, 2, 0),
    "with gaps": lambda a: a[1:, ::2, 1:4],
    "column": lambda a: a[:, 1],
    "behind the start": lambda a: a.reshape(-1)[3:],
    "at odd addresses": _at_odd_addresses,
    "one element": lambda a: a[1, 2, 3:4].reshape(()),
    "nothing": lambda a: a[:0],
}
READ_WHERE_THEY_LIE = {"dense", "turned", "permuted", "behind the start", "one element"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_from_numpy_shares_the_memory_of_any_array(
    device: str, layout: str, rng: np.random.Generator
) -> None:
    array = LAYOUTS[layout](rng.standard_normal((3, 4, 5)).astype(np.float32))
    x = torch.from_numpy(array)
    np.testing.assert_array_equal(x.tolist(), array.tolist())
    if device == "cpu" and layout in READ_WHERE_THEY_LIE:
        assert ours(x) == address(array)
        assert tuple(4 * stride for stride in x.stride()) == array.strides
    array[...] = rng.standard_normal(array.shape)
    double = torch.compile(lambda given: given * 2)
    for found in (x + 0, x.clone(), double(x) / 2):
        np.testing.assert_array_equal(found.tolist(), array.tolist())
    before = array.copy()
    x.mul_(2)
    np.testing.assert_array_equal(array, before * 2)
    torch.compile(lambda given: given.sub_(1))(x)
    np.testing.assert_array_equal(array, before * 2 - np.float32(1))
    if array.ndim == 3 and array.size:
        x[1, 0] = 9
        assert np.all(array[1, 0] == 9)
    assert address(x.numpy()) == address(array) or not array.size
    x.numpy()[...] = 3
    assert np.all(array == 3)
    assert address(torch.as_tensor(array).numpy()) == address(array) or not array.size


def test_what_lies_between_the_elements_is_left_alone() -> None:
    records = np.zeros(5, [("number", np.float32), ("flag", np.int32)])
    records["flag"] = 0x7FA00001  # a signaling NaN, were it a float
    x = torch.from_numpy(records["number"])
    x.add_(2)
    assert records["flag"].tolist() == [0x7FA00001] * 5
    assert records["number"].tolist() == [2.0] * 5


def test_memory_that_two_tensors_share(rng: np.random.Generator) -> None:
    array = rng.standard_normal(12).astype(np.float32)
    x, y = torch.from_numpy(array[:8]), torch.from_numpy(array[4:])

    def update() -> None:
        x.mul_(2)
        y.add_(1)

    expected = array.copy()
    expected[:8] *= 2
    expected[4:] += 1
    update()
    np.testing.assert_array_equal(array, expected)
    torch.compile(lambda given: given.add_(x * 0 + 1))(y)
    expected[4:] += 1
    np.testing.assert_array_equal(array, expected)


def test_a_trace_takes_an_array_as_a_constant() -> None:
    array = np.ones(3, np.float32)
    compiled = torch.compile(lambda x: x + torch.from_numpy(array) + torch.as_tensor(array))
    assert compiled(torch.zeros(3)).tolist() == [2.0] * 3
    with pytest.raises(TraceError, match=r"numpy\(\)"):
        torch.compile(lambda x: x.numpy())(torch.zeros(3))


def test_a_read_only_array_is_never_written(device: str) -> None:
    array = np.arange(4.0)
    array.flags.writeable = False
    with pytest.warns(UserWarning, match="read-only"):
        x = torch.from_numpy(array)
    assert not x.numpy().flags.writeable
    x.add_(1)
    assert array.tolist() == [0, 1, 2, 3] and x.tolist() == [1, 2, 3, 4]
    x.numpy()[0] = 5
    assert x[0] == 5
    with pytest.warns(UserWarning, match="read-only"):
        x = torch.from_numpy(np.broadcast_to(np.float32(2), (3, 2)))
    x[0] = 1
    assert x.tolist() == [[1, 1], [2, 2], [2, 2]]


def test_arrays_that_are_refused(rng: np.random.Generator) -> None:
    array = rng.standard_normal((3, 4))
    for turned in (array[::-1], array[:, ::-2]):
        with pytest.raises(ShapeError, match="negative stride") as caught:
            torch.from_numpy(turned)
        assert isinstance(caught.value, ValueError)  # as in PyTorch
        for make in (torch.tensor, torch.as_tensor):
            np.testing.assert_array_equal(make(turned).numpy(), turned)
    with pytest.raises(DTypeError, match="stands for"):
        torch.from_numpy(array.astype(array.dtype.newbyteorder()))
    for wrong in ([1.0, 2.0], 3, None):
        with pytest.raises(OperandError, match="takes an array") as error:
            torch.from_numpy(wrong)  # pyright: ignore[reportArgumentType]
        assert isinstance(error.value, TypeError)
    with pytest.raises(GradientError, match="requires a gradient"):
        torch.ones(2, requires_grad=True).numpy()


def test_numpy_asks_for_arrays_by_its_own_rules(rng: np.random.Generator) -> None:
    x = torch.tensor(rng.standard_normal((3, 4)).astype(np.float32))
    place = address(x.numpy())
    assert address(np.asarray(x)) == place
    assert address(np.asarray(x, np.float32)) == place
    assert address(np.asarray(x, copy=False)) == place
    assert address(np.array(x)) != place
    assert np.asarray(x, np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, np.float64, copy=False)


def test_as_tensor_copies_what_it_converts() -> None:
    array = np.arange(3)
    assert torch.as_tensor(array, dtype=torch.float32).dtype is torch.float32
    x = torch.as_tensor(array, dtype=torch.int64)
    x.add_(1)
    assert array.tolist() == [1, 2, 3]


def test_storage_of_another_dtype_leaves_the_array() -> None:
    model = torch.nn.Linear(2, 2)
    array = model.weight.detach().numpy()
    kept = array.copy()
    model.double()
    with torch.no_grad():
        model.weight.zero_()
    assert model.weight.dtype is torch.float64 and not model.weight.any()
    np.testing.assert_array_equal(array, kept)


def test_compiled_calls_read_shared_memory_where_it_lies(
    device: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """Whether the tensors are all arguments, or some are captured."""
    array = rng.normal(size=(3, 4)).astype(np.float32)
    x, y = torch.from_numpy(array), torch.tensor(array)
    seen = y.numpy()
    sums = torch.compile(lambda a, b: (a + b).sum(0)), torch.compile(lambda a: (a + y).sum(0))
    wanted = (array + seen).sum(0)
    copied = list[object]()
    for turn in range(3):
        if turn == 1:  # the first call also traces and compiles
            kind = type(find_device(device))
            monkeypatch.setattr(kind, "overwrite", lambda *values: copied.append(values))
        for found in (sums[0](x, y), sums[1](x)):
            np.testing.assert_allclose(found.tolist(), wanted, rtol=1e-6)
    assert copied == []


def test_checked_calls_read_borrowed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICOGRAD_SANITIZE", "1")
    array = np.arange(13, dtype=np.float32)[1:]
    x = torch.from_numpy(array)
    torch.compile(lambda given: given.mul_(2))(x)
    assert array.tolist() == [2.0 * n for n in range(1, 13)]


class _Pair:
    """A tensor, or an array that shows one, and what NumPy alone would make of it."""

    def __init__(self, real: Any, model: np.ndarray[Any, Any]) -> None:
        self.real, self.model = real, model


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_reads_and_writes(seed: int, device: str) -> None:
    """Random programs on tensors and arrays, beside the same on arrays alone."""
    rng = np.random.default_rng(seed)
    compiled = torch.compile(lambda given: given.mul_(0.5).add_(1))
    tensors: list[_Pair] = []
    arrays: list[_Pair] = []
    for _ in range(60):
        choice = rng.integers(0, 12)
        if len(tensors) < 2 or choice == 0:
            start = rng.standard_normal((3, 4)).astype(np.float32)
            if rng.integers(0, 2):
                tensors.append(_Pair(torch.tensor(start), start.copy()))
            else:
                tensors.append(_Pair(torch.from_numpy(start), start_model := start.copy()))
                arrays.append(_Pair(start, start_model))
            continue
        one = tensors[rng.integers(0, len(tensors))]
        other = tensors[rng.integers(0, len(tensors))]
        number = float(rng.integers(1, 4))
        if choice == 1:
            arrays.append(_Pair(one.real.numpy(), one.model))
        elif choice == 2:
            tensors.append(_Pair(one.real.T, one.model.T))
        elif choice == 3 and one.model.shape[0] > 1:
            tensors.append(_Pair(one.real[1:], one.model[1:]))
        elif choice == 4:
            tensors.append(_Pair(one.real.clone(), one.model.copy()))
        elif choice == 5:
            one.real.mul_(number / 2)
            one.model *= np.float32(number / 2)
        elif choice == 6 and one.model.shape == other.model.shape:
            one.real.copy_(other.real)
            one.model[...] = other.model.copy()
        elif choice == 7:
            one.real[0] = number
            one.model[0] = number
        elif choice == 8 and arrays:
            array = arrays[rng.integers(0, len(arrays))]
            array.real[-1] = number
            array.model[-1] = number
        elif choice == 9:
            compiled(one.real)
            one.model[...] = one.model * np.float32(0.5) + np.float32(1)
        elif choice == 10 and arrays:
            arrays.pop(rng.integers(0, len(arrays)))
        elif choice == 11 and len(tensors) > 4:
            tensors.pop(rng.integers(0, len(tensors)))
        for pair in tensors:
            np.testing.assert_array_equal((pair.real * 1).tolist(), pair.model.tolist())
        for pair in arrays:
            np.testing.assert_array_equal(pair.real, pair.model)


def test_no_warning_without_a_reason() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.as_tensor(np.ones(3)).numpy()[...] = 2
