"""What a nest of loops looks like to a cost model."""

import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.dialects.loop import LoadOp, ParallelOp
from picograd.passes.loops.nest_shape import layout_block


@pytest.mark.parametrize(
    ("places", "block"),
    [
        (["%k, 0"], None),
        (["%k floordiv 48, %k mod 48"], 48),
        (["%k floordiv 64 mod 6, %k mod 64"], 64),  # 6 quotients, not 6 places
        (["%k mod 384, 0", "%k mod 64, 0"], 64),
        (["%k mod 48, 0", "%k mod 32, 0"], 16),
    ],
)
def test_blocks_are_those_of_the_variable_itself(places: list[str], block: int | None) -> None:
    loads = "\n".join(
        f"    %v{number} = loop.load %x[{place}] : memref<2000x2000xf32>"
        for number, place in enumerate(places)
    )
    module = parse_module(f"""
loop.kernel @k(%x: memref<2000x2000xf32>) {{
  loop.parallel %k = 0 to 1152 {{
{loads}
  }}
}}""")
    loop = next(op for op in module.walk() if isinstance(op, ParallelOp))
    accesses = [op for op in module.walk() if isinstance(op, LoadOp)]
    assert layout_block(accesses, loop.induction_variables[0]) == block
