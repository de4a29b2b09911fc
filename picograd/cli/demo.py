"""`picograd demo`: trains a model on the CPU and the GPU, and shows what happened."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from picograd.cli.commands import Commands, show_examples
from picograd.cli.display import print_table, progress
from picograd.cli.files import UsageError
from picograd.cli.values import new_file, new_folder, seed
from picograd.errors import DeviceError
from picograd.study.demos import convnet, digits, gpt
from picograd.study.demos.workload import Training, Workload, train

WORKLOADS: dict[str, Workload] = {
    one.name: one for one in (digits.WORKLOAD, convnet.WORKLOAD, gpt.WORKLOAD)
}
"""The demos by name; the first is trained when none is named."""

DEVICES = ("cpu", "gpu")
# What of a training goes into the JSON file beside score, rate and losses, in this order.
REPORTED = (
    "compile_seconds", "train_seconds",
    "kernels_unfused", "kernels", "bytes_unplanned", "bytes_planned",
)  # fmt: skip


def add_parser(commands: Commands) -> None:
    """Add `demo` to the command."""
    parser = commands.add_parser(
        "demo",
        help="train a model on the CPU and the GPU",
        description="Train one compiled step on each device from the same weights and batches. "
        "Exits with 1 when the model falls short of what is asked for after all epochs, or the "
        "loss curves differ by more than the budget.",
    )
    parser.add_argument(
        "name",
        nargs="?",
        choices=tuple(WORKLOADS),
        default=next(iter(WORKLOADS)),
        help="; ".join(f"{one.name}: {one.summary}" for one in WORKLOADS.values()).replace(
            "%", "%%"
        )
        + " (%(default)s)",
    )
    parser.add_argument("--device", choices=DEVICES, help="train on this one only (both)")
    parser.add_argument("--epochs", type=int, help="1 to as many as the demo has (all)")
    parser.add_argument(
        "--seed", type=seed, default=0, help="of the weights, the split and the order (%(default)s)"
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the table as data")
    parser.add_argument(
        "--dump",
        type=new_folder,
        metavar="DIR",
        default="picograd-dump",
        help="where the IR of every pass goes (%(default)s)",
    )
    parser.set_defaults(run=run)
    show_examples(
        parser,
        "demo                          digits: both devices, all epochs",
        "demo convnet",
        "demo gpt",
        "demo --device cpu --epochs 5",
        "demo --json result.json       the table as data",
    )


def run(arguments: argparse.Namespace) -> int:
    """The command itself."""
    workload = WORKLOADS[arguments.name]
    most = workload.most_epochs
    epochs: int = most if arguments.epochs is None else arguments.epochs
    if not 1 <= epochs <= most:
        raise UsageError(
            "a number of epochs that the demo does not train",
            code="PG802",
            expected=f"1 to {most}",
            found=str(epochs),
            hint="leave --epochs out to train until the end",
        )
    trainings: list[Training] = []
    for device in [arguments.device] if arguments.device else DEVICES:
        try:
            trainings.append(_train(workload, device, epochs, arguments))
        except DeviceError as error:
            if arguments.device or device == "cpu":
                raise
            print(f"SKIPPED 1 of {len(DEVICES)} devices, {device}: {error}")
    largest = largest_difference(trainings)
    show(workload, trainings, largest, arguments.dump)
    if arguments.json:
        report = as_json(workload, trainings, largest, arguments.dump)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    whole = epochs == most
    if not whole:
        print(f"The {workload.score_name} is judged after {most} epochs only, not {epochs}.")
    failures = shortcomings(workload, trainings, whole=whole)
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


def _train(workload: Workload, device: str, epochs: int, arguments: argparse.Namespace) -> Training:
    steps = epochs * workload.steps_an_epoch(arguments.seed)
    dump = arguments.dump / device
    with progress(f"training on {device}", steps) as bar:
        return train(workload, device, epochs, arguments.seed, dump, bar.advance)


def largest_difference(trainings: Sequence[Training]) -> float | None:
    """The maximum over steps of |Δloss|; None when there is only one curve."""
    if len(trainings) < 2:
        return None
    first, second = trainings
    return float(np.max(np.abs(first.losses - second.losses)))


def shortcomings(workload: Workload, trainings: Sequence[Training], *, whole: bool) -> list[str]:
    """What the trainings fell short of, in words; empty when all is well.

    Only a `whole` training, of all epochs, owes its score.
    """
    found: list[str] = []
    for one in trainings:
        words = workload.shortcoming(one.score) if whole else None
        if words is not None:
            found.append(f"{one.device} {words}")
    if len(trainings) == 2:
        first, second = trainings
        difference = np.abs(first.losses - second.losses)
        early = (workload.early_steps, workload.early_budget)
        for steps, budget in (early, (len(difference), workload.loss_budget)):
            largest = np.max(difference[:steps])
            if not largest <= budget:
                found.append(
                    f"the losses differ by {largest:.2e} within the first {steps} steps, "
                    f"and the budget is {budget:.0e}"
                )
    return found


def as_json(
    workload: Workload, trainings: Sequence[Training], largest: float | None, dump: Path
) -> dict[str, Any]:
    """The table as data."""
    return {
        "devices": [
            {
                "device": one.device,
                "adapter": one.adapter,
                workload.score_key: one.score,
                "loss_first": float(one.losses[0]),
                "loss_last": float(one.losses[-1]),
                f"{workload.items}_per_second": one.items_per_second,
                **{name: getattr(one, name) for name in REPORTED},
            }
            for one in trainings
        ],
        "max_loss_difference": largest,
        "loss_budget": workload.loss_budget,
        "dump": str(dump),
    }


def show(
    workload: Workload, trainings: Sequence[Training], largest: float | None, dump: Path
) -> None:
    """Print the table, a row a fact, a column a device; and what else there is to say."""
    rows = [
        ("adapter", [one.adapter for one in trainings]),
        (workload.score_name, [workload.show_score(one.score) for one in trainings]),
        ("loss, first step", [f"{one.losses[0]:.6f}" for one in trainings]),
        ("loss, last step", [f"{one.losses[-1]:.6f}" for one in trainings]),
        ("compile seconds", [f"{one.compile_seconds:.2f}" for one in trainings]),
        ("train seconds", [f"{one.train_seconds:.2f}" for one in trainings]),
        (f"{workload.items} a second", [f"{one.items_per_second:,.0f}" for one in trainings]),
        ("kernel launches a step, unfused", [f"{one.kernels_unfused}" for one in trainings]),
        ("kernel launches a step, fused", [f"{one.kernels}" for one in trainings]),
        ("intermediates without reuse, bytes", [f"{one.bytes_unplanned:,}" for one in trainings]),
        ("intermediates with reuse, bytes", [f"{one.bytes_planned:,}" for one in trainings]),
        ("IR of every pass in", [str(dump / one.device) for one in trainings]),
    ]
    if largest is not None:
        # Of the second curve from the first.
        budget, early = workload.loss_budget, workload.early_budget
        text = f"{largest:.1e} (budget {budget:.0e}, {early:.0e} at first)"
        rows.insert(4, ("largest difference of the losses", ["", text]))
    print_table(
        workload.title,
        ["", *(one.device for one in trainings)],
        [[name, *cells] for name, cells in rows],
    )
    for one in trainings:
        if one.remark:
            print(f"{one.device}: {one.remark}")
