"""What every test run shares: Hypothesis profiles, the seeds, and an honest count of the tests that
need more than every machine has.

A test marked `gpu` runs on whatever adapter is found, a software one included. With none it is
skipped for a stated reason, and the closing summary counts both. `PICOGRAD_REQUIRE_GPU=1` (set by
`.ci/run` where an adapter exists) turns "no GPU test ran" into a failure. Tests marked `pytorch`
are counted in the same way; they run where PyTorch is installed.
"""

import gc
import importlib.util
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# Every pass of every compilation is verified, picograd's own too, which users' programs trust.
os.environ.setdefault("PICOGRAD_VERIFY", "1")

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
HAS_PYTORCH = importlib.util.find_spec("torch") is not None
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


class Tally:
    """Counts tests of a mark from their reports, so that it is right under pytest-xdist too."""

    def __init__(self, mark: str, title: str) -> None:
        self.mark = mark
        self.title = title
        self.ran: set[str] = set()
        self.skipped: dict[str, str] = {}

    def record(self, report: pytest.TestReport) -> None:
        if self.mark not in report.keywords:
            return
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")
        elif report.when == "call":
            self.ran.add(report.nodeid)

    def line(self) -> str:
        reasons = "; ".join(sorted(set(self.skipped.values())))
        because = f" ({reasons})" if reasons else ""
        return f"{self.title} tests: {len(self.ran)} ran, {len(self.skipped)} skipped{because}"


GPU_TALLY, PYTORCH_TALLY = Tally("gpu", "GPU"), Tally("pytorch", "PyTorch")


def no_gpu_test_ran() -> bool:
    return REQUIRE_GPU and not GPU_TALLY.ran


def pytest_report_header() -> str:
    profile = settings.get_current_profile_name()
    return f"seeds: PICOGRAD_TEST_SEED={SEED}, Hypothesis profile {profile!r}"


def pytest_configure(config: pytest.Config) -> None:
    # Processes that tests start import six hundred files: compiled once, not by each of them.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # What picograd remembers is this run's own, and compiling is what many tests are about.
    if not is_worker(config):
        os.environ["PICOGRAD_CACHE"] = tempfile.mkdtemp(prefix="picograd-tests-")
    os.environ["PICOGRAD_DISK_CACHE"] = "0"


def pytest_unconfigure(config: pytest.Config) -> None:
    if not is_worker(config):
        shutil.rmtree(os.environ["PICOGRAD_CACHE"], ignore_errors=True)


def pytest_collection_finish() -> None:
    """The collected tests stay until the end: the garbage collector need not look at them again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is not None:
        reason = ADAPTER.reason_missing()
        if reason is not None:
            pytest.skip(f"no GPU adapter: {reason}")
    if item.get_closest_marker("pytorch") is not None and not HAS_PYTORCH:
        pytest.skip("PyTorch is not installed")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    GPU_TALLY.record(report)
    PYTORCH_TALLY.record(report)


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if no_gpu_test_ran() and not is_worker(session.config) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(GPU_TALLY.line())
    terminalreporter.write_line(PYTORCH_TALLY.line())
    if no_gpu_test_ran():
        terminalreporter.write_line(
            "PICOGRAD_REQUIRE_GPU=1, but no GPU test ran: that is a failure", red=True
        )


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> Iterator[np.random.Generator]:
    """A random generator of the test's own; its seed is printed when the test fails."""
    seed = SEED ^ zlib.crc32(request.node.nodeid.encode())
    print(f"rng seed: {seed}")
    yield np.random.default_rng(seed)
