"""`einsum`: products of tensors whose axes are named by letters, summed over what the result lacks.

An operand's repeated letters are its diagonal. Operands are then multiplied two at a time, from the
left: letters that nothing later needs are contracted by one batched matrix product, to which the
axes are permuted and merged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import NoReturn

from picograd.errors import OptionError, ShapeError
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.core import TensorCore
from picograd.frontend.functions.joining import checked
from picograd.frontend.plans.planned_operands import planned_list
from picograd.frontend.problems import located
from picograd.frontend.promotion import as_var, common_device, result_type
from picograd.frontend.storage.views import DiagonalView
from picograd.frontend.tensor import Tensor
from picograd.quick_dataclasses import dataclass

ELLIPSIS = "..."


@dataclass(frozen=True)
class _Term:
    """A value, and the name of each of its axes; no name occurs twice."""

    value: Var
    names: tuple[str, ...]


def einsum(equation: str, *operands: TensorCore | Sequence[TensorCore]) -> Tensor:
    """The product that an equation such as "bij,bjk->bik" names.

    Letters name axes, `...` the axes in front of which broadcast. Without `->` the result has the
    letters that occur once, in alphabetical order, after those of `...`.
    """
    given: list[TensorCore] = []
    for operand in operands:
        given.extend([operand] if isinstance(operand, TensorCore) else operand)
    tensors = [checked(operand, "einsum") for operand in given]
    if not tensors:
        _refuse("einsum needs operands", "one tensor for each term", 0)
    return _einsum(tensors, equation)


@planned_list
def _einsum(tensors: Sequence[Tensor], equation: str) -> Tensor:
    common_device(tensors)
    terms, result = _parse(equation, [tensor.ndim for tensor in tensors])
    sizes = _sizes(terms, [tensor.shape for tensor in tensors])
    for name in result:
        if name not in sizes:
            _refuse(f"the result's axis {name!r} occurs in no operand", sorted(sizes), name)
    ops, dtype = tensors[0].builder(), result_type(*tensors)
    values = [
        _distinct(ops, as_var(ops, tensor, dtype), names)
        for tensor, names in zip(tensors, terms, strict=True)
    ]
    return tensors[0].wrap(_product(ops, values, result, sizes))


# The equation


def _parse(equation: str, ranks: Sequence[int]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """The names of each operand's axes, and of the result's; those of `...` are numbers."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(ranks):
        _refuse("einsum: the equation does not name every operand", f"{len(ranks)} terms", equation)
    dots = [rank - len(part.replace(ELLIPSIS, "")) for part, rank in zip(parts, ranks, strict=True)]
    for part, rank, more in zip(parts, ranks, dots, strict=True):
        if more < 0 or (more and ELLIPSIS not in part):
            _refuse(f"einsum: {part!r} does not name the axes of its operand", rank, part)
    most = max(
        (more for part, more in zip(parts, dots, strict=True) if ELLIPSIS in part), default=0
    )
    terms = [_names(part, more, most) for part, more in zip(parts, dots, strict=True)]
    if arrow:
        result = _names(right, most, most)
        if len(set(result)) != len(result):
            _refuse("einsum: the result names an axis twice", "each letter once", right)
        return terms, result
    counts = Counter(name for names in terms for name in names)
    once = sorted(name for name, count in counts.items() if count == 1 and name.isalpha())
    return terms, (*_names(ELLIPSIS, most, most), *once)


def _names(part: str, dots: int, most: int) -> tuple[str, ...]:
    """The names in one term; `...` stands for the last `dots` of the numbers below `most`."""
    before, found, after = part.partition(ELLIPSIS)
    numbers = tuple(str(number) for number in range(most - dots, most)) if found else ()
    for letter in before + after:
        if not (letter.isascii() and letter.isalpha()):
            _refuse(f"einsum: {letter!r} names no axis", "letters, and '...' once a term", part)
    return (*before, *numbers, *after)


def _sizes(terms: Sequence[tuple[str, ...]], shapes: Sequence[tuple[int, ...]]) -> dict[str, int]:
    """The size of each name; 1 broadcasts."""
    sizes: dict[str, int] = {}
    for names, shape in zip(terms, shapes, strict=True):
        for name, size in zip(names, shape, strict=True):
            known = sizes.get(name, 1)
            if known != size and 1 not in (known, size):
                raise located(
                    ShapeError(
                        f"einsum: the axes called {name!r} differ in size",
                        code="PG128",
                        expected=f"{known} everywhere",
                        found=size,
                        hint="give axes of different sizes different letters",
                    )
                )
            sizes[name] = size if known == 1 else known
    return sizes


