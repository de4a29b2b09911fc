"""Every public function has a row, and every function enough samples of enough kinds."""

import inspect
from collections.abc import Iterator

import pytest

import picograd
from picograd.check.functions import FAMILIES, FUNCTIONS
from picograd.check.functions.cases import LEAST_CASES, completed
from picograd.check.functions.running import seed_of
from picograd.check.functions.table import Case, Function, View, base_of
from picograd.study.documentation.function_docs import full_name, grouped

# What has no row, and why.
WITHOUT_A_ROW = {
    "it makes random numbers; tests/frontend/functions/test_random.py": (
        "torch.rand torch.rand_like torch.randint torch.randn torch.randn_like torch.manual_seed "
        "torch.bernoulli torch.multinomial torch.randperm Tensor.uniform_ Tensor.normal_ "
        "Tensor.bernoulli_ Tensor.exponential_ torch.dropout torch.alpha_dropout "
        "F.gumbel_softmax F.alpha_dropout F.dropout1d F.dropout2d"
    ),
    "it makes tensors of data, as every sample does": (
        "torch.tensor torch.as_tensor torch.from_numpy"
    ),
    "its elements are whatever they are": "torch.empty torch.empty_like Tensor.new_empty",
    "it gives Python values; tests/frontend": (
        "torch.allclose torch.equal torch.is_tensor torch.numel torch.finfo torch.iinfo "
        "torch.promote_types torch.result_type Tensor.allclose Tensor.equal Tensor.numel "
        "Tensor.dim Tensor.ndimension Tensor.nelement Tensor.element_size Tensor.is_contiguous "
        "Tensor.is_floating_point Tensor.item Tensor.numpy Tensor.size Tensor.storage_offset "
        "Tensor.stride Tensor.tolist"
    ),
    "another row runs it: F.embedding, F.gelu, Tensor.to, torch.linalg.norm": (
        "torch.concat torch.concatenate Tensor.type torch.embedding Tensor.gelu "
        "Tensor.matrix_norm Tensor.vector_norm"
    ),
    "it is a setting; tests/frontend": (
        "torch.compile torch.default_device torch.set_default_device torch.get_mode torch.set_mode "
        "torch.is_grad_enabled torch.explain torch.name torch.pipeline torch.initial_seed "
        "torch.get_default_dtype torch.set_default_dtype torch.set_float32_matmul_precision "
        "torch.use_deterministic_algorithms torch.get_num_threads torch.set_num_threads "
        "torch.empty_cache"
    ),
    "it reads or writes files": "torch.load torch.save",
    "it drives gradients; tests/frontend/autodiff/test_autograd.py": (
        "Tensor.backward Tensor.register_hook Tensor.requires_grad_ Tensor.retain_grad "
        "Tensor.detach_"
    ),
    "it moves a tensor to another device; tests/frontend/test_devices.py": "Tensor.cpu",
    "it needs sizes that only data tells, and says so; tests/frontend/methods/test_indexing.py": (
        "torch.masked_select torch.nonzero Tensor.masked_select Tensor.nonzero"
    ),
    "it is the tensor's own machinery, not PyTorch's interface": (
        "Tensor.accumulate_grad Tensor.builder Tensor.download Tensor.is_same_view "
        "Tensor.known_node Tensor.known_value Tensor.read Tensor.remember_node Tensor.reshaped "
        "Tensor.result_class Tensor.show_storage Tensor.snapshot Tensor.with_views Tensor.wrap "
        "Tensor.write_ Tensor.check_in_place"
    ),
}
REASONS = {name: why for why, names in WITHOUT_A_ROW.items() for name in names.split()}

# By the name that the rows of a function share.
# Their own tests make mistakes, or there is none to make.
WITHOUT_MISTAKES = [
    "T",
    "MultiheadAttention",
    "nan_to_num",
    "kron",
]
# The size of a new tensor is an option; the others meet sizes of 1 and more only.
WITHOUT_EMPTY = [
    "new_zeros",
    "new_ones",
    "new_full",
    "pixel_shuffle",
    "pixel_unshuffle",
    "flipud",
    "tile",
    "movedim",
    "swapaxes",
    "swapdims",
    "unflatten",
    "diag",
    "take_along_dim",
    "addmm",
    "tensordot",
    "einsum",
    "linalg.norm",
    "instance_norm",
    "batch_norm",
    "half",
    "bfloat16",
    "char",
    "short",
    "byte",
    "kron",
    "dist",
    "cdist",
    "inner",
    "baddbmm",
    "MultiheadAttention",
]


