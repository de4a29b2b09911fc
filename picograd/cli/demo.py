"""`picograd demo`: trains the digits classifier on the CPU and the GPU, and shows what happened."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from picograd.cli.commands import Commands, show_examples
from picograd.cli.display import print_table, progress
from picograd.cli.files import UsageError
from picograd.errors import DeviceError
from picograd.study import digits
from picograd.study.digits import Training

REQUIRED_ACCURACY = 0.96
# The largest difference that two devices' loss curves may show: rounding differs between them, and
# training amplifies it slowly.
EARLY_STEPS, EARLY_BUDGET = 100, 1e-5
LOSS_BUDGET = 1e-3
DEVICES = ("cpu", "gpu")
# What of a training goes into the JSON file beside the first and last loss, in this order.
REPORTED = (
    "compile_seconds", "train_seconds", "images_per_second",
    "kernels_unfused", "kernels", "bytes_unplanned", "bytes_planned",
)  # fmt: skip


def add_parser(commands: Commands) -> None:
    """Add `demo` to the command."""
    parser = commands.add_parser(
        "demo",
        help="train a classifier of handwritten digits on the CPU and the GPU",
        description="Train one compiled step on each device from the same weights and batches. "
        f"Exits with 1 when accuracy stays under {REQUIRED_ACCURACY:.0%} after all epochs, or the "
        "loss curves differ by more than the budget.",
    )
    parser.add_argument("--device", choices=DEVICES, help="train on this one only (both)")
    parser.add_argument("--epochs", type=int, default=digits.MAX_EPOCHS, help="1 to %(default)s")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the weights, the split and the order (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as data")
    parser.add_argument(
        "--dump",
        type=Path,
        metavar="DIR",
        default=Path("picograd-dump"),
        help="where the IR of every pass goes (%(default)s)",
    )
    parser.set_defaults(run=run)
    show_examples(
        parser,
        "demo                          both devices, all epochs",
        "demo --device cpu --epochs 5",
        "demo --json result.json       the table as data",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    if not 1 <= arguments.epochs <= digits.MAX_EPOCHS:
        raise UsageError(
            "a number of epochs that the demo does not train",
            expected=f"1 to {digits.MAX_EPOCHS}",
            found=str(arguments.epochs),
        )
    trainings: list[Training] = []
    for device in [arguments.device] if arguments.device else DEVICES:
        try:
            trainings.append(_train(device, arguments))
        except DeviceError as error:
            if arguments.device or device == "cpu":
                raise
            print(f"SKIPPED 1 of {len(DEVICES)} devices, {device}: {error}")
    largest = largest_difference(trainings)
    show(trainings, largest, arguments.dump)
    if arguments.json:
        report = as_json(trainings, largest, arguments.dump)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    whole = arguments.epochs == digits.MAX_EPOCHS
    if not whole:
        print(f"Accuracy is judged after {digits.MAX_EPOCHS} epochs only, not {arguments.epochs}.")
    failures = shortcomings(trainings, whole=whole)
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


def _train(device: str, arguments: argparse.Namespace) -> Training:
    steps = arguments.epochs * digits.split_digits(arguments.seed).steps_an_epoch
    dump = arguments.dump / device
    with progress(f"training on {device}", steps) as bar:
        return digits.train(device, arguments.epochs, arguments.seed, dump, bar.advance)


def largest_difference(trainings: Sequence[Training]) -> float | None:
    """The maximum over steps of |Δloss|; None when there is only one curve."""
    if len(trainings) < 2:
        return None
    first, second = trainings
    return float(np.max(np.abs(first.losses - second.losses)))


def shortcomings(trainings: Sequence[Training], *, whole: bool) -> list[str]:
    """What the trainings fell short of, in words; empty when all is well.

    Only a `whole` training, of all epochs, owes its accuracy.
    """
    found = [
        f"{one.device} names {one.test_accuracy:.2%} of the held-out images rightly, "
        f"and {REQUIRED_ACCURACY:.0%} is asked for"
        for one in trainings
        if whole and not one.test_accuracy >= REQUIRED_ACCURACY
    ]
    if len(trainings) == 2:
        first, second = trainings
        difference = np.abs(first.losses - second.losses)
        for steps, budget in ((EARLY_STEPS, EARLY_BUDGET), (len(difference), LOSS_BUDGET)):
            largest = np.max(difference[:steps])
            if not largest <= budget:
                found.append(
                    f"the losses differ by {largest:.2e} within the first {steps} steps, "
                    f"and the budget is {budget:.0e}"
                )
    return found


def as_json(trainings: Sequence[Training], largest: float | None, dump: Path) -> dict[str, Any]:
    """The table as data."""
    return {
        "devices": [
            {
                "device": one.device,
                "adapter": one.adapter,
                "test_accuracy": one.test_accuracy,
                "loss_first": float(one.losses[0]),
                "loss_last": float(one.losses[-1]),
                **{name: getattr(one, name) for name in REPORTED},
            }
            for one in trainings
        ],
        "max_loss_difference": largest,
        "loss_budget": LOSS_BUDGET,
        "dump": str(dump),
    }


def show(trainings: Sequence[Training], largest: float | None, dump: Path) -> None:
    """Print the table: a row a fact, a column a device."""
    rows = [
        ("adapter", [one.adapter for one in trainings]),
        ("accuracy on held-out images", [f"{one.test_accuracy:.2%}" for one in trainings]),
        ("loss, first step", [f"{one.losses[0]:.6f}" for one in trainings]),
        ("loss, last step", [f"{one.losses[-1]:.6f}" for one in trainings]),
        ("compile seconds", [f"{one.compile_seconds:.2f}" for one in trainings]),
        ("train seconds", [f"{one.train_seconds:.2f}" for one in trainings]),
        ("images a second", [f"{one.images_per_second:,.0f}" for one in trainings]),
        ("kernel launches a step, unfused", [f"{one.kernels_unfused}" for one in trainings]),
        ("kernel launches a step, fused", [f"{one.kernels}" for one in trainings]),
        ("intermediates without reuse, bytes", [f"{one.bytes_unplanned:,}" for one in trainings]),
        ("intermediates with reuse, bytes", [f"{one.bytes_planned:,}" for one in trainings]),
        ("IR of every pass in", [str(dump / one.device) for one in trainings]),
    ]
    if largest is not None:
        # Of the second curve from the first.
        text = f"{largest:.1e} (budget {LOSS_BUDGET:.0e}, {EARLY_BUDGET:.0e} at first)"
        rows.insert(4, ("largest difference of the losses", ["", text]))
    print_table(
        "Handwritten digits: one compiled training step a batch",
        ["", *(one.device for one in trainings)],
        [[name, *cells] for name, cells in rows],
    )
