"""Machines as data: what a pass may know about where its code will run."""

from picograd.targets.cpu import host_target
from picograd.targets.gpu import default_target
from picograd.targets.processors import PROCESSORS
from picograd.targets.target import Target, TargetKind, lookup, names, register

register("cpu", host_target)
register("gpu", default_target)
register("reference", Target(name="reference", kind="reference"))
for processor in PROCESSORS:
    register(processor.name, processor)

__all__ = ["Target", "TargetKind", "lookup", "names", "register"]
