"""What is installed: one package, with its data, from a wheel that anybody can build."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel that is built from a copy of the files that packaging reads."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(
        ROOT / "picograd", source / "picograd", ignore=shutil.ignore_patterns("__pycache__")
    )
    for link in ("dialects", "passes", "backends"):
        (source / link).symlink_to(Path("picograd") / link)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", str(out), str(source)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("picograd-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_only_package_is_picograd(wheel_files: list[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel_files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"picograd"}


DATA = (
    "py.typed",
    "data/digits.csv.gz",
    "data/sonnets.txt.gz",
    "passes/README.md",
    "study/exercises/relu_in_place/hints.md",
)


@pytest.mark.parametrize("name", DATA)
def test_data_is_in_the_wheel(wheel_files: list[str], name: str) -> None:
    assert f"picograd/{name}" in wheel_files


def test_every_source_file_is_in_the_wheel(wheel_files: list[str]) -> None:
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "picograd").rglob("*.py")}
    assert sources - set(wheel_files) == set()


def test_the_licence_is_in_the_wheel(wheel_files: list[str]) -> None:
    assert any(name.endswith("/LICENSE") for name in wheel_files)
