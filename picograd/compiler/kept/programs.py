"""Compiled programs on disk: under which key, in which bytes, and why one was compiled again.

The key tells all that decides what a module is compiled to: what the module means, the device and
its description, the passes with their options, the versions of the libraries, and digests of the
sources of picograd and of passes, rules and ops from elsewhere. It begins with the module, so that
entries of one module stand side by side, and what differs between them can be told.

    payload ::= length of the JSON text (8 bytes), JSON text, blobs
"""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any, cast

from xdsl.dialects.builtin import TensorType

from picograd.backends.disk.settings import program_store
from picograd.backends.disk.store import Store
from picograd.backends.runtime import Device, Image
from picograd.compiler.kept.sources import OwnSources, Unreadable, digest_of_modules, versions
from picograd.compiler.records import PassRecord
from picograd.compiler.report import Report
from picograd.dialects.dtypes import DTYPES, dtype_of, tensor_type
from picograd.quick_dataclasses import dataclass

LOG = logging.getLogger("picograd")

_LENGTH = struct.Struct("<Q")
_DTYPES = {dtype.name: dtype for dtype in DTYPES}


@dataclass(frozen=True)
class Kept:
    """A program as it is kept: what the device needs, and what an executable tells of it."""

    image: Image
    inputs: list[TensorType[Any]]
    outputs: list[TensorType[Any]]
    donated: Mapping[int, int]
    report: Report
    """Its bytes are those of intermediates, without scratch, which depends on the threads."""
    constants: Kept | None = None
    """The program that computes what this one takes after the inputs, if it takes anything."""
    reads: tuple[int, ...] = ()
    """Which inputs that program takes."""


class Place:
    """Where one program is kept, if it is there."""

    def __init__(self, store: Store, facts: Mapping[str, str], sources: OwnSources) -> None:
        """`facts` decide what is compiled; the one called "module" comes first in the key."""
        self._store = store
        self._facts = dict(facts)
        self._sources = sources
        rest = blake2b(json.dumps(self._facts).encode(), digest_size=24).hexdigest()
        self._group = facts["module"][:16]
        self.key = self._group + rest

    def get(self) -> Kept | None:
        """The program, if it has been kept."""
        payload = self._store.get(self.key)
        return None if payload is None else _unpacked(payload)

    def put(self, kept: Kept) -> None:
        """Keep a program that was compiled by the sources as they are."""
        if not self._sources.unchanged():
            LOG.info("the program is not kept on disk: picograd's own sources have changed")
            return
        self._store.put(self.key, _packed(kept, self._facts))

    def why_missing(self) -> str:
        """Why the program has to be compiled, as far as other entries of its module can tell."""
        others = [held.key for held in self._store.held() if held.key.startswith(self._group)]
        if not others:
            return "no such program is on disk"
        payload = self._store.get(others[-1], using=False)
        theirs: dict[str, str] = {} if payload is None else _header(payload)["facts"]
        differ = [name for name, fact in self._facts.items() if theirs.get(name) != fact]
        return "since it was kept on disk, these changed: " + ", ".join(differ)


def place_of(
    structure: bytes,
    device: Device,
    settings: Mapping[str, str],
    passes: Sequence[str],
    extensions: Sequence[str],
) -> Place | None:
    """Where the program of a module is kept; None where it is not, which is logged with the reason.

    `settings` are further facts that decide what is compiled; `passes` and `extensions` name the
    modules of Python that define passes and rules.
    """
    store = program_store()
    if store is None:
        return None
    sources = own_sources()
    elsewhere = _elsewhere(tuple(passes), tuple(extensions))
    for found in (sources, elsewhere):
        if isinstance(found, Unreadable):
            LOG.info("the program is not kept on disk: %s", found)
            return None
    facts = {
        "module": structure.hex(),
        "device": device.name,
        **settings,
        "machine code": device.makes_code_for,
        "versions": _versions(),
        "picograd's sources": cast(OwnSources, sources).digest,
        "sources of passes": cast(tuple[str, str], elsewhere)[0],
        "sources of rules and ops": cast(tuple[str, str], elsewhere)[1],
    }
    return Place(store, facts, cast(OwnSources, sources))


