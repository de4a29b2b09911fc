"""The toolchain: passes, pipelines, what runs and watches them. `load_toolchain` brings it in."""

from picograd.compiler.build import build, levels_of
from picograd.compiler.kernel_descriptions import lines_by_kernel
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.pipelines import pipeline, tuned_pipeline, unfused
from picograd.passes.rewriting.structure import structural_key

__all__ = [
    "Pipeline",
    "as_passes",
    "build",
    "levels_of",
    "lines_by_kernel",
    "pipeline",
    "structural_key",
    "tuned_pipeline",
    "unfused",
]
