"""Mutants of what everything else is judged by: evaluators, error bounds, gradients, batching.

Validation cannot see an evaluator that is wrong before and after a pass alike. NumPy can, and so
can a device, whose code has another origin.
"""

from picograd.check.mutants.killers import SMALL_CPU, Differential, Modules, Orders, Samples
from picograd.check.mutants.mutant import Mutant
from picograd.check.mutants.pytest_files import Tests
from picograd.compiler.validation.fault import Fault
from picograd.dialects.dtypes import float32, int32

_SEMANTICS = "picograd.semantics"
_LOOPS = "outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops"
_BOUNDS = "tests/semantics/test_bounds.py"

OF_SEMANTICS = (
    Mutant(
        "sum_in_half_precision",
        f"{_SEMANTICS}.tensor:_reduce",
        "float32 sums are computed in float16, far beyond their budget",
        "reduce(x, axis=ints(op.axes), dtype=x.dtype)",
        'reduce(x.astype("e") if x.dtype == "f" else x, axis=ints(op.axes)).astype(x.dtype)',
        Samples(("torch.sum", "torch.mean")),
        Fault.VALUES,
        "torch.sum",
    ),
    Mutant(
        "evaluator_rounds_casts",
        f"{_SEMANTICS}.tensor:convert",
        "a float becomes the nearest integer instead of being cut off",
        "np.trunc(x.astype(np.float64))",
        "np.rint(x.astype(np.float64))",
        Samples(("Tensor.int", "Tensor.long")),
        Fault.VALUES,
        "Tensor.int",
    ),
    Mutant(
        "evaluator_takes_the_last",
        f"{_SEMANTICS}.tensor:_argreduce",
        "argmax takes the last of equal elements",
        "np.asarray(choose(operands[0], axis=int_value(op.axis)), index)",
        "np.asarray(operands[0].shape[int_value(op.axis)] - 1\n"
        "        - choose(np.flip(operands[0], int_value(op.axis)), int_value(op.axis)), index)",
        Differential(
            "cpu", Modules(80, ("argreduce", "compare", "cast"), (int32, float32), (3, 5))
        ),
        Fault.VALUES,
    ),
    Mutant(
        "evaluator_pads_low_and_high_alike",
        f"{_SEMANTICS}.sliding:convolve",
        "the padding in front of a convolution's input is the one behind it",
        "zip(ints(op.low), ints(op.high), strict=True)",
        "zip(ints(op.high), ints(op.low), strict=True)",
        Differential("cpu", Modules(80, ("convolution",), sizes=(5, 7, 3))),
        Fault.VALUES,
    ),
    Mutant(
        "evaluator_sorts_backwards",
        f"{_SEMANTICS}.ordering:argsort",
        "a descending sort reverses equal elements",
        "return x.shape[axis] - 1 - np.flip(backwards, axis)",
        'return np.flip(np.argsort(x, axis, kind="stable"), axis)',
        Samples(("torch.argsort", "torch.sort", "torch.topk")),
        Fault.VALUES,
    ),
    Mutant(
        "evaluator_scatters_once",
        f"{_SEMANTICS}.tensor:_scatter",
        "of several updates to one element only the last counts",
        "np.add.at(result, tuple(place), updates)",
        "result[tuple(place)] += updates",
        Samples(("torch.scatter_add", "Tensor.index_add")),
        Fault.VALUES,
    ),
    Mutant(
        "evaluator_forgets_the_start",
        f"{_SEMANTICS}.loop:Evaluator.reduce",
        "a reduction at loop level ignores the value that it starts from",
        "if op.inits:",
        "if op.inits and not op.outputs:",
        Orders("hoist_reduce", Modules(70, ("matmul", "reduce"), sizes=(7, 5, 8)), SMALL_CPU),
        Fault.VALUES,
        "hoist_reduce",
    ),
    Mutant(
        "key_of_the_random_bits",
        f"{_SEMANTICS}.philox:philox_4x32",
        "the second key word moves on by the first one's constant",
        "(k1 + round * _WEYL_1)",
        "(k1 + round * _WEYL_0)",
        Tests("tests/semantics/test_philox.py", "known_answers"),
        Fault.VALUES,
    ),
    Mutant(
        "loose_bound_of_sums",
        f"{_SEMANTICS}.bounds_others:sum_rounding",
        "the error bound of sums is a thousand times too wide: errors go unnoticed",
        "general = steps * total",
        "general = 10000 * steps * total",
        Tests(_BOUNDS, "off_by_1e_4 or bite"),
        Fault.VALUES,
    ),
    Mutant(
        "tight_bound_of_products",
        f"{_SEMANTICS}.bounds_elementwise:_mul_error",
        "the error bound of a product forgets the second factor's: right code is rejected",
        "a.magnitude * b.error + b.magnitude * a.error",
        "b.magnitude * a.error",
        Tests(_BOUNDS, "move_results or honest"),
        Fault.VALUES,
    ),
    Mutant(
        "tight_bound_of_matmuls",
        f"{_SEMANTICS}.bounds_others:matmul",
        "the error bound of a matmul knows of one rounding only: right code is rejected",
        "count + 1, dtype.name, unit_roundoff(dtype)",
        "1, dtype.name, 0.05 * unit_roundoff(dtype)",
        Differential("cpu", Modules(40, ("matmul", "smooth"), (float32,), (7, 9, 11))),
        Fault.VALUES,
    ),
    Mutant(
        "bounds_blind_to_nan",
        f"{_SEMANTICS}.bounds:_share_of_budget",
        "a NaN in place of a number is within every budget",
        "np.where(np.isnan(share), np.inf, share)",
        "np.nan_to_num(share)",
        Tests(_BOUNDS, "nan_is_expected"),
        Fault.VALUES,
    ),
    Mutant(
        "sign_of_a_gradient",
        f"{_SEMANTICS}.gradients:_cos",
        "the derivative of cos is sin",
        'ops.neg(ops.mul(grad, ops.unary("sin", call.operand(0))))',
        'ops.mul(grad, ops.unary("sin", call.operand(0)))',
        Samples(("torch.sin", "torch.cos")),
        Fault.VALUES,
        "torch.cos",
    ),
    Mutant(
        "gradient_of_a_broadcast",
        f"{_SEMANTICS}.gradients:_broadcast",
        "the gradient of a repeated axis is its first element, not the sum",
        'ops.reduce("add", grad, [*range(added), *repeated])',
        'ops.reduce("max", grad, [*range(added), *repeated])',
        Samples(("torch.add", "torch.broadcast_to", "Tensor.expand")),
        Fault.VALUES,
    ),
    Mutant(
        "batch_axis_reduced",
        f"{_SEMANTICS}.batching:_axes",
        "vmap of a reduction reduces one axis too far to the left",
        '[axis + 1 for axis in ints(call.properties["axes"])]',
        '[axis for axis in ints(call.properties["axes"])]',
        Tests("tests/semantics/test_batching.py"),
        Fault.VALUES,
    ),
)
