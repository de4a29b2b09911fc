"""Mutants of the passes over tensors: rewrite rules, cse, dce, legalize_types, differentiate."""

from picograd.check.generation.sketch import DTYPES
from picograd.check.mutants.killers import NO_DOUBLES, SMALL_CPU, Modules, Orders, Validation
from picograd.check.mutants.mutant import Mutant
from picograd.check.mutants.pytest_files import Tests
from picograd.compiler.validation.fault import Fault
from picograd.dialects.dtypes import DType, float32, int8, int16, int32, uint8

_RULES = "picograd.passes.rules"
_SQUARE = (3, 3, 3, 1)
"""Sizes so alike that a mistaken axis still gives a shape that fits."""


_WEIGHTS = Modules(60, ("weights", "weights", "binary"), NO_DOUBLES, (7, 5, 3))


def _simplified(
    *kinds: str,
    sizes: tuple[int, ...] = _SQUARE,
    dtypes: tuple[DType, ...] = DTYPES,
    count: int = 150,
) -> Validation:
    return Validation("canonicalize", Modules(count, kinds, dtypes, sizes))


OF_TENSORS = (
    Mutant(
        "double_negation",
        f"{_RULES}.algebra:undo_unary",
        "neg neg x becomes neg x",
        "return inner.x",
        "return op.x",
        _simplified("unary", "redundant"),
        Fault.VALUES,
        "canonicalize",
    ),
    Mutant(
        "adding_zero",
        f"{_RULES}.algebra:drop_neutral",
        "x + 0.0 becomes x, which is wrong for -0.0",
        "is_splat(op.b, neutral) else None",
        "(is_splat(op.b, neutral) or is_splat(op.b, neutral + 0.0)) else None",
        Tests("tests/passes/test_canonicalize.py", "floats_keep_what_would_change_a_bit"),
        Fault.VALUES,
    ),
    Mutant(
        "swapped_difference",
        f"{_RULES}.algebra:add_negated",
        "(-x) + y becomes x - y",
        'return build(BinaryOp("sub", op.b, left.x))',
        'return build(BinaryOp("sub", left.x, op.b))',
        Tests("tests/check/rules/test_rules.py", "alone_keeps and add_negated"),
        Fault.VALUES,
    ),
    Mutant(
        "nan_equals_itself",
        f"{_RULES}.choices:compare_with_itself",
        "x == x becomes true for floats as well, which may be NaN",
        "if kind in _TRUE_OF_EQUALS and not is_float:",
        "if kind in _TRUE_OF_EQUALS:",
        _simplified("compare", "predicates", dtypes=(float32,), count=300),
        Fault.VALUES,
        "canonicalize",
    ),
    Mutant(
        "permutes_composed_backwards",
        f"{_RULES}.views:permute_of_permute",
        "wrong axis after two permutes",
        "[first[axis] for axis in ints(op.permutation)]",
        "[ints(op.permutation)[axis] for axis in first]",
        _simplified("permute", sizes=(3,)),
        Fault.VALUES,
        "canonicalize",
    ),
    Mutant(
        "slice_stride_lost",
        f"{_RULES}.views:slice_of_slice",
        "the start of a slice of a slice forgets the inner stride",
        "starts.append(first + start * step)",
        "starts.append(first + start)",
        _simplified("slice", sizes=(7, 5, 9)),
        Fault.VALUES,
        "canonicalize",
    ),
    Mutant(
        "other_padding",
        f"{_RULES}.views:pad_of_pad",
        "two pads become one although their numbers differ",
        "if a.hex() != b.hex():",
        "if a != a:",
        _simplified("pad"),
        Fault.VALUES,
        "canonicalize",
    ),
    Mutant(
        "concat_reversed",
        f"{_RULES}.views:concat_pieces",
        "the pieces of an inner concat come in reverse order",
        "pieces.extend(inner.xs)",
        "pieces.extend(reversed(list(inner.xs)))",
        _simplified("concat", "joined", count=300),
        Fault.VALUES,
        "canonicalize",
    ),
    Mutant(
        "padding_on_the_other_side",
        f"{_RULES}.reductions:convolution_of_pad",
        "a pad that joins a convolution changes sides",
        "zip(ints(op.low), low[2:], strict=True)",
        "zip(ints(op.low), high[2:], strict=True)",
        Tests("tests/passes/test_canonicalize.py", "views_and_reductions_join", Fault.RULE),
        Fault.CRASH,
    ),
    Mutant(
        "axes_of_the_wrong_value",
        f"{_RULES}.reductions:reduce_of_reduce",
        "the outer reduction's axes are taken for the inner operand's",
        "(kept[axis] for axis in ints(op.axes))",
        "(axis for axis in ints(op.axes))",
        _simplified("reduce", sizes=(3,)),
        Fault.CRASH,
        "canonicalize",
    ),
    Mutant(
        "cse_ignores_a_property",
        "picograd.passes.cse:number_of",
        "ops that differ in a property other than `kind` count as equal",
        "properties = tuple(sorted(op.properties.items(), key=_first))",
        'properties = tuple(i for i in op.properties.items() if i[0] == "kind")',
        Validation("cse", Modules(150, ("reduce", "slice", "reverse", "permute"), sizes=(3,))),
        Fault.VALUES,
        "cse",
    ),
    Mutant(
        "cse_commutes_everything",
        "picograd.passes.cse:number_of",
        "x - y and y - x count as equal",
        "and op.kind.data in _COMMUTES",
        "",
        Validation("cse", Modules(150, ("binary", "repeat", "repeat"), sizes=(2,))),
        Fault.VALUES,
        "cse",
    ),
    Mutant(
        "dce_of_a_live_op",
        "picograd.passes.dce:_is_dead",
        "an op that is used once counts as dead",
        "any(result.first_use is not None for result in op.results)",
        "any(len(list(result.uses)) > 1 for result in op.results)",
        Validation("dce", Modules(20)),
        Fault.CRASH,
        "dce",
    ),
    Mutant(
        "folded_past_its_operands",
        f"{_RULES}.folding:fold_splats",
        "numbers are folded as if they were all of the first operand's dtype",
        "dtype_of(type_of(operand)).numpy",
        "dtype_of(type_of(op.operands[0])).numpy",
        _simplified("constant", "select", "compare", "unary"),
        Fault.VALUES,
        "canonicalize",
    ),
    Mutant(
        "wrapped_without_its_sign",
        "picograd.passes.legalization.narrow:Narrow.narrow",
        "8-bit and 16-bit integers wrap without sign extension",
        "if not dtype.is_signed:",
        "if dtype.is_int:",
        Validation(
            'legalize_types{target="gpu"}',
            Modules(150, ("binary", "unary"), dtypes=(int8, int16, uint8, int32)),
        ),
        Fault.VALUES,
        "legalize_types",
    ),
    Mutant(
        "halves_not_rounded",
        "picograd.passes.legalization.narrow:Narrow.narrow",
        "what is computed for a 16-bit float keeps the digits of a 32-bit one",
        "return self.add(UnaryOp(_ROUND[dtype], value))",
        "return value",
        Tests("tests/passes/test_legalize_types.py"),
        Fault.VALUES,
    ),
    Mutant(
        "wide_constants_unchecked",
        "picograd.passes.legalization.wide:_check_range",
        "a 64-bit constant becomes a 32-bit one although it does not fit",
        "if not _LIMITS.min <= number <= _LIMITS.max:",
        "if number is None:",
        Tests("tests/passes/test_legalize_types.py", "out_of_range", asserts=Fault.RULE),
        Fault.RULE,
    ),
    Mutant(
        "gradient_of_the_last_use_only",
        "picograd.passes.differentiate:pull_back",
        "of a value that is used twice, one gradient replaces the other",
        "gradient if present is None else builder.add(present, gradient)",
        "gradient",
        Tests("tests/passes/test_differentiate.py"),
        Fault.VALUES,
    ),
    Mutant(
        "panels_read_as_rows",
        "picograd.passes.pack_constants:_unpack",
        "a weight is read from its panels as if its rows lay one behind the other",
        "value = _insert(op, PermuteOp(panels, _exchanged(len(batch))))",
        "value = panels",
        Orders("pack_constants", _WEIGHTS, SMALL_CPU),
        Fault.VALUES,
        "pack_constants",
    ),
    Mutant(
        "lines_forgotten",
        "picograd.passes.rewriting.greedy:Build.__call__",
        "what a rule builds does not inherit the user's line",
        'op.attributes["at"] = self._before.attributes["at"]',
        "pass",
        Tests("tests/passes/test_canonicalize.py", "names_and_lines_survive", Fault.RULE),
        Fault.RULE,
    ),
)
