"""A CPU program as numbers and bytes, between emitter, disk and linker."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from picograd.backends.llvm.emitted import Emitted
from picograd.backends.runtime import Image


def image_of(emitted: Emitted, sizes: list[int], seconds: Mapping[str, float]) -> Image:
    """What is to be kept of code that has been made; `sizes` are the bytes of `@main`'s buffers,
    `seconds` what making it took.
    """
    facts = {
        "sizes": sizes,
        "arena_bytes": emitted.arena_bytes,
        "scratch_bytes": emitted.scratch_bytes,
        "thread_scratch_bytes": emitted.thread_scratch_bytes,
        "launches": emitted.launches,
        "parallel": emitted.parallel,
        "names": emitted.names,
        "parts": len(emitted.codes),
    }
    constants = [array.tobytes() for array in emitted.constants]
    return Image(facts, (*emitted.codes, *constants), seconds)


def emitted_of(image: Image) -> tuple[Emitted, list[int]]:
    """What `image_of` was given, without the text, and constants as bytes."""
    facts = image.facts
    parts: int = facts["parts"]
    emitted = Emitted(
        text="",
        constants=tuple(np.frombuffer(data, np.uint8) for data in image.blobs[parts:]),
        arena_bytes=facts["arena_bytes"],
        scratch_bytes=facts["scratch_bytes"],
        thread_scratch_bytes=facts["thread_scratch_bytes"],
        launches=facts["launches"],
        parallel=facts["parallel"],
        names=tuple(facts["names"]),
        codes=tuple(image.blobs[:parts]),
    )
    return emitted, list(facts["sizes"])
