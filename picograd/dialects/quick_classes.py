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
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import DenseArrayBase, IntegerType, MemRefType, TensorType, VectorType
from xdsl.ir import Attribute, Block, BlockOps, Operation, OpResult, Region, SSAValue, Use, core
from xdsl.ir.affine import AffineExpr
from xdsl.ir.core import SSAValues
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    OptionalDef,
    VariadicDef,
    VarIRConstruct,
    operations,
)

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
    for base in (Attribute, SSAValue, Operation, AffineExpr):
        _ask_directly(base)
    changed: dict[Any, dict[str, Any]] = {
        SSAValues: {"__getitem__": _value_at},
        BlockOps: {"__iter__": _ops_of},
        Operation: {"__init__": _init, "walk": _walk},
        IRDLOperation: {"__init__": _build, "__post_init__": _fill_in},
        operations.BeforeVariadicSingleAccessor: {"__get__": _single},
        operations.UniqueVariadicAccessor: {"__get__": _variadic},
        DenseArrayBase: {"from_list": staticmethod(_dense_array), **_kept_with_arrays},
        **_kept_with_types,
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
    self._operands, self._operand_uses = given, _uses_of(self, given)
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


def _uses_of(op: Operation, operands: Sequence[SSAValue]) -> tuple[Use, ...]:
    """The uses that an op makes of its operands, each the first among those of its value."""
    uses: list[Use] = []
    for index, value in enumerate(operands):
        first = value.first_use
        use = value.first_use = Use(op, index, None, first)
        if first is not None:
            first._prev_use = use
        uses.append(use)
    return tuple(uses)


_slow_build = IRDLOperation.__init__


def _build(
    self: IRDLOperation,
    *,
    operands: Sequence[Any] | None = None,
    result_types: Sequence[Any] | None = None,
    properties: Mapping[str, Attribute | None] | None = None,
    attributes: Mapping[str, Attribute | None] | None = None,
    successors: Sequence[Any] | None = None,
    regions: Sequence[Any] | None = None,
) -> None:
    """What has the form that the definition asks for is taken; of all else xDSL makes something, or
    says what is wrong.
    """
    form = _form(type(self))
    values = _flat(operands or (), form[0], SSAValue) if form else None
    types = _flat(result_types or (), form[1], Attribute) if form else None
    bodies = _flat(regions or (), form[2], Region) if form else None
    if form is None or values is None or types is None or bodies is None or successors:
        _slow_build(
            self,
            operands=operands,
            result_types=result_types,
            properties=properties,
            attributes=attributes,
            successors=successors,
            regions=regions,
        )
        return
    own = {name: each for name, each in (properties or {}).items() if each is not None}
    notes = {name: each for name, each in (attributes or {}).items() if each is not None}
    if form[3] is not None:
        sizes = _dense_array(_I32, values[1])
        (own if form[3].as_property else notes)[form[3].attribute_name] = sizes
    _init(
        self,
        operands=values[0],
        result_types=types[0],
        properties=own,
        attributes=notes,
        regions=bodies[0],
    )


_I32 = IntegerType(32)
_Form = tuple[list[bool], list[bool], list[bool], AttrSizedOperandSegments | None]


@cache
def _form(kind: type[IRDLOperation]) -> _Form | None:
    """For operands, results and regions of an op, which of them are lists, and whether the lengths
    of operands are kept with the op; None where there is more to see to.
    """
    definition = kind.get_irdl_definition()
    parts = (definition.operands, definition.results, definition.regions)
    if definition.successors or any(
        isinstance(each, OptionalDef) for part in parts for _, each in part
    ):
        return None
    segments: AttrSizedOperandSegments | None = None
    for option in definition.options:
        if not isinstance(option, AttrSizedOperandSegments):
            return None
        segments = option
    lists = [[isinstance(each, VariadicDef) for _, each in part] for part in parts]
    return lists[0], lists[1], lists[2], segments


def _flat(
    given: Sequence[Any], lists: Sequence[bool], kind: type[Any]
) -> tuple[list[Any], tuple[int, ...]] | None:
    """All that is given, in one list, and how much of it belongs to each definition; None where
    something is no value of a kind or, for a list, no list of such.
    """
    if len(given) != len(lists):
        return None
    flat: list[Any] = []
    sizes: list[int] = []
    for each, is_list in zip(given, lists, strict=True):
        if isinstance(each, kind):
            flat.append(each)
            sizes.append(1)
            continue
        if not is_list or not isinstance(each, list | tuple):
            return None
        for one in each:  # pyright: ignore[reportUnknownVariableType]
            if not isinstance(one, kind):
                return None
            flat.append(one)
        sizes.append(len(each))  # pyright: ignore[reportUnknownArgumentType]
    return flat, tuple(sizes)


_slow_dense_array: Callable[..., DenseArrayBase[Any]] = DenseArrayBase.from_list


def _dense_array(data_type: Any, data: Sequence[Any]) -> DenseArrayBase[Any]:
    """Lists of a few small integers are asked for again and again."""
    if data_type.__class__ is not IntegerType or len(data) > _FEW:
        return _slow_dense_array(data_type, data)
    return _integers(data_type.width.data, data_type.signedness.data, tuple(data))


_FEW = 16


@lru_cache(maxsize=2048)
def _integers(width: int, signedness: Any, data: tuple[int, ...]) -> DenseArrayBase[Any]:
    return _slow_dense_array(IntegerType(width, signedness), data)


def _kept(ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What an attribute, which never changes, says when it is first asked is kept with it."""
    name = f"_{ask.__name__}"

    def kept(self: Attribute) -> Any:
        known = vars(self)
        if name not in known:
            known[name] = ask(self)
        return known[name]

    return kept


_kept_with_arrays = {"get_values": _kept(vars(DenseArrayBase)["get_values"])}
_kept_with_types: dict[Any, dict[str, Any]] = {
    kind: {"get_shape": _kept(vars(kind)["get_shape"])}
    for kind in (MemRefType, TensorType, VectorType)
}


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
