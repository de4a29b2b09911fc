"""Plans of programs: as JSON and bytes they are what they were."""

import json

from picograd.backends.runtime import Image
from picograd.backends.wgsl.plan import image_of, plan_of
from picograd.backends.wgsl.planner import Planner
from picograd.backends.wgsl.runtime import Limits
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pipelines import pipeline

LIMITS = Limits(
    max_storage_buffers=8,
    max_binding_bytes=1 << 27,
    max_buffer_bytes=1 << 28,
    max_workgroup_bytes=1 << 14,
    max_invocations=256,
    max_workgroup_size=(256, 256, 64),
    max_workgroups=65535,
)

# A constant, an index to be checked, a result in an input's place, scratch, and nothing to do.
PROGRAM = """
func.func @main(%x: tensor<37x5xf32> {pico.donated = 0 : i64}, %i: tensor<4x5xi64>,
                %empty: tensor<0xf32>)
    -> (tensor<37x5xf32>, tensor<4x5xf32>, tensor<5xi64>, tensor<0xf32>) {
  %table = pico.constant dense<[[1.5, -2.0, 0.25, 3.0, -0.0]]> : tensor<1x5xf32>
  %t = pico.broadcast %table to [37, 5] : tensor<1x5xf32> -> tensor<37x5xf32>
  %y = pico.binary add %x, %t : tensor<37x5xf32>
  %g = pico.gather %y at %i axis 0 : tensor<37x5xf32>, tensor<4x5xi64> -> tensor<4x5xf32>
  %a = pico.argreduce max %y axis 0 : tensor<37x5xf32> -> tensor<5xi64>
  %e = pico.unary exp %empty : tensor<0xf32>
  func.return %y, %g, %a, %e : tensor<37x5xf32>, tensor<4x5xf32>, tensor<5xi64>, tensor<0xf32>
}
"""


def test_a_plan_is_the_same_after_it_was_kept() -> None:
    module = parse_module(PROGRAM)
    run_pipeline(module, pipeline("gpu"))
    plan = Planner(module, LIMITS).plan()
    image = image_of(plan)
    again = plan_of(Image(json.loads(json.dumps(image.facts)), image.blobs))
    for part in ("kernels", "launches", "leases", "arguments", "text", "scratch_bytes"):
        assert getattr(again, part) == getattr(plan, part)
    assert any(launch.code.uses_status for launch in plan.launches)
    ((name, stored),) = plan.constants
    ((name_again, stored_again),) = again.constants
    assert (name_again, stored_again.tobytes()) == (name, stored.tobytes())
