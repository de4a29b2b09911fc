"""The documentation speaks of the project, its links lead somewhere, and its code runs."""

import re
from pathlib import Path

import pytest

from picograd.cli.files import load_python

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|lorem ipsum)\b", re.IGNORECASE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_are_finished_and_name_no_foreign_path(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert UNFINISHED.search(text) is None
    assert re.search(r"(?<![\w.])/(work|home|root)/", text) is None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_to_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", text)
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_the_model_of_the_readme_trains(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert program is not None
    file = tmp_path / "model.py"
    file.write_text(program.group(1), encoding="utf-8")
    load_python(str(file))
    printed = capsys.readouterr().out.splitlines()
    assert 1 < float(printed[0]) < 4
    assert any("kernel.fused" in line for line in printed)


def titled_blocks(page: Path) -> dict[str, str]:
    """The Python blocks of a page that carry a file's name as their title."""
    blocks = re.findall(r'```python title="([^"]+)"\n(.*?)```', page.read_text("utf-8"), re.DOTALL)
    return dict(blocks)


def test_the_program_of_the_command_line_page_loads(tmp_path: Path) -> None:
    blocks = titled_blocks(ROOT / "docs" / "command-line.md")
    file = tmp_path / "model.py"
    file.write_text(blocks["model.py"], encoding="utf-8")
    assert load_python(str(file)).activate().shape == (64, 10)
