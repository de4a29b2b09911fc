"""`picograd doctor`: what is installed, what the machine has, and whether its devices are right."""

import argparse
import platform
import sys
from collections.abc import Sequence
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version

from picograd.backends import runtime
from picograd.backends.wgsl.runtime import AdapterInfo, list_adapters
from picograd.cli.commands import Commands, show_examples
from picograd.cli.display import print_table
from picograd.compiler.self_test import PROGRAMS, Verdict, self_test
from picograd.compiler.trust import refusal
from picograd.errors import DeviceError
from picograd.targets import lookup
from picograd.targets.target import Target

EXIT_REFUSED = 1
PACKAGES = ("picograd", "xdsl", "llvmlite", "wgpu", "numpy", "rich")
OPTIONAL = ("hypothesis", "pytest", "torch", "matplotlib")


def add_parser(commands: Commands) -> None:
    """Add `doctor` to the command."""
    parser = commands.add_parser(
        "doctor",
        help="show versions, processor, adapters and limits, and try every device",
        description="Show what is installed and what the machine has, then run a small program "
        "for each thing that drivers get wrong (sums, running sums, barriers, selections, "
        "elementary functions) on every device. Ends with 1 when a device is refused.",
    )
    parser.add_argument(
        "--devices",
        default="reference,cpu,gpu",
        metavar="LIST",
        help="which devices to try, with commas between (%(default)s)",
    )
    parser.set_defaults(run=run)
    show_examples(parser, "doctor", "doctor --devices cpu")


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    devices = [name.strip() for name in arguments.devices.split(",") if name.strip()]
    print_table("Versions", ("package", "version"), versions())
    outcomes = [try_device(name) for name in devices]
    for name, outcome in zip(devices, outcomes, strict=True):
        if outcome.facts:
            print_table(f"{name}: {outcome.adapter}", ("fact", "value"), outcome.facts)
    if "gpu" in devices:
        rows = [describe_adapter(adapter) for adapter in list_adapters()]
        print_table("GPU adapters", ("adapter", "backend", "kind", "driver", "used"), rows)
    rows = [(name, *outcome.row()) for name, outcome in zip(devices, outcomes, strict=True)]
    print_table("Self-test", ("device", *PROGRAMS, "verdict"), rows)
    for outcome in outcomes:
        if outcome.problem is not None:
            print(f"\n{outcome.problem}", file=sys.stderr)
    return EXIT_REFUSED if any(outcome.refused for outcome in outcomes) else 0


class Outcome:
    """What is known of one device after it was tried."""

    def __init__(
        self,
        adapter: str = "",
        facts: Sequence[tuple[str, str]] = (),
        verdicts: Sequence[Verdict] = (),
        problem: DeviceError | None = None,
    ) -> None:
        self.adapter = adapter
        self.facts = facts
        self.verdicts = verdicts
        self.problem = problem

    @property
    def refused(self) -> bool:
        """Whether the device is there, and wrong."""
        return any(not verdict.ok for verdict in self.verdicts)

    def row(self) -> list[str]:
        """A word for each program, and one for all."""
        if not self.verdicts:
            return [*("-" for _ in PROGRAMS), "absent"]
        words = ["right" if verdict.ok else "WRONG" for verdict in self.verdicts]
        return [*words, "REFUSED" if self.refused else "works"]


def try_device(name: str) -> Outcome:
    """Open a device and run the self-test on it; one that the machine lacks is no error."""
    if name not in runtime.device_names():
        runtime.device(name)  # says which there are
    try:
        device = runtime.device(name)
    except DeviceError as error:
        return Outcome(problem=error)
    verdicts = self_test(device)
    failed = [verdict for verdict in verdicts if not verdict.ok]
    facts = [*device.details(), *(describe_target(lookup(name)) if name != "reference" else [])]
    problem = refusal(device, failed) if failed else None
    about = device.adapter + (f", {device.driver}" if device.driver else "")
    return Outcome(about, facts, verdicts, problem)


def versions() -> list[tuple[str, str]]:
    """Python, the packages that picograd stands on, and those that it can use."""
    rows = [("Python", f"{platform.python_version()} on {platform.platform()}")]
    for name in PACKAGES:
        rows.append((name, _version(name) or "absent: reinstall picograd"))
    rows += [(name, _version(name) or "absent (optional)") for name in OPTIONAL]
    return rows


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def describe_target(target: Target) -> list[tuple[str, str]]:
    """The facts about a machine that passes read, without those that say nothing of its kind."""
    return [
        (field.name, str(value))
        for field in fields(target)
        if (value := getattr(target, field.name)) not in (0, (0, 0, 0))
        and field.name not in ("name", "kind")
    ]


def describe_adapter(adapter: AdapterInfo) -> tuple[str, str, str, str, str]:
    """One row of the table of adapters."""
    used = f"refused: {adapter.refusal}" if adapter.refusal else "usable"
    return adapter.name, adapter.backend, adapter.kind, adapter.driver, used
