"""What all benchmarks of the command share: their tables and files."""

import json
from collections.abc import Mapping
from pathlib import Path

from picograd.cli.display import print_table

Measured = Mapping[str, float]


def ratios(seconds: Measured, of: str) -> dict[str, dict[str, float]]:
    """Seconds of each contender, and how many times as long as `of` it takes."""
    return {
        name: {"seconds": value, "ratio": value / seconds[of]} for name, value in seconds.items()
    }


def report(title: str, seconds: Measured, of: str, gigaflops: Measured | None = None) -> None:
    """Print one comparison."""
    header = ["", "µs", f"times {of}"] + (["GFLOP/s"] if gigaflops else [])
    rows = [
        [name, f"{value * 1e6:,.1f}", f"{value / seconds[of]:.2f}"]
        + ([f"{gigaflops[name]:.1f}"] if gigaflops else [])
        for name, value in seconds.items()
    ]
    print_table(title, header, rows)


def write_json(file: Path | None, data: object) -> None:
    """Write the numbers where they are asked for."""
    if file is not None:
        file.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
