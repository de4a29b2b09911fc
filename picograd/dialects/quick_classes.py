# pyright: reportPrivateUsage=false
"""What xDSL's classes do is done in less time: the same results, and the same errors.

Passes ask ops for their operands, walk over them and look them up a million times while a model is
compiled. xDSL does all of that in Python, through views and iterators that it makes for each
question, and its classes are abstract ones, which Python asks five times slower what belongs to
them. `picograd.dialects` calls `make_quick` before anything else is defined.
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from xdsl.ir import Attribute, Block, BlockOps, Operation, OpResult, Region, SSAValue, Use, core
from xdsl.ir.core import SSAValues
from xdsl.irdl import IRDLOperation, VarIRConstruct, operations

if TYPE_CHECKING:
    from xdsl.dialects.builtin import LocationAttr

_nowhere = cache(core._unknown_loc)
_OPERAND, _RESULT = VarIRConstruct.OPERAND, VarIRConstruct.RESULT
_at: Callable[[Any, Any], Any] = vars(tuple)["__getitem__"]
_KINDS: tuple[Any, ...] = (SSAValue, Operation, IRDLOperation, Block, Region)


def make_quick() -> None:
    """Put what is in this file in the place of what xDSL has."""
    for kind in _KINDS:
        # xDSL spells out in Python what objects do of their own: they are equal to themselves only.
        kind.__hash__ = object.__hash__
        kind.__eq__ = object.__eq__
    for base in (Attribute, SSAValue, Operation):
        _ask_directly(base)
    changed: dict[Any, dict[str, Any]] = {
        SSAValues: {"__getitem__": _value_at},
        BlockOps: {"__iter__": _ops_of},
        Operation: {"__init__": _init, "walk": _walk},
        IRDLOperation: {"__post_init__": _fill_in},
        operations.BeforeVariadicSingleAccessor: {"__get__": _single},
        operations.UniqueVariadicAccessor: {"__get__": _variadic},
    }
    for kind, functions in changed.items():
        for name, function in functions.items():
            setattr(kind, name, function)


def _init(
    self: Operation,
    *,
    operands: Sequence[SSAValue] = (),
    result_types: Sequence[Attribute] = (),
    properties: Mapping[str, Attribute] = {},
    attributes: Mapping[str, Attribute] = {},
    location: LocationAttr | None = None,
    successors: Sequence[Block] = (),
    regions: Sequence[Region] = (),
) -> None:
    """Operands are asked for once, and those of before, of which there are none, not at all."""
    given = SSAValues(operands)
    uses = tuple([Use(self, index) for index in range(len(given))])
    for value, use in zip(given, uses, strict=True):
        value.add_use(use)
    self._operands, self._operand_uses = given, uses
    self.results = SSAValues([OpResult(type, self, n) for n, type in enumerate(result_types)])
    self.properties = dict(properties)
    self.attributes = dict(attributes)
    self.location = _nowhere() if location is None else location
    self._successors, self._successor_uses = (), ()
    if successors:
        self.successors = list(successors)
    self.regions = ()
    for region in regions:
        self.add_region(region)
    self.__post_init__()


def _fill_in(self: IRDLOperation) -> None:
    """Properties and attributes that have default values, and no value."""
    properties, attributes = _defaults(type(self))
    for name, default in properties:
        self.properties.setdefault(name, default)
    for name, default in attributes:
        self.attributes.setdefault(name, default)


@cache
def _defaults(kind: type[IRDLOperation]) -> tuple[list[tuple[str, Attribute]], ...]:
    """The default values of an op's properties, and of its attributes."""
    definition = kind.get_irdl_definition()
    return tuple(
        [
            (name, each.default_value)
            for name, each in definitions.items()
            if each.default_value is not None and not isinstance(each, operations.OptionalDef)
        ]
        for definitions in (definition.properties, definition.attributes)
    )


class _Asked(ABCMeta):
    """The kind of a class to which nothing belongs but instances of it and of those below it."""

    __instancecheck__ = type.__instancecheck__


def _ask_directly(base: type[Any]) -> None:
    """Of this class and all below it, now and later."""
    if type(base) is ABCMeta:
        base.__class__ = _Asked
    for kind in base.__subclasses__():
        _ask_directly(kind)


def _value_at(self: SSAValues[Any], place: int | slice) -> Any:
    found = _at(self, place)
    return SSAValues(found) if place.__class__ is slice else found


def _ops_of(self: BlockOps) -> Iterator[Operation]:
    """The one after an op is found before the op is given away, which may then be erased."""
    op = self.block._first_op
    while op is not None:
        following = op._next_op
        yield op
        op = following


_slow_walk = Operation.walk


def _walk(
    self: Operation, *, reverse: bool = False, region_first: bool = False
) -> Iterator[Operation]:
    """An op and all in it, with one generator for all rather than three for each level."""
    if reverse or region_first:
        yield from _slow_walk(self, reverse=reverse, region_first=region_first)
        return
    yield self
    waiting: list[Any] = list(reversed(self.regions))
    while waiting:
        item = waiting.pop()
        if item.__class__ is Region:
            item = item.first_block
        if item.__class__ is Block:
            if item._next_block is not None:
                waiting.append(item._next_block)
            item = item._first_op
        if item is None:
            continue
        if item._next_op is not None:
            waiting.append(item._next_op)
        yield item
        if item.regions:
            waiting.extend(reversed(item.regions))


def _single(
    self: operations.BeforeVariadicSingleAccessor, op: Any, kind: type[Any] | None = None
) -> Any:
    construct = self.construct
    if construct is _OPERAND:
        return _at(op._operands, self.idx)
    if construct is _RESULT:
        return _at(op.results, self.idx)
    return operations.get_op_constructs(op, construct)[self.idx]


def _variadic(
    self: operations.UniqueVariadicAccessor, op: Any, kind: type[Any] | None = None
) -> Any:
    construct, start = self.construct, self.idx
    if construct is _OPERAND:
        found = op._operands
    elif construct is _RESULT:
        found = op.results
    else:
        found = operations.get_op_constructs(op, construct)
    return found[start : start + len(found) - self.num_defs + 1]
