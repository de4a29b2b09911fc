"""The examples of the catalogue: what they print, and how an entry is given it."""

import pytest

from picograd.cli.error_examples import run_example, with_printed
from picograd.errors import PicogradError
from picograd.errors.catalogue import Entry

TEXT = """What it means.

```python
import picograd
picograd.ones(2).reshape(3)
```

To mend it, count.
"""


def test_a_program_prints_its_error_with_the_line_of_its_file() -> None:
    printed = run_example(Entry("PG105", "A title", TEXT))
    assert printed.startswith("[PG105] ")
    assert "  at:       example.py:2\n    picograd.ones(2).reshape(3)\n    ^^^^" in printed


def test_a_command_prints_what_it_writes_to_standard_error() -> None:
    entry = Entry("PG814", "A title", "Text.\n\n```sh\npicograd opt none.mlir\n```\n")
    assert run_example(entry).startswith("picograd: error: [PG814] cannot read none.mlir\n")


def test_an_example_that_runs_is_none() -> None:
    with pytest.raises(PicogradError, match="runs without an error"):
        run_example(Entry("PG105", "A title", "Text.\n\n```python\nx = 1\n```\n"))


def test_what_is_printed_follows_the_example_and_replaces_what_was() -> None:
    once = with_printed(TEXT, "first\n")
    assert once.index("reshape") < once.index("first") < once.index("To mend it")
    again = with_printed(once, "second\n")
    assert again == once.replace("first", "second")
    assert Entry("PG105", "A title", again).printed == "second\n"
