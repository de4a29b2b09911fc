"""What every test run shares: Hypothesis profiles, the seeds, and an honest count of the GPU tests.

A test marked `gpu` runs on whatever adapter is found, a software one included. With none it is
skipped for a stated reason, and the closing summary counts both. `PICOGRAD_REQUIRE_GPU=1` (set by
`.ci/run` where an adapter exists) turns "no GPU test ran" into a failure.
"""

import os
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# Reproducible and patient: what `make test` and CI run. `--hypothesis-profile=explore` draws new
# examples at every run, twice as many, and prints the blob that repeats a failure; `make fuzz` runs
# it over and over.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(
    "explore",
    parent=settings.get_profile("ci"),
    derandomize=False,
    max_examples=100,
    print_blob=True,
)
settings.load_profile("ci")

SEED = int(os.environ.get("PICOGRAD_TEST_SEED", "0"))
REQUIRE_GPU = os.environ.get("PICOGRAD_REQUIRE_GPU") == "1"


class Adapter:
    """Looks for a GPU adapter once, and only if a collected test needs one."""

    def __init__(self) -> None:
        self.searched = False
        self.missing: str | None = None

    def reason_missing(self) -> str | None:
        """Why there is no adapter; None when there is one."""
        if not self.searched:
            self.searched = True
            from picograd.backends import runtime
            from picograd.errors import DeviceError

            try:
                runtime.device("gpu")
            except DeviceError as error:
                self.missing = str(error).splitlines()[0]
        return self.missing


ADAPTER = Adapter()


class GpuTally:
    """Counts GPU tests from their reports, so that it is right under pytest-xdist too."""

    def __init__(self) -> None:
        self.ran: set[str] = set()
        self.skipped: dict[str, str] = {}

    def record(self, report: pytest.TestReport) -> None:
        if "gpu" not in report.keywords:
            return
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")
        elif report.when == "call":
            self.ran.add(report.nodeid)

    def line(self) -> str:
        reasons = "; ".join(sorted(set(self.skipped.values())))
        because = f" ({reasons})" if reasons else ""
        return f"GPU tests: {len(self.ran)} ran, {len(self.skipped)} skipped{because}"

    @property
    def failed(self) -> bool:
        return REQUIRE_GPU and not self.ran


TALLY = GpuTally()


def pytest_report_header() -> str:
    profile = settings.get_current_profile_name()
    return f"seeds: PICOGRAD_TEST_SEED={SEED}, Hypothesis profile {profile!r}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is not None:
        reason = ADAPTER.reason_missing()
        if reason is not None:
            pytest.skip(f"no GPU adapter: {reason}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    TALLY.record(report)


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if TALLY.failed and not is_worker(session.config) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(TALLY.line())
    if TALLY.failed:
        terminalreporter.write_line(
            "PICOGRAD_REQUIRE_GPU=1, but no GPU test ran: that is a failure", red=True
        )


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> Iterator[np.random.Generator]:
    """A random generator of the test's own; its seed is printed when the test fails."""
    seed = SEED ^ zlib.crc32(request.node.nodeid.encode())
    print(f"rng seed: {seed}")
    yield np.random.default_rng(seed)
