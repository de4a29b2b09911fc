"""A whole run: programs handed out until the time is over, counts added up, failures kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from picograd.check.fuzz.counts import Counts
from picograd.check.fuzz.findings import Finding, Findings
from picograd.check.fuzz.pool import Pool
from picograd.check.fuzz.settle import settle_ended
from picograd.check.fuzz.worker import REDUCE_SECONDS, Settings
from picograd.check.replay import installed_versions
from picograd.quick_dataclasses import dataclass

MOST_REFUSED = 0.15
"""A run of which a larger share was refused has shown little,"""
MOST_UNDECIDED = 0.25
"""… and so has one of which so many cases may be one way or the other."""
_ENOUGH = 100
"""Of fewer cases the shares say nothing."""
_PROGRESS_SECONDS = 10.0


@dataclass
class Session:
    """A run and what it has found so far."""

    settings: Settings
    findings: Findings
    jobs: int = 2
    counts: Counts = field(default_factory=Counts)
    programs: int = 0
    seconds: float = 0.0
    ended: list[Path] = field(default_factory=list[Path])
    """Files of cases that ended their process."""

    def run(
        self,
        *,
        minutes: float | None = None,
        programs: int | None = None,
        only: int | None = None,
        progress: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Examine programs until the time is over, or so many, or one only."""
        start = time.monotonic()
        until = start + 60.0 * minutes if minutes is not None else float("inf")
        said = start
        with TemporaryDirectory(prefix="picograd-fuzz-") as folder:
            jobs = self.jobs if only is None else 1
            pool = Pool(self.settings, jobs, Path(folder), self.findings)
            for report in pool.run(_numbers(programs, only), until):
                self.seconds = time.monotonic() - start
                if report is not None:
                    self.programs += 1
                    self.counts.add(report.counts)
                    for finding in report.findings:
                        self._keep(finding, progress)
                if time.monotonic() > said + _PROGRESS_SECONDS:
                    said = time.monotonic()
                    progress(self.in_one_line(minutes))
        if self.ended:
            known = self.settings.prepare()
            for path in self.ended:
                text = path.read_text(encoding="utf-8")
                small = settle_ended(text, known, REDUCE_SECONDS, self.settings.case_seconds)
                path.write_text(small, encoding="utf-8")

    def _keep(self, finding: Finding, progress: Callable[[str], None]) -> None:
        self.counts.count("failures", finding.family)
        path = self.findings.add(finding)
        if path is not None:
            if finding.ended:
                self.ended.append(path)
            progress(
                f"FOUND {finding.headline[:300]}\n  repeat:   {finding.name}\n  file:     {path}"
            )

    def in_one_line(self, minutes: float | None = None) -> str:
        """How far the run is."""
        total = self.counts.total
        whole = f" of {minutes:g}" if minutes is not None else ""
        return (
            f"{self.seconds / 60:.1f}{whole} min: {self.programs:,} programs, "
            f"{total('cases'):,} cases, {total('passes'):,} passes, {total('kernels'):,} kernels, "
            f"{self.counts.share('refused'):.1%} refused, "
            f"{self.counts.share('undecided'):.1%} undecided, "
            f"{total('failures')} failures of {len(self.findings.files)} kinds"
        )

    @property
    def complaints(self) -> list[str]:
        """What lets the run say less than it should."""
        found = [f"pass {name} never changed a program: nothing was tested" for name in self._idle]
        if self.counts.total("cases") < _ENOUGH:
            return found
        for table, most in (("refused", MOST_REFUSED), ("undecided", MOST_UNDECIDED)):
            if self.counts.share(table) > most:
                found.append(
                    f"{self.counts.share(table):.1%} of the cases are {table}, not {most:.0%}"
                )
        return found

    @property
    def _idle(self) -> list[str]:
        """The named passes that changed no program, and of which nothing was found."""
        guilty = {kind.partition(" in ")[2].partition(":")[0] for kind in self.findings.files}
        named = self.counts.tables["named"].items()
        return [name for name, times in named if not times and name not in guilty]

    @property
    def ok(self) -> bool:
        """Nothing was found, and enough was looked at."""
        return not self.findings.files and not self.complaints

    def write_json(self, path: Path) -> None:
        """All counts, for scripts."""
        data = {
            "seed": self.settings.seed,
            "devices": list(self.settings.devices),
            "versions": installed_versions(),
            "seconds": round(self.seconds, 1),
            "programs": self.programs,
            "failures": {kind: str(file) for kind, file in self.findings.files.items()},
            "complaints": self.complaints,
            "counts": self.counts.as_data(),
        }
        path.write_text(json.dumps(data, indent=1), encoding="utf-8")


def _numbers(programs: int | None, only: int | None) -> Iterator[int]:
    if only is not None:
        return iter((only,))
    return count() if programs is None else iter(range(programs))
