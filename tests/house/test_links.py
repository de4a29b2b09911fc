"""The links at the top of the tree: there for readers, refused as a way to import."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINKS = ("dialects", "passes", "backends")


@pytest.mark.parametrize("name", LINKS)
def test_link_points_into_the_package(name: str) -> None:
    link = ROOT / name
    assert link.is_symlink()
    assert link.readlink() == Path("picograd") / name
    assert (link / "__init__.py").is_file()


@pytest.mark.parametrize("name", LINKS)
def test_importing_through_a_link_is_refused_with_the_remedy(name: str) -> None:
    # A second copy of every op class would fail mysteriously, so the package itself says no.
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    last_line = done.stderr.strip().splitlines()[-1]
    assert last_line.startswith("ImportError:")
    assert f"picograd.{name}" in last_line