# The kinds of cases that a family has somewhere, beside those that every family has.
EVERY_FAMILY = ("permuted view", "empty")
KINDS = {
    "Element by element": "rank 0, expanded view, sliced view, ties, NaN and infinity, overflow",
    "Two operands": "rank 0, broadcast, expanded view, ties, NaN and infinity, overflow",
    "Logarithms, rounding, bits": "rank 0, broadcast, expanded view, NaN and infinity, overflow",
    "Reductions": "rank 0, expanded view, sliced view, ties, NaN and infinity, int",
    "Scans and sorts": "rank 0, expanded view, ties, NaN and infinity, int",
    "Statistics and other forms": "rank 0, broadcast, expanded view, ties, NaN and infinity",
    "Shapes and views": "rank 0, expanded view, sliced view, NaN and infinity, int",
    "Elements in other places": "rank 0, expanded view, sliced view, NaN and infinity, int",
    "Joins, choices, products": "rank 0, broadcast, expanded view, NaN and infinity",
    "Indexing": "expanded view, sliced view",
    "Picking by index": "rank 0, broadcast, expanded view, sliced view, NaN and infinity",
    "Writing by index": "broadcast, expanded view, sliced view, int",
    "Products of matrices, norms": "sliced view, int",
    "Creation and conversion": "rank 0, expanded view",
    "Activations": "rank 0, expanded view, sliced view, NaN and infinity",
    "Losses": "rank 0, sliced view",
    "In place": "rank 0, expanded view, ties, NaN and infinity, overflow",
}


def public_functions() -> Iterator[str]:
    for name in picograd.__all__:
        value = getattr(picograd, name)
        if callable(value) and not inspect.isclass(value):
            yield f"torch.{name}"
    for name in picograd.nn.functional.__all__:
        yield f"F.{name}"
    for name, value in inspect.getmembers(picograd.Tensor):
        if not name.startswith("_") and callable(value):
            yield f"Tensor.{name}"


def covered_names() -> set[str]:
    names = {name for row in FUNCTIONS for name in (full_name(row.name), *row.also)}
    torch = {name.removeprefix("torch.") for name in names if name.startswith("torch.")}
    methods = {name.removeprefix("Tensor.") for name in names if name.startswith("Tensor.")}
    # A function and the method of its name are one, and so is the form in place, which
    # tests/frontend/methods/test_in_place.py holds against the method.
    return names | {f"torch.{name}" for name in methods} | {f"Tensor.{name}" for name in torch}


def test_every_public_function_has_a_row_or_a_reason() -> None:
    covered = covered_names()

    def has_row(name: str) -> bool:
        library, _, own = name.partition(".")
        if library == "torch" and {f"F.{own}", f"torch.func.{own}"} & covered:
            return True  # one function under two names
        in_place = name.startswith("Tensor.") and name.endswith("_")
        return name in covered or (in_place and name.removesuffix("_") in covered)

    missing = [name for name in public_functions() if name not in REASONS and not has_row(name)]
    assert not missing, f"give these a row in picograd/check/functions: {' '.join(missing)}"


def test_reasons_are_needed() -> None:
    named = {full_name(row.name) for row in FUNCTIONS}
    assert not named & set(REASONS)


def kinds_of(case: Case) -> str:
    """The label, and what the inputs are."""
    views = {f"{given.kind} view" for given in case.inputs if isinstance(given, View)}
    empty = {"empty"} if any(base_of(given).size == 0 for given in case.inputs) else set[str]()
    return " ".join([case.label, *views, *empty])


@pytest.mark.parametrize("family", FAMILIES)
def test_families_have_all_kinds_of_cases(family: str) -> None:
    labels = [kinds_of(case) for case in cases_of(list(FAMILIES[family]))]
    wanted = [*EVERY_FAMILY, *KINDS.get(family, EVERY_FAMILY[0]).split(", ")]
    missing = [kind for kind in wanted if not any(kind in label for label in labels)]
    assert not missing, f"no case of the kind: {', '.join(missing)}"


def test_names_are_different() -> None:
    names = [row.name for row in FUNCTIONS]
    assert len(set(names)) == len(names)


def cases_of(rows: list[Function]) -> list[Case]:
    return [case for row in rows for case in completed(row.cases, seed_of(row))]


GROUPS = grouped(FUNCTIONS)


@pytest.mark.parametrize("name", GROUPS)
def test_samples_suffice(name: str) -> None:
    """Ten cases, a mistake, different labels; an empty tensor and a view, where the function takes
    tensors that have elements to be laid out."""
    rows = GROUPS[name]
    cases = cases_of(rows)
    assert len(cases) >= LEAST_CASES, f"{len(cases)} cases"
    for row in rows:
        labels = [case.label for case in cases_of([row])]
        assert len(set(labels)) == len(labels), f"{row.name}: labels are repeated"
    assert name in WITHOUT_MISTAKES or any(row.errors for row in rows), "no error sample"
    inputs = [given for case in cases for given in case.inputs]
    if inputs:
        assert any(isinstance(given, View) for given in inputs), "no view among the inputs"
        empty = any(base_of(given).size == 0 for given in inputs)
        assert empty or name in WITHOUT_EMPTY, "no empty tensor among the inputs"
