"""A few bytes that stand for what a module means: equal for modules that differ only in names.

It says what `structural_key` says, in a form that is the same in every process. Every attribute is
written once, as its class's name and its parts; ops refer to it by number. So a module is read in
one walk, whose cost is that of a few dictionary look-ups an op.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence
from enum import Enum
from hashlib import blake2b
from typing import Any, cast

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Block, Data, Operation, ParametrizedAttribute, SSAValue
from xdsl.ir.affine import AffineMap, AffineSet

DIGEST_BYTES = 32

_END = 0xFFFFFFFF
"""Ends the ops of a block: no op has so high a number."""


def structure_digest(module: ModuleOp) -> bytes:
    """The digest of a module: names of values, and attributes without a meaning, are left out.

    Raises TypeError for an attribute that holds what cannot be written down.
    """
    writer = _Writer()
    writer.operation(module)
    return writer.digest()


def body_digest(op: Operation) -> bytes:
    """The digest of what stands in an op, whatever the op is called. Raises TypeError as above."""
    writer = _Writer()
    for region in op.regions:
        for block in region.blocks:
            writer.block(block)
    return writer.digest()


class _Writer:
    """Ops as words, which are numbers of values and of `parts`: names and attributes."""

    def __init__(self) -> None:
        self.words = array("I")
        self.parts: list[bytes] = []
        self._number_of_part: dict[bytes, int] = {}
        self._names: dict[str, int] = {}
        self._attributes: dict[int, int] = {}  # by identity: the module keeps them alive
        self._values: dict[SSAValue, int] = {}

    def digest(self) -> bytes:
        state = blake2b(self.words.tobytes(), digest_size=DIGEST_BYTES)
        for part in self.parts:
            state.update(struct.pack("=Q", len(part)))
            state.update(part)
        return state.digest()

    def operation(self, op: Operation) -> None:
        values, words = self._values, self.words
        words.append(self._name(op.name))
        operands = op.operands
        words.append(len(operands))
        for value in operands:
            words.append(values.setdefault(value, len(values)))
        results = op.results
        words.append(len(results))
        for result in results:
            values[result] = len(values)
            words.append(self._attribute(result.type))
        words.append(len(op.properties))
        for name in sorted(op.properties):
            words.append(self._name(name))
            words.append(self._attribute(op.properties[name]))
        words.append(len(op.regions))
        for region in op.regions:
            words.append(len(region.blocks))
            for block in region.blocks:
                self.block(block)

    def block(self, block: Block) -> None:
        self.words.append(len(block.args))
        for argument in block.args:
            self._values[argument] = len(self._values)
            self.words.append(self._attribute(argument.type))
        for op in block.ops:
            self.operation(op)
        self.words.append(_END)

    def _name(self, text: str) -> int:
        known = self._names.get(text)
        if known is None:
            known = self._names[text] = self._part(b"n" + text.encode())
        return known

    def _part(self, data: bytes) -> int:
        known = self._number_of_part.get(data)
        if known is None:
            known = self._number_of_part[data] = len(self.parts)
            self.parts.append(data)
        return known

    def _attribute(self, attribute: Attribute) -> int:
        known = self._attributes.get(id(attribute))
        if known is None:
            known = self._part(self._written(attribute))
            self._attributes[id(attribute)] = known
        return known

    def _written(self, attribute: Attribute) -> bytes:
        name = attribute.name.encode() + b" "
        if isinstance(attribute, ParametrizedAttribute):
            numbers = [self._attribute(part) for part in attribute.parameters]
            return b"p" + name + array("I", numbers).tobytes()
        if isinstance(attribute, Data):
            return b"d" + name + self._data(cast(Data[Any], attribute).data)
        raise TypeError(f"an attribute that is neither data nor has parameters: {attribute!r}")

    def _data(self, data: object) -> bytes:
        """Python's own values; each form begins with a letter, and ends where its length says."""
        if isinstance(data, Enum):
            return self._data(data.value)
        if isinstance(data, bytes):
            return b"b" + data
        if isinstance(data, str):
            return b"s" + data.encode()
        if isinstance(data, bool | int):
            return b"i" + str(int(data)).encode()
        if isinstance(data, float):
            return b"f" + struct.pack("=d", data)
        if isinstance(data, Attribute):
            return b"a" + struct.pack("=I", self._attribute(data))
        if isinstance(data, tuple | list):
            parts = [self._part(self._data(part)) for part in cast(Sequence[object], data)]
            return b"t" + array("I", parts).tobytes()
        if isinstance(data, frozenset):
            found = sorted(map(self._data, cast(frozenset[object], data)))
            return b"u" + array("I", map(self._part, found)).tobytes()
        if isinstance(data, Mapping):
            entries = cast(Mapping[str, object], data)
            pairs = [(key, entries[key]) for key in sorted(entries)]
            return b"m" + self._data(pairs)
        if isinstance(data, AffineMap | AffineSet):
            return b"x" + str(data).encode()
        if data is None:
            return b"0"
        raise TypeError(f"an attribute holds a {type(data).__name__}, which cannot be written down")
