"""The code in the guide's pages runs, and its assertions hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"


@pytest.mark.parametrize(
    "page",
    [
        *("tensors", "dtypes", "autograd", "training", "transforms", "compile", "modes", "profile"),
        "threads-and-memory",
    ],
)
def test_page(page: str) -> None:
    text = (GUIDE / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert blocks
    names: dict[str, object] = {"__name__": "guide"}
    for block in blocks:
        exec(compile(block, f"{page}.md", "exec"), names)  # noqa: S102