def _refuse(message: str, expected: object, found: object) -> NoReturn:
    raise located(
        OptionError(
            message,
            code="PG128",
            expected=expected,
            found=found,
            hint='write one letter for each axis, as in "bij,bjk->bik"',
        )
    )


# The product


def _distinct(ops: Tape, value: Var, names: tuple[str, ...]) -> _Term:
    """The term with repeated names replaced by diagonals."""
    while len(set(names)) != len(names):
        name = next(name for name in names if names.count(name) > 1)
        first = names.index(name)
        second = names.index(name, first + 1)
        shape = ops.shape_of(value)
        if shape[first] != shape[second]:
            raise located(
                ShapeError(
                    f"einsum: the axes called {name!r} of one operand differ in size",
                    code="PG128",
                    expected=shape[first],
                    found=shape[second],
                    hint="only axes of one size have a diagonal",
                )
            )
        rest = [axis for axis in range(len(names)) if axis not in (first, second)]
        turned = ops.permute(value, [*rest, first, second])
        value = DiagonalView(0).read(ops, turned)
        names = (*(names[axis] for axis in rest), name)
    return _Term(value, names)


def _product(
    ops: Tape, terms: Sequence[_Term], result: tuple[str, ...], sizes: dict[str, int]
) -> Var:
    """All terms multiplied, and summed over the names that the result lacks."""
    whole = terms[0]
    for number, term in enumerate(terms[1:], start=1):
        later = {*result, *(name for other in terms[number + 1 :] for name in other.names)}
        left = _summed(ops, whole, {*later, *term.names})
        right = _summed(ops, term, {*later, *whole.names})
        whole = _times(ops, left, right, later, sizes)
    whole = _summed(ops, whole, set(result))
    shape = [sizes[name] for name in result]
    return ops.broadcast(_arranged(ops, whole, result), shape)


def _summed(ops: Tape, term: _Term, kept: set[str]) -> _Term:
    """The term summed over the names that nobody needs."""
    gone = [axis for axis, name in enumerate(term.names) if name not in kept]
    if not gone:
        return term
    names = tuple(name for name in term.names if name in kept)
    return _Term(ops.reduce("add", term.value, gone), names)


def _arranged(ops: Tape, term: _Term, names: Sequence[str]) -> Var:
    """The value with axes in this order, of size 1 where the term lacks the name."""
    present = [name for name in names if name in term.names]
    value = ops.permute(term.value, [term.names.index(name) for name in present])
    sizes = iter(ops.shape_of(value))
    return ops.reshape(value, [next(sizes) if name in present else 1 for name in names])


def _times(ops: Tape, a: _Term, b: _Term, later: set[str], sizes: dict[str, int]) -> _Term:
    """Two terms multiplied, and contracted over the names that are not needed later."""
    shared = [name for name in a.names if name in b.names]
    inner = [name for name in shared if name not in later]
    batch = [name for name in shared if name in later]
    rows = [name for name in a.names if name not in b.names]
    columns = [name for name in b.names if name not in a.names]
    names = (*batch, *rows, *columns)
    if not inner:
        left, right = (_arranged(ops, term, names) for term in (a, b))
        shape = [
            max(n, m) if 0 not in (n, m) else 0
            for n, m in zip(ops.shape_of(left), ops.shape_of(right), strict=True)
        ]
        return _Term(ops.mul(ops.broadcast(left, shape), ops.broadcast(right, shape)), names)

    def lengths(group: Sequence[str]) -> list[int]:
        return [sizes[name] for name in group]

    def matrix(term: _Term, first: list[str], second: list[str]) -> Var:
        value = _arranged(ops, term, [*batch, *first, *second])
        value = ops.broadcast(value, lengths([*batch, *first, *second]))
        count = prod(lengths(batch))
        return ops.reshape(value, (count, prod(lengths(first)), prod(lengths(second))))

    product = ops.matmul(matrix(a, rows, inner), matrix(b, inner, columns))
    return _Term(ops.reshape(product, lengths(names)), names)
