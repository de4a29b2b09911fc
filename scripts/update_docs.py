"""Fill the generated parts of docs/, README and the passes' docstrings; print what changed."""

import inspect
import sys
from pathlib import Path

from picograd.compiler.diagnostics import parse_module
from picograd.errors import PicogradError
from picograd.passes import PASSES
from picograd.study.documentation.pages import updated_pages
from picograd.study.pass_docs import read_pass_docs, run_example, with_new_example

ROOT = Path(__file__).parents[1]


def update(file: Path, text: str) -> bool:
    """Write a file that is out of date, and say so."""
    if file.read_text(encoding="utf-8") == text:
        return False
    file.write_text(text, encoding="utf-8")
    print(file.relative_to(ROOT))
    return True


def update_docstrings() -> bool:
    """Let the block under `After:` of every pass hold what the pass really does."""
    changed = False
    for step in PASSES.values():
        docs = read_pass_docs(step)
        after = run_example(docs, PASSES)
        if str(parse_module(docs.after)) != str(parse_module(after)):
            file = Path(inspect.getfile(step))
            changed |= update(file, with_new_example(file.read_text(encoding="utf-8"), after))
    return changed


def main() -> int:
    """The pages show the docstrings as they were loaded, so changed ones need a second run."""
    try:
        if update_docstrings():
            print("docstrings have changed: run this again for the pages that show them")
            return 0
        for page, text in updated_pages(ROOT):
            update(page, text)
    except PicogradError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