@lru_cache(maxsize=1)
def own_sources() -> OwnSources | Unreadable:
    """picograd's own sources as this process found them, or why they have no digest."""
    try:
        return OwnSources()
    except Unreadable as error:
        return error


@lru_cache(maxsize=1)
def _versions() -> str:
    return versions()


def _elsewhere(
    passes: tuple[str, ...], extensions: tuple[str, ...]
) -> tuple[str, str] | Unreadable:
    try:
        return digest_of_modules(passes), digest_of_modules(extensions)
    except Unreadable as error:
        return error


@dataclass(frozen=True)
class About:
    """What a kept program is, for people."""

    device: str
    kernels: int
    signature: str
    """Types of inputs and results; of many alike, how many."""
    seconds: float
    """What compiling it took."""


def facts_in(payload: bytes) -> About:
    """What the bytes of an entry hold."""
    header = _header(payload)
    report = header["report"]
    sides = [_listed(header[side]) for side in ("inputs", "outputs")]
    signature = " -> ".join(sides)
    return About(report["device"], report["kernels"], signature, report["compile_seconds"])


def _listed(types: Sequence[tuple[Sequence[int], str]]) -> str:
    """A few types in the way of IR; of more than that, how many."""
    texts = ["x".join([*map(str, shape), dtype]) for shape, dtype in types]
    more = [f"and {len(texts) - 3} more"] if len(texts) > 4 else []
    return ", ".join([*(texts[:3] if more else texts), *more]) or "nothing"


def _packed(kept: Kept, facts: Mapping[str, str]) -> bytes:
    header = {"facts": facts, **_described(kept)}
    blobs = kept.image.blobs
    if kept.constants is not None:
        header |= {"constants": _described(kept.constants), "reads": kept.reads}
        blobs += kept.constants.image.blobs
    text = json.dumps(header).encode()
    return b"".join([_LENGTH.pack(len(text)), text, *blobs])


def _described(kept: Kept) -> dict[str, Any]:
    """A program in the header, but for its blobs and its constants."""
    report = asdict(kept.report)
    del report["validation"], report["load_seconds"]
    return {
        "image": kept.image.facts,
        "blobs": [len(blob) for blob in kept.image.blobs],
        "inputs": [_spelled(type) for type in kept.inputs],
        "outputs": [_spelled(type) for type in kept.outputs],
        "donated": list(kept.donated.items()),
        "report": report,
    }


def _header(payload: bytes) -> dict[str, Any]:
    (length,) = _LENGTH.unpack_from(payload)
    return json.loads(payload[_LENGTH.size : _LENGTH.size + length])


def _unpacked(payload: bytes) -> Kept:
    header = _header(payload)
    constants = header.get("constants")
    sizes = [*header["blobs"], *(constants["blobs"] if constants is not None else ())]
    end = len(payload) - sum(sizes)
    blobs: list[bytes] = []
    for size in sizes:
        blobs.append(payload[end : end + size])
        end += size
    count = len(header["blobs"])
    kept = _made(header, blobs[:count])
    if constants is None:
        return kept
    return replace(kept, constants=_made(constants, blobs[count:]), reads=tuple(header["reads"]))


def _made(header: Mapping[str, Any], blobs: Sequence[bytes]) -> Kept:
    """A program of its description and its blobs."""
    report = dict(header["report"])
    report["passes"] = tuple(PassRecord(**record) for record in report["passes"])
    return Kept(
        image=Image(header["image"], tuple(blobs)),
        inputs=[_type(*spelled) for spelled in header["inputs"]],
        outputs=[_type(*spelled) for spelled in header["outputs"]],
        donated={result: place for result, place in header["donated"]},
        report=Report(**report),
    )


def _spelled(type: TensorType[Any]) -> tuple[list[int], str]:
    return list(type.get_shape()), dtype_of(type).name


def _type(shape: Sequence[int], dtype: str) -> TensorType[Any]:
    return tensor_type(shape, _DTYPES[dtype])
