"""insert_barriers: a barrier exactly where threads hand each other data."""

import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.dialects import loop, new_context
from picograd.passes.insert_barriers import InsertBarriers, unguarded

SHARED = 'memref<64xf32, "workgroup">'


def kernel_text(body: str) -> str:
    return f"""
loop.kernel @k(%x: memref<64xf32>, %y: memref<64xf32>) {{
  loop.parallel %g = 0 to 1 mapping grid {{
    %c = arith.constant 1.0 : f32
    %s = loop.alloc : {SHARED}
    %r = loop.alloc : {SHARED}
    %p = loop.alloc : memref<64xf32, "private">
    {body}
  }}
}}"""


def write(buffer: str, n: int, space: str = SHARED) -> str:
    return f"""
    loop.parallel %i{n} = 0 to 64 mapping workgroup {{
      loop.store %c, %{buffer}[%i{n}] : f32, {space}
    }}"""


def read(buffer: str, n: int, space: str = SHARED) -> str:
    return f"""
    loop.parallel %i{n} = 0 to 64 mapping workgroup {{
      %v{n} = loop.load %{buffer}[%i{n} * -1 + 63] : {space}
      loop.store %v{n}, %p[%i{n}] : f32, memref<64xf32, "private">
    }}"""


def shape(body: str) -> list[str]:
    """The operations of the group code after the pass, loops by the buffer that they write."""
    module = parse_module(kernel_text(body))
    InsertBarriers().apply(new_context(), module)
    module.verify()
    (kernel,) = (op for op in module.ops if isinstance(op, loop.KernelOp))
    assert not unguarded(kernel)
    text = str(module)
    InsertBarriers().apply(new_context(), module)
    assert str(module) == text, "a second run finds nothing to do"
    (launch,) = kernel.body.block.ops
    assert isinstance(launch, loop.ParallelOp)
    return [op.name.removeprefix("loop.") for op in launch.body.block.ops][4:-1]


@pytest.mark.parametrize(
    ("body", "barriers"),
    [
        (write("s", 0) + read("s", 1), 1),
        (read("s", 0) + write("s", 1), 1),
        (write("s", 0) + write("s", 1), 1),
        (read("s", 0) + read("s", 1), 0),
        (write("s", 0) + read("r", 1), 0),
        (write("s", 0) + write("r", 1) + read("s", 2) + read("r", 3), 1),
        (write("s", 0) + read("s", 1) + write("s", 2), 2),
        (write("y", 0, "memref<64xf32>") + read("y", 1, "memref<64xf32>"), 1),
        (read("x", 0, "memref<64xf32>") + read("x", 1, "memref<64xf32>"), 0),
    ],
)
def test_a_barrier_stands_between_conflicting_loops(body: str, barriers: int) -> None:
    assert shape(body).count("barrier") == barriers


def test_a_barrier_that_is_there_counts() -> None:
    assert shape(write("s", 0) + "\n    loop.barrier" + read("s", 1)).count("barrier") == 1


def test_private_buffers_need_none() -> None:
    body = write("p", 0, 'memref<64xf32, "private">') + read("p", 1, 'memref<64xf32, "private">')
    assert "barrier" not in shape(body)


def inner(text: str) -> list[str]:
    module = parse_module(text)
    InsertBarriers().apply(new_context(), module)
    (steps,) = (op for op in module.walk() if isinstance(op, loop.ForOp))
    return [op.name.removeprefix("loop.") for op in steps.body.block.ops]


def test_the_end_of_a_step_meets_the_beginning_of_the_next() -> None:
    body = "loop.for %k = 0 to 3 {" + write("s", 0) + read("s", 1) + "}"
    assert inner(kernel_text(body)) == ["barrier", "parallel", "barrier", "parallel", "yield"]


def test_a_barrier_before_a_loop_stays_outside_it() -> None:
    body = write("s", 0) + "loop.for %k = 0 to 3 {" + read("s", 1) + "}"
    assert "barrier" not in inner(kernel_text(body))
    assert shape(body) == ["parallel", "barrier", "for"]


def test_both_branches_of_a_condition_count() -> None:
    body = (
        write("s", 0)
        + "loop.if %g >= 0 {"
        + read("r", 1)
        + "} else {"
        + read("s", 2)
        + "}"
        + write("r", 3)
    )
    assert shape(body) == ["parallel", "barrier", "if", "barrier", "parallel"]


def test_a_load_by_all_threads_waits_for_the_store() -> None:
    body = write("s", 0) + f"%v = loop.load %s[0] : {SHARED}"
    assert shape(body) == ["parallel", "barrier", "load"]
